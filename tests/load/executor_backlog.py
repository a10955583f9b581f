"""Many requests at once: memory, the time to take them in, and how long another tenant waits."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.load.executor_bed import STUCK_SECONDS, Bed, Rig, Stuck, say
from tests.load.executor_requests import Load, completion_id
from tests.load.markdown import table

FED = (sys.executable, str(Path(__file__).with_name("executor_fed.py")))
GUEST_TENANT = "tenant-guest"
FAULTS = {"latency_s": 0.2}
IN_FLIGHT = 512
LOOK_SECONDS = 0.1
SAY_SECONDS = 10.0
GUEST_SECONDS = 1.0  # between two requests of the other tenant
_MEMORY = (
    "requests waiting", "idle MB", "most while taken in, MB", "most while worked off, MB",
    "at the end, MB", "taken in, s", "records/s", "until all ended, s",
)  # fmt: skip
_AGES = (
    "requests waiting", "asked", "requests", "age, median s", "worst s", "until called, median s",
    "worst s",
)  # fmt: skip
_NOTE = (
    f"Batch requests of one tenant, {IN_FLIGHT} calls in flight, each takes 200 ms; calls are made "
    "while the backlog is still being taken in. Another tenant asks one interactive request a "
    "second; its age is from the request to its end stored, and until called the part before the "
    "call itself. What is asked while the backlog is taken in stands behind it on the topic."
)


@dataclass
class Watched:
    """What was seen of one run; memory in bytes, times in seconds."""

    waiting: int
    idle: int = 0
    taking_in: int = 0
    working: int = 0
    after: int = 0
    taken_in: float = 0.0
    rate: float = 0.0
    seconds: float = 0.0
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    ages: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def look(self, memory: int, *, in_topic: bool) -> None:
        """Keep the highest."""
        if in_topic:
            self.taking_in = max(self.taking_in, memory)
        else:
            self.working = max(self.working, memory)


async def backlog(bed: Bed, *, short: bool) -> str:
    """A small backlog, a large one, and none."""
    large = 10_000 if short else 100_000
    found = [await _run(bed, count, large) for count in (0, 1_000, large)]
    memory = table([_MEMORY, *_memory(found[1:], found[0].idle)])
    return f"{memory}\n\n{table([_AGES, *_ages(found)])}\n\n{_NOTE}"


async def _run(bed: Bed, count: int, large: int) -> Watched:
    watched = Watched(count)
    load = Load(count, priority="batch")
    what = f"{count:,} waiting" if count else "idle"
    async with bed.rig(f"backlog-{count}", load, FAULTS, FED, max_in_flight=IN_FLIGHT) as rig:
        rig.executor.start()
        if count:
            await _worked_off(rig, watched, what)
        else:
            await _idle(rig, watched, guests=5 if large < 100_000 else 20)
        await _age(rig, watched)
        await rig.executor.stop()
    say(f"{what}: taken in in {watched.taken_in:.1f} s, ended in {watched.seconds:.1f} s")
    return watched


async def _idle(rig: Rig, watched: Watched, guests: int) -> None:
    await rig.executor.wait()
    await asyncio.sleep(GUEST_SECONDS)
    watched.idle = rig.executor.memory()
    for _ in range(guests):
        _ask(rig, watched, "idle")
        await asyncio.sleep(GUEST_SECONDS)


async def _worked_off(rig: Rig, watched: Watched, what: str) -> None:
    """Look at memory again and again, and let the guest ask once a second."""
    await rig.until_begun()
    begun = asked = said = moved = time.monotonic()
    count, written = watched.waiting, 0
    while written < count:
        await asyncio.sleep(LOOK_SECONDS)
        now, before = time.monotonic(), written
        in_topic = await rig.store.accepted() < count
        written = await rig.store.written()
        watched.look(rig.executor.memory(), in_topic=in_topic)
        moved = now if written > before else moved
        if not rig.executor.alive or now - moved > STUCK_SECONDS:
            raise Stuck(f"{what}: {written:,} of {count:,} ended\n{rig.executor.output()}")
        if now - asked > GUEST_SECONDS:
            asked = now
            _ask(rig, watched, "while taken in" if in_topic else "while worked off")
        if now - said > SAY_SECONDS:
            said = now
            say(f"  {what}: {written:,} of {count:,} ended")
    await rig.until_done(count + len(watched.asked), what)
    watched.seconds, watched.after = time.monotonic() - begun, rig.executor.memory()
    watched.taken_in, watched.rate = await _taken_in(rig)


async def _taken_in(rig: Rig) -> tuple[float, float]:
    """Seconds from the first batch in the queue to the last one, and records per second."""
    row = await rig.store.connection.fetchrow(
        "SELECT extract(epoch FROM max(created_at) - min(created_at))::float8 AS seconds, "
        "count(*) FILTER (WHERE created_at > since) AS later FROM completions, "
        "(SELECT min(created_at) AS since FROM completions) AS first WHERE tenant_id <> $1",
        GUEST_TENANT,
    )
    assert row is not None
    return row["seconds"], row["later"] / max(0.001, row["seconds"])


def _ask(rig: Rig, watched: Watched, when: str) -> None:
    now = datetime.now(UTC)
    rig.executor.tell(f"{len(watched.asked)} {now.isoformat()}")
    watched.asked.append((when, now))


async def _age(rig: Rig, watched: Watched) -> None:
    """Of every request of the guest, once all of them have their ends."""
    await rig.until_done(watched.waiting + len(watched.asked), "the other tenant")
    for number, (when, at) in enumerate(watched.asked):
        row = await rig.store.connection.fetchrow(
            "SELECT finished_at, (document -> 'event' ->> 'queue_ms')::float8 / 1000 AS queued "
            "FROM completions WHERE tenant_id = $1 AND completion_id = $2",
            GUEST_TENANT,
            completion_id(GUEST_TENANT, number),
        )
        assert row is not None
        age = (row["finished_at"] - at).total_seconds()
        watched.ages.setdefault(when, []).append((age, row["queued"]))


def _memory(rows: Sequence[Watched], idle: int) -> Iterator[tuple[str, ...]]:
    for row in rows:
        memory = (idle, row.taking_in, row.working, row.after)
        yield (
            f"{row.waiting:,}",
            *(f"{size / 1e6:.0f}" if size else "" for size in memory),
            f"{row.taken_in:.1f}", f"{row.rate:,.0f}", f"{row.seconds:.1f}",
        )  # fmt: skip


def _ages(rows: Sequence[Watched]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for when, both in row.ages.items():
            columns = zip(*both, strict=True)
            figures = [(statistics.median(column), max(column)) for column in columns]
            shown = (f"{seconds:.2f}" for pair in figures for seconds in pair)
            yield (f"{row.waiting:,}", when, f"{len(both)}", *shown)
