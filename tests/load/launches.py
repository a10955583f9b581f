"""A campaign that comes after people have spoken: when its audience sees it, and who waits.

    .venv/bin/python tests/load/launches.py [--short]

Two questions in one run, on the all-in-one: how long after its PUT a campaign is in the lists of
those it concerns, and how fresh the lists of people who speak meanwhile are, beside the same
without launches.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.limelight_process import LimelightProcess  # noqa: E402
from tests.load.freshness import Watch, at_rate, events, prepared, unlimited, watched  # noqa: E402
from tests.load.markdown import table  # noqa: E402

RATE, EVERY = 50, 10.0
AT_ONCE, LOOK_SECONDS, STILL_SECONDS, LONGEST_SECONDS = 100, 0.5, 6.0, 90.0
_WHOM = ("people who spoke before", "who see it", "first s", "90 % s", "last s")
_BESIDE = ("at 50 events/s", "p50 ms", "p99 ms", "not seen")


async def launch(session: aiohttp.ClientSession, number: int) -> str:
    """A campaign with an intent that none had before."""
    name = f"repair-day-{number}"
    body = {
        "title": f"Repair day {number}",
        "text": "We repair espresso machines and grinders that leak or make no steam.",
        "intents": [f"machine_repair_{number}"],
    }
    async with session.put(f"/v1/campaigns/{name}", json=body) as answer:
        assert answer.status == 201, await answer.text()
    return name


async def who_sees(session: aiohttp.ClientSession, campaign_id: str, people: int) -> set[str]:
    """Those to whom it is shown because of what they said, and not because others like it."""
    found: set[str] = set()
    for first in range(0, people, AT_ONCE):
        users = [f"user-{number:06d}" for number in range(first, min(people, first + AT_ONCE))]
        body = {"user_ids": users, "limit": 20}
        async with session.post("/v1/recommendations:batch", json=body) as answer:
            lists = (await answer.json())["items"]
        found |= {
            one["user_id"]
            for one in lists
            for item in one["items"]
            if item["campaign_id"] == campaign_id and item["source"] != "popular"
        }
    return found


async def reached(session: aiohttp.ClientSession, people: int) -> tuple[str, ...]:
    """When a campaign is in how many lists, until there are no more for some seconds."""
    begun, times = time.monotonic(), list[float]()
    name = await launch(session, 0)
    while (now := time.monotonic() - begun) < LONGEST_SECONDS:
        more = len(await who_sees(session, name, people)) - len(times)
        times += [time.monotonic() - begun] * more
        if times and now - times[-1] > STILL_SECONDS:
            break
        await asyncio.sleep(LOOK_SECONDS)
    first, most, last = np.percentile(times or [float("nan")], (0, 90, 100))
    return f"{people:,}", f"{len(times):,}", f"{first:.1f}", f"{most:.1f}", f"{last:.1f}"


async def fresh(
    session: aiohttp.ClientSession, watch: Watch, people: int, seconds: float, *, launches: bool
) -> tuple[str, ...]:
    """How fresh the lists of people who speak are, with a campaign every ten seconds or without."""
    watch.waiting.clear()
    watch.took.clear()
    stream = events(people + 100_000 * launches)
    speaking = asyncio.create_task(at_rate(session, watch, stream, RATE, seconds))
    number = 0
    while launches and not speaking.done():
        number += 1
        await launch(session, number)
        await asyncio.sleep(EVERY)
    await speaking
    await asyncio.sleep(5)
    p50, p99 = np.percentile(watch.took or [float("nan")], (50, 99))
    named = f"a campaign every {EVERY:g} s" if launches else "no new campaign"
    return named, f"{p50:.0f}", f"{p99:.0f}", f"{len(watch.waiting)}"


async def measured(limelight: LimelightProcess, people: int, seconds: float) -> None:
    """Print both tables."""
    async with watched(limelight) as (session, watch):
        await prepared(session, people)
        while time.monotonic() < watch.heard_at + STILL_SECONDS:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
        print(table([_WHOM, await reached(session, people)]), flush=True)
        rows = [
            await fresh(session, watch, people, seconds, launches=launches)
            for launches in (False, True)
        ]
        print(table([_BESIDE, *rows]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="few and fast: means nothing")
    people, seconds = (200, 5.0) if parser.parse_args().short else (3000, 40.0)
    with unlimited() as limelight:
        asyncio.run(measured(limelight, people, seconds))


if __name__ == "__main__":
    main()
