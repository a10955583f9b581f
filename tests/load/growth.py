"""What an event costs as the number of users grows: CPU of the whole all-in-one at 50 events/s.

    .venv/bin/python tests/load/growth.py [--users 1000 10000 100000]

The users are put into the stores directly (vectors, edges, engagements), which for 100,000 takes
a quarter of an hour; then the all-in-one starts on them and new people speak.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from math import log
from pathlib import Path

import aiohttp

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.embedded import EmbeddedPostgres, EmbeddedRedis  # noqa: E402
from devkit.limelight_process import LimelightProcess  # noqa: E402
from tests.load.freshness import Watch, at_rate, cpu, events, prepared, row  # noqa: E402
from tests.load.markdown import table  # noqa: E402
from tests.load.recommendation_servers import filled  # noqa: E402

RATE, SECONDS, DRAIN_SECONDS = 50, 40, 30
_HEADINGS = ("users", "p50 ms", "p99 ms", "CPU ms an event", "times the first", "log n allows")


async def fill(data_dir: Path, users: int) -> None:
    """Make the all-in-one's stores, with so many users in them."""
    postgres = await EmbeddedPostgres.start(data_dir / "postgres")
    made = await filled(postgres, users, graph="graph-loader")
    await made.close()
    await postgres.stop()


async def measured(limelight: LimelightProcess) -> tuple[str, ...]:
    """One row at one rate."""
    watch = Watch(EmbeddedRedis.address(limelight.data_dir / "redis"))
    hearing = asyncio.create_task(watch.run())
    headers = {"Authorization": f"Bearer {limelight.key()}"}
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{limelight.port}", headers=headers
    ) as session:
        await prepared(session, 100)
        before, began = cpu(limelight), time.monotonic()
        accepted = await at_rate(session, watch, events(200_000), RATE, SECONDS)
        took, until = time.monotonic() - began, time.monotonic() + DRAIN_SECONDS
        # Asked from outside: nothing of ours says that there is nothing left to come.
        while watch.waiting and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        found = row(RATE, accepted, took, watch, cpu(limelight) - before)
    hearing.cancel()
    return found


def one(users: int) -> tuple[str, ...]:
    """Fill, start, measure."""
    with tempfile.TemporaryDirectory(prefix="limelight-growth-") as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        begun = time.monotonic()
        asyncio.run(fill(data_dir, users))
        print(f"{users} users put in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        with LimelightProcess(data_dir) as limelight:
            limelight.start()
            return asyncio.run(measured(limelight))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1000, 10_000, 100_000])
    sizes = parser.parse_args().users
    found, first = [_HEADINGS], 0.0
    for users in sizes:
        _, _, p50, p99, _, each, _ = one(users)
        first = first or float(each)
        ratio, allowed = float(each) / first, log(users) / log(sizes[0])
        found.append((f"{users:,}", p50, p99, each, f"{ratio:.2f}", f"{allowed:.2f}"))
    print(table(found))


if __name__ == "__main__":
    main()
