"""An llm-executor that is killed again and again while it works, and what that led to."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from bus.local import LocalLog
from bus.record import Record
from contracts.envelope import from_headers
from contracts.topics import COMPLETION_FINISHED, COMPLETION_REQUESTED, dlq_name
from tests.load.executor_bed import STUCK_SECONDS, Bed, Rig, Store, Stuck
from tests.load.executor_requests import Load

# Drawn for each call, so that at a kill there are calls in every stage.
FAULTS = {"latency_s": 0.05, "latency_jitter_s": 0.1}
EARLY = 0.1  # of the kills come while it starts, or soon after
EARLY_SECONDS = 2.0
SETTLE_SECONDS = 15.0
_GROUP = "llm-executor"
_DEAD = dlq_name(COMPLETION_REQUESTED.name, _GROUP)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sweep:
    """So many kills while so many requests are worked off; ``seed`` draws the moments."""

    requests: int
    kills: int
    seed: int
    in_flight: int = 32

    def moments(self) -> Iterator[Moment]:
        """When to kill. Three quarters of the requests, on average, end before the last kill."""
        rng = random.Random(self.seed)
        most = 1.2 * self.requests / self.kills
        for _ in range(self.kills):
            if rng.random() < EARLY:
                yield Moment(None, rng.uniform(0, EARLY_SECONDS))
            else:
                yield Moment(round(rng.uniform(0, most)), rng.uniform(0, 0.15))


@dataclass(frozen=True)
class Moment:
    """``seconds`` after this process has brought so many requests to their end; None: its start.

    Progress and not time alone, or a slow machine would never get anywhere.
    """

    ends: int | None
    seconds: float


@dataclass(frozen=True)
class Kill:
    """One kill: how old the process was, what it had ended, and what was open."""

    age: float
    ends: int
    in_flight: int  # at the simulator, looked at just before
    claims: frozenset[tuple[UUID, UUID]]  # completion and owner, whose outcome nobody knows


@dataclass(frozen=True)
class End:
    """What is stored of a completion."""

    outcome: str
    attempts: int
    said_unknown: bool
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Everything that is known once all have ended.

    ``published`` holds id and body of every event on the log, repetitions included. ``repeated``
    different requests were made more than once to the simulator; all in all it had ``calls``,
    at most ``at_once``.
    """

    sweep: Sweep
    seconds: float
    kills: Sequence[Kill]
    requested: frozenset[UUID]
    stored: Mapping[UUID, End]
    published: Mapping[UUID, Sequence[tuple[str, bytes]]]
    dead_letters: int
    calls: int
    distinct: int
    repeated: int
    at_once: int

    @property
    def repeats(self) -> int:
        """Calls that were made, and paid, again."""
        return self.calls - self.distinct

    @property
    def unknown(self) -> frozenset[tuple[UUID, UUID]]:
        """All claims that a kill cut; one that a process left to the next one counts once."""
        return frozenset().union(*(kill.claims for kill in self.kills))

    @property
    def said_unknown(self) -> frozenset[UUID]:
        """Completions whose event says that a call may have been made before."""
        return frozenset(key for key, end in self.stored.items() if end.said_unknown)


def complaints(found: Evidence) -> list[str]:
    """What is not as it should be; none is right."""
    checks = (*_of_results(found), *_of_calls(found))
    return [f"{what}: {count}" for what, count in checks if count]


def _of_results(found: Evidence) -> Iterator[tuple[str, int]]:
    stored, published = found.stored, found.published
    yield "requests without a stored end", len(found.requested - stored.keys())
    yield "ends that nobody asked for", len(stored.keys() - found.requested)
    yield "ends that are no answer", sum(end.outcome != "answered" for end in stored.values())
    yield "ends that were not published", len(stored.keys() - published.keys())
    yield "events that are not stored", len(published.keys() - stored.keys())
    yield "completions with two events", sum(len(set(every)) > 1 for every in published.values())
    both = stored.keys() & published.keys()
    different = sum(json.loads(published[key][0][1]) != stored[key].event for key in both)
    yield "events that are not what is stored", different
    yield "dead letters", found.dead_letters


def _of_calls(found: Evidence) -> Iterator[tuple[str, int]]:
    unknown = {completion for completion, _ in found.unknown}
    yield "answers that never came from a call", max(0, len(found.stored) - found.distinct)
    yield "calls tried again without a fault", sum(e.attempts > 1 for e in found.stored.values())
    yield "calls at once beyond the window", max(0, found.at_once - found.sweep.in_flight)
    yield "repeats beyond the calls cut by kills", max(0, found.repeats - len(found.unknown))
    most = found.sweep.in_flight * len(found.kills)
    yield "repeats beyond what may be in flight at kills", max(0, found.repeats - most)
    yield "repeats that nothing tells of", max(0, found.repeated - len(found.said_unknown))
    yield "cut calls that nothing tells of", len(unknown - found.said_unknown)
    yield "calls said to be cut that were not", len(found.said_unknown - unknown)


