"""From an event that was accepted to a recommendation that can be read, at a steady rate.

    .venv/bin/python tests/load/freshness.py [--short]

The all-in-one runs as a process of its own; this one posts conversations and engagements of many
users and hears from Redis, over which the gateway tells its replicas of changed lists, when the
list of that user has become readable.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
import numpy as np
import psutil
from redis.asyncio import Redis

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.embedded import EmbeddedRedis  # noqa: E402
from devkit.limelight_process import LimelightProcess  # noqa: E402
from devkit.marketing import CAMPAIGNS, sample  # noqa: E402
from tests.load.markdown import table  # noqa: E402
from tests.load.measuring import cpu_of  # noqa: E402

RATES = (50, 100, 200)
SECONDS, WARM_PEOPLE, DRAIN_SECONDS = 40, 1000, 30
_HEADINGS = (
    *("events/s asked", "events/s accepted", "p50 ms", "p99 ms", "not seen"),
    *("CPU ms an event", "cores used"),
)
Json = dict[str, Any]


class Watch:
    """When each user's list changed first after their event was accepted."""

    def __init__(self, socket: str) -> None:
        self._redis = Redis.from_url(socket)
        self.waiting: dict[str, float] = {}
        self.took: list[float] = []
        self.heard_at = time.monotonic()

    async def run(self) -> None:
        """Hear of every change, for ever."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as heard:
            await heard.psubscribe("*")
            while True:
                message = await heard.get_message(timeout=1.0)
                if message is not None:
                    self.heard_at = time.monotonic()
                    self._note(unquote(message["channel"].decode().rpartition(":")[2]))

    def _note(self, user: str) -> None:
        begun = self.waiting.pop(user, None)
        if begun is not None:
            self.took.append(1000 * (time.monotonic() - begun))


async def post(session: aiohttp.ClientSession, path: str, body: Json) -> bool:
    """Whether it was accepted."""
    async with session.post(path, json=body) as answer:
        return answer.status == 202


async def send(session: aiohttp.ClientSession, watch: Watch, path: str, body: Json) -> bool:
    """Post, and wait for the list of its user from the moment that it was accepted."""
    accepted = await post(session, path, body)
    watch.waiting.setdefault(body["user_id"], time.monotonic())
    return accepted


def events(begin: int) -> Iterator[tuple[str, Json]]:
    """A new person speaks; every fourth event is a click of somebody who spoke."""
    for number, person in enumerate(sample(seed=9).people(1_000_000)):
        if number < begin:
            continue
        yield "/v1/conversations", person.conversation
        clicks = [deed for deed in person.engagements if deed["kind"] == "click"]
        if clicks and number % 3 == 0:
            yield "/v1/engagements", clicks[0]


async def at_rate(
    session: aiohttp.ClientSession,
    watch: Watch,
    stream: Iterator[tuple[str, Json]],
    rate: int,
    seconds: float,
) -> int:
    """Open loop: an event is due at its time, whether the ones before were answered or not."""
    begun, sent = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        sent.append(asyncio.create_task(send(session, watch, *next(stream))))
    return sum(await asyncio.gather(*sent))


async def measured(limelight: LimelightProcess, seconds: float) -> list[tuple[str, ...]]:
    """One row for each rate."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    async with watched(limelight) as (session, watch):
        await prepared(session)
        stream = events(WARM_PEOPLE)
        for rate in RATES:
            watch.waiting.clear()
            watch.took.clear()
            before, began = cpu(limelight), time.monotonic()
            accepted = await at_rate(session, watch, stream, rate, seconds)
            took = time.monotonic() - began
            until = time.monotonic() + DRAIN_SECONDS
            # Asked from outside: nothing of ours says that there is nothing left to come.
            while watch.waiting and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            rows.append(row(rate, accepted, took, watch, cpu(limelight) - before))
            print("  ".join(rows[-1]), flush=True)
    return rows


@asynccontextmanager
async def watched(
    limelight: LimelightProcess,
) -> AsyncIterator[tuple[aiohttp.ClientSession, Watch]]:
    """A client with the demo key, and who hears of lists."""
    watch = Watch(EmbeddedRedis.address(limelight.data_dir / "redis"))
    hearing = asyncio.create_task(watch.run())
    url = f"http://127.0.0.1:{limelight.port}"
    headers = {"Authorization": f"Bearer {limelight.key()}"}
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        yield session, watch
    hearing.cancel()


async def prepared(session: aiohttp.ClientSession, people: int = WARM_PEOPLE) -> None:
    """Campaigns, and people who spoke before."""
    for campaign in CAMPAIGNS:
        body = {name: value for name, value in campaign.items() if name != "campaign_id"}
        async with session.put(f"/v1/campaigns/{campaign['campaign_id']}", json=body) as answer:
            assert answer.status in {200, 201}, await answer.text()
    for person in sample(seed=9).people(people):
        await post(session, "/v1/conversations", person.conversation)
    last = f"user-{people - 1:06d}"
    for _ in cycle([None]):
        async with session.get(f"/v1/recommendations/{last}") as answer:
            if answer.status == 200 and (await answer.json())["source"] != "popular":
                return
        await asyncio.sleep(0.2)


@contextmanager
def unlimited() -> Iterator[LimelightProcess]:
    """A running all-in-one that takes as many requests as come."""
    limits = ("ENTERPRISE_PER_MINUTE", "ADDRESS_PER_MINUTE")
    environment = {f"LIMELIGHT_{name}": "10000000" for name in limits}
    with (
        tempfile.TemporaryDirectory(prefix="limelight-load-") as folder,
        LimelightProcess(Path(folder) / "data", environment=environment) as limelight,
    ):
        yield limelight.start()


def cpu(limelight: LimelightProcess) -> float:
    """CPU seconds of the all-in-one and its servers so far."""
    own = psutil.Process(limelight.pid).cpu_times()
    return float(own.user + own.system) + cpu_of(str(limelight.data_dir))


def row(rate: int, accepted: int, took: float, watch: Watch, used: float) -> tuple[str, ...]:
    """Figures of one rate."""
    p50, p99 = np.percentile(watch.took or [float("nan")], (50, 99))
    return (
        f"{rate}",
        f"{accepted / took:.0f}",
        f"{p50:.0f}",
        f"{p99:.0f}",
        f"{len(watch.waiting)}",
        f"{1000 * used / max(1, accepted):.1f}",
        f"{used / took:.2f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="5 seconds a rate: means nothing")
    seconds = 5 if parser.parse_args().short else SECONDS
    with unlimited() as limelight:
        print(table(asyncio.run(measured(limelight, seconds))))


if __name__ == "__main__":
    main()
