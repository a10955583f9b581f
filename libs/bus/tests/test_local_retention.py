from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from bus.errors import Permanent
from bus.local import LocalLog
from bus.port import TopicSpec
from bus.record import OutRecord, TopicPartition
from devkit.conformance.polling import (
    WITHIN,
    drain,
    nothing_comes,
    numbered,
    read_all,
    send,
    values,
)

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000


class Clock:
    """Unix time in ms, by hand."""

    def __init__(self) -> None:
        self.now = 1_000 * HOUR_MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def log(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log.db", clock=clock)
    yield opened
    await opened.close()


@pytest.mark.asyncio
async def test_prune_removes_what_is_older_than_the_retention(log: LocalLog, clock: Clock) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR), TopicSpec("longer", 1, 3 * HOUR)])
    await send(log, numbered("t", 100) + numbered("longer", 5))
    clock.now += HOUR_MS
    await send(log, numbered("t", 7))
    assert await log.prune(clock.now) == 0  # as old as the retention, not older
    ends = await log.end_offsets("t")
    assert await log.prune(clock.now + 1) == 100
    assert await log.prune(clock.now + 1) == 0
    assert await log.end_offsets("t") == ends
    consumer = await log.consumer("g", ["t", "longer"])
    found = await drain(consumer, 12)
    await nothing_comes(consumer)
    assert Counter(record.topic for record in found) == {"t": 7, "longer": 5}


@pytest.mark.asyncio
async def test_offsets_go_on_after_everything_was_pruned(
    log: LocalLog, clock: Clock, tmp_path: Path
) -> None:
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    await send(log, numbered("t", 1500))
    consumer = await log.consumer("g", ["t"])
    assert await log.prune(clock.now + 2 * HOUR_MS) == 1500
    assert list(await consumer.poll(10, 0)) == []
    await log.close()
    again = await LocalLog.open(tmp_path / "log.db")
    await send(again, numbered("t", 1))
    (found,) = await again.read(TopicPartition("t", 0), 0, 10)
    await again.close()
    assert found.offset == 1500


@pytest.mark.asyncio
@pytest.mark.parametrize("per_send", [1, 3, 400])
async def test_a_compacted_topic_keeps_the_last_record_per_key(
    log: LocalLog, clock: Clock, per_send: int
) -> None:
    await log.create_topics([TopicSpec("t", 2, None)])
    records = [
        OutRecord("t", b"key-%d" % (n % 30), b"%d" % n, (("n", b"%d" % n),)) for n in range(400)
    ]
    for at in range(0, len(records), per_send):
        await send(log, records[at : at + per_send])
    before = await read_all(log, "t")
    assert await log.prune(clock.now + 1000 * HOUR_MS) == 370
    consumer = await log.consumer("g", ["t"])
    found = await drain(consumer, 30)
    await nothing_comes(consumer)
    last = {record.key: record for record in before}
    assert {record.key: record for record in found} == last
    assert all(a.offset < b.offset for a, b in pairwise(found) if a.source == b.source)
    assert await log.prune(clock.now + 1000 * HOUR_MS) == 0


@pytest.mark.asyncio
async def test_a_tombstone_goes_a_day_after_what_it_deletes(log: LocalLog, clock: Clock) -> None:
    await log.create_topics([TopicSpec("t", 1, None)])
    await send(log, [OutRecord("t", b"k", b"v"), OutRecord("t", b"other", b"v")])
    await send(log, [OutRecord("t", b"k", None)])
    assert await log.prune(clock.now + 24 * HOUR_MS) == 1
    assert values(await log.read(TopicPartition("t", 0), 0, 10)) == [b"v", None]
    assert await log.prune(clock.now + 24 * HOUR_MS + 1) == 1
    (left,) = await log.read(TopicPartition("t", 0), 0, 10)
    assert left.key == b"other"


@pytest.mark.asyncio
async def test_a_compacted_topic_wants_keys(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 1, None)])
    with pytest.raises(Permanent, match="needs a key"):
        await send(log, [OutRecord("t", None, b"v")])


@pytest.mark.asyncio
async def test_pruning_beside_senders_and_readers_loses_nothing_else(
    log: LocalLog, clock: Clock
) -> None:
    await log.create_topics([TopicSpec("old", 2, HOUR), TopicSpec("last", 2, None)])
    await send(log, numbered("old", 2000) + numbered("last", 2000, key=b"k"))
    clock.now += 2 * HOUR_MS
    consumer = await log.consumer("g", ["old", "last"])

    async def senders() -> None:
        for n in range(100):
            await send(log, [OutRecord("old", b"new", b"%d" % n)])
            await send(log, [OutRecord("last", b"new-%d" % n, b"")])

    async def seen() -> set[bytes | None]:
        new: set[bytes | None] = set()
        while len(new) < 200:
            new |= {
                r.key if r.topic == "last" else r.value
                for r in await consumer.poll(50, 1)
                if (r.key or b"").startswith(b"new")
            }
        return new

    async with asyncio.timeout(WITHIN):
        _, removed, new = await asyncio.gather(senders(), log.prune(clock.now), seen())
    assert removed == 2000 + 1999
    assert len(new) == 200