async def run(bed: Bed, name: str, sweep: Sweep, tell: Tell) -> Evidence:
    """Kill at every moment, let the last process end all, and gather the evidence."""
    begun, load = time.monotonic(), Load(sweep.requests, priority="batch")
    async with bed.rig(name, load, FAULTS, max_in_flight=sweep.in_flight) as rig:
        kills: list[Kill] = []
        for moment in sweep.moments():
            kill = await _killed(rig, moment, sweep.requests)
            if kill is None:
                tell(f"  all had ended after {len(kills)} kills")
                break
            kills.append(kill)
            if len(kills) % 10 == 0:
                written = await rig.store.ended()
                tell(f"  {len(kills)} of {sweep.kills} kills, {written:,} requests ended")
        rig.executor.kill()
        rig.executor.start()
        await rig.until_done(sweep.requests, "the last process")
        status = await rig.executor.stop()
        if status != 0:
            raise Stuck(f"the last process ended with {status}:\n{rig.executor.output()}")
        return await _evidence(rig, sweep, kills, load, time.monotonic() - begun)


async def _killed(rig: Rig, moment: Moment, requests: int) -> Kill | None:
    """One life; None if nothing is left to be killed at."""
    before, start = await rig.store.ended(), time.monotonic()
    rig.executor.start()
    if moment.ends is not None:
        await _progress(rig, min(requests, await rig.store.written() + moment.ends))
    await asyncio.sleep(moment.seconds)
    in_flight = int(rig.simulator.stats()["in_flight"])
    rig.executor.kill()
    age = time.monotonic() - start
    await _settled(rig.store)
    ended = await rig.store.ended()
    if ended == requests:
        return None
    return Kill(age, ended - before, in_flight, await _claims(rig.store))


async def _progress(rig: Rig, written: int) -> None:
    end = time.monotonic() + STUCK_SECONDS
    while await rig.store.written() < written:
        if not rig.executor.alive or time.monotonic() > end:
            raise Stuck(f"no progress after a kill:\n{rig.executor.output()}")
        await asyncio.sleep(0.01)


async def _settled(store: Store) -> None:
    """Until the server has noticed: what it had been sent before, it may still commit."""
    end = time.monotonic() + SETTLE_SECONDS
    while await store.others():
        if time.monotonic() > end:
            raise Stuck("PostgreSQL still serves a process that was killed")
        await asyncio.sleep(0.005)


async def _claims(store: Store) -> frozenset[tuple[UUID, UUID]]:
    if not await store.exists():  # killed before it had made its tables
        return frozenset()
    rows = await store.connection.fetch(
        "SELECT completion_id, owner FROM completions WHERE document IS NULL AND owner IS NOT NULL"
    )
    return frozenset((_plain(row["completion_id"]), _plain(row["owner"])) for row in rows)


def _plain(found: UUID) -> UUID:
    """Of the driver's own class of UUIDs, whose look is another."""
    return UUID(bytes=found.bytes)


async def _evidence(
    rig: Rig, sweep: Sweep, kills: Sequence[Kill], load: Load, seconds: float
) -> Evidence:
    stats = rig.simulator.stats()
    published, dead = await _on_log(rig.folder / "log.sqlite")
    return Evidence(
        sweep=sweep,
        seconds=seconds,
        kills=kills,
        requested=frozenset(load.ids),
        stored=await _stored(rig.store),
        published=published,
        dead_letters=dead,
        calls=int(stats["answerable"]),
        distinct=int(stats["distinct"]),
        repeated=rig.simulator.repeated(),
        at_once=int(stats["max_concurrency"]),
    )


async def _stored(store: Store) -> dict[UUID, End]:
    rows = await store.connection.fetch(
        "SELECT completion_id, document ->> 'event' AS event FROM completions "
        "WHERE document IS NOT NULL"
    )
    return {_plain(row["completion_id"]): _end(json.loads(row["event"])) for row in rows}


def _end(event: Mapping[str, Any]) -> End:
    return End(event["outcome"], event["attempts"], event["outcome_unknown"], event)


async def _on_log(path: Path) -> tuple[dict[UUID, list[tuple[str, bytes]]], int]:
    log = await LocalLog.open(path)
    try:
        events: dict[UUID, list[tuple[str, bytes]]] = {}
        async for record in _records(log, COMPLETION_FINISHED.name):
            assert record.key is not None
            assert record.value is not None
            envelope = from_headers(record.headers)
            events.setdefault(UUID(record.key.decode()), []).append((envelope.id, record.value))
        return events, sum((await log.end_offsets(_DEAD)).values())
    finally:
        await log.close()


async def _records(log: LocalLog, topic: str) -> AsyncIterator[Record]:
    for partition in await log.end_offsets(topic):
        at = 0
        while batch := await log.read(partition, at, 1000):
            for record in batch:
                yield record
            at += len(batch)
