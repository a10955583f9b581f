"""What reading a recommendation costs, beside computing it on each read, and beside bare Redis.

    .venv/bin/python tests/load/recommendation_reads.py [--users 100000] [--computed 20000]

Three servers, one after the other, each a process of its own; this one asks for random users.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import numpy as np
import psutil

sys.path[0] = str(Path(__file__).resolve().parents[2])

from contracts.events.marketing import Reason, RecommendationChanged, RecommendedCampaign  # noqa: E402
from devkit.embedded import EmbeddedRedis  # noqa: E402
from devkit.marketing import CAMPAIGNS  # noqa: E402
from devkit.ports import free_port  # noqa: E402
from gateway.adapters.recommendations import RedisRecommendations  # noqa: E402
from gateway.domain.recommendations import ListChange  # noqa: E402
from tests.load.freshness import unlimited  # noqa: E402
from tests.load.markdown import table  # noqa: E402

SECONDS, AT_ONCE, BATCH = 10.0, 16, 1000
SERVERS = Path(__file__).with_name("recommendation_servers.py")
_HEADINGS = (
    *("", "users", "requests/s, 16 at once", "p50 ms", "p99 ms"),
    *("p50 ms, one by one", "CPU ms a request", "of bare Redis"),
)


def user(number: int) -> str:
    """The name of a user."""
    return f"user-{number:06d}"


def a_list(number: int) -> ListChange:
    """A list of ten campaigns with two reasons each, as the recommender publishes them."""
    now = datetime.now(UTC)
    items = tuple(
        RecommendedCampaign(
            campaign_id=campaign["campaign_id"],
            title=campaign["title"],
            score=1 - place / 10,
            source="personal",
            reasons=(
                Reason(kind="similar-users", text="7 people who say similar things", users=7),
                Reason(kind="intent", text="you asked about repair", intent="repair"),
            ),
            ends_at=now + timedelta(days=30),
        )
        for place, campaign in enumerate(CAMPAIGNS)
    )
    event = RecommendationChanged(
        user_id=user(number),
        version=1,
        items=items,
        source="personal",
        ranker_version="affinity-1",
        as_of=now,
    )
    body = event.model_dump_json(include={"source", "as_of", "ranker_version", "items"})
    return ListChange("demo", user(number), 10**18 + number, body)


async def fill(address: str, users: int) -> None:
    """Put a list for every user, as the gateway does."""
    model = RedisRecommendations(address)
    for start in range(0, users, BATCH):
        await model.put([a_list(number) for number in range(start, start + BATCH)])
    await model.close()


class Asking:
    """Asks one server for random users."""

    def __init__(self, url: str, key: str, users: int) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._users = users
        self._draw = random.Random(1)
        self.took: list[float] = []

    async def run(self, at_once: int, seconds: float) -> float:
        """Requests a second."""
        self.took, begun = [], time.perf_counter()
        connector = aiohttp.TCPConnector(limit=at_once)
        async with aiohttp.ClientSession(
            self._url, headers=self._headers, connector=connector
        ) as session:
            until = begun + seconds
            await asyncio.gather(*(self._ask(session, until) for _ in range(at_once)))
        return len(self.took) / (time.perf_counter() - begun)

    async def _ask(self, session: aiohttp.ClientSession, until: float) -> None:
        while (begun := time.perf_counter()) < until:
            path = f"/v1/recommendations/{user(self._draw.randrange(self._users))}"
            async with session.get(path) as answer:
                found = await answer.read()
                assert answer.status == 200, found
                assert b"campaign_id" in found, found
            self.took.append(1000 * (time.perf_counter() - begun))


def measured(
    name: str, asking: Asking, pid: int, users: int, bare: float | None
) -> tuple[str, ...]:
    """One row; ``bare`` is the rate of bare Redis."""
    asyncio.run(asking.run(AT_ONCE, 2))  # to warm up
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    rate = asyncio.run(asking.run(AT_ONCE, SECONDS))
    cpu = 1000 * (sum(process.cpu_times()[:2]) - before) / len(asking.took)
    p50, p99 = np.percentile(asking.took, (50, 99))
    asyncio.run(asking.run(1, SECONDS / 2))
    alone = np.percentile(asking.took, 50)
    ratio = "" if bare is None else f"{rate / bare:.2f}"
    cells = (f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{alone:.2f}", f"{cpu:.2f}", ratio)
    return (name, f"{users:,}", *cells)


def served(kind: str, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """A rival as a process, once it answers."""
    port = free_port()
    command = [sys.executable, str(SERVERS), kind, str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"
    return process, f"http://127.0.0.1:{port}"


def rows(users: int, computed: int) -> list[tuple[str, ...]]:
    """The table."""
    found: list[tuple[str, ...]] = [_HEADINGS]
    with ExitStack() as stack:
        limelight = stack.enter_context(unlimited())
        address = EmbeddedRedis.address(limelight.data_dir / "redis")
        asyncio.run(fill(address, users))
        process, url = served("bare", address)
        bare = measured("bare Starlette, one GET", Asking(url, "", users), process.pid, users, None)
        process.terminate()
        rate = float(bare[2].replace(",", ""))
        url = f"http://127.0.0.1:{limelight.port}"
        ours = Asking(url, limelight.key(), users)
        found += [bare, measured("Limelight", ours, limelight.pid, users, rate)]
        limelight.stop()
        process, url = served(
            "computed", str(limelight.data_dir.with_name("computed")), str(computed)
        )
        stack.callback(process.terminate)
        asking = Asking(url, "", computed)
        found.append(measured("computed on each read", asking, process.pid, computed, rate))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--computed", type=int, default=20_000)
    given = parser.parse_args()
    print(table(rows(given.users, given.computed)))


if __name__ == "__main__":
    main()
