from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.partitioner import (  # type: ignore[import-untyped]  # ships no types
    murmur2 as murmur2_of_aiokafka,
)
from bus.local import LocalLog
from bus.local.assignment import assign
from bus.local.partitioner import murmur2, partition_of
from bus.port import Consumer, TopicSpec
from bus.record import OutRecord, TopicPartition
from devkit.conformance.polling import (
    WITHIN,
    drain,
    nothing_comes,
    numbered,
    send,
    values,
)
from hypothesis import given
from hypothesis import strategies as st

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log.db")
    yield opened
    await opened.close()


@given(
    topics=st.dictionaries(st.sampled_from("abc"), st.integers(1, 6), min_size=1),
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=6),
)
def test_assignment_is_complete_even_and_sticky(topics: dict[str, int], counts: list[int]) -> None:
    partitions = [TopicPartition(t, n) for t, count in topics.items() for n in range(count)]
    owners: dict[TopicPartition, int] = {}
    for count in counts:
        before, owners = (
            owners,
            assign(partitions, owners, {member: topics.keys() for member in range(count)}),
        )
        loads = Counter(owners.values())
        sizes = [loads[member] for member in range(count)]
        assert set(owners) == set(partitions)
        assert set(owners.values()) <= set(range(count))
        assert max(sizes) - min(sizes) <= 1
        moved = sum(before.get(p) != owner for p, owner in owners.items())
        orphans = sum(before.get(p, count) >= count for p in partitions)
        loads_before = Counter(owner for owner in before.values() if owner < count)
        fair = len(partitions) // count
        assert moved <= orphans + sum(max(0, load - fair) for load in loads_before.values())


def test_partitions_go_only_to_members_that_subscribe() -> None:
    partitions = [TopicPartition(topic, n) for topic in "ab" for n in range(4)]
    owners = assign(partitions, {}, {"both": {"a", "b"}, "only-b": {"b"}})
    assert {p for p, owner in owners.items() if owner == "only-b"} == set(partitions[4:])
    assert assign(partitions, owners, {}) == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(("busy", "quiet"), [(0, 3), (3, 0)])
async def test_a_busy_partition_does_not_starve_another(
    log: LocalLog, busy: int, quiet: int
) -> None:
    await log.create_topics([TopicSpec("t", 4, HOUR)])
    consumer = await log.consumer("g", ["t"])
    many = numbered("t", 5000, key=key_of(busy, 4))
    await send(log, [*many, OutRecord("t", key_of(quiet, 4), b"quiet")])
    found = await consumer.poll(10, WITHIN)
    assert b"quiet" in values(found)
    assert len(found) == 10  # what the quiet one leaves of its share goes to the other


@pytest.mark.asyncio
async def test_partitions_take_turns_when_one_record_is_asked_for(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 4, HOUR)])
    consumer = await log.consumer("g", ["t"])
    await send(log, numbered("t", 400))
    sources = [(await consumer.poll(1, WITHIN))[0].source for _ in range(8)]
    assert len(set(sources[:4])) == 4
    assert sources[4:] == sources[:4]


@pytest.mark.asyncio
async def test_a_listener_that_fails_does_not_stop_the_group(
    log: LocalLog, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        async def on_assigned(self, partitions: object) -> None:
            raise RuntimeError("assigned")

        async def on_revoked(self, partitions: object) -> None:
            raise RuntimeError("revoked")

    await log.create_topics([TopicSpec("t", 2, HOUR)])
    first = await log.consumer("g", ["t"], Failing())
    second = await log.consumer("g", ["t"])
    assert len(first.assignment()) == len(second.assignment()) == 1
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["assigned", "revoked"]


class Blocking:
    """A listener that holds back every revocation until ``gate`` opens."""

    def __init__(self) -> None:
        self.revoking = asyncio.Event()
        self.gate = asyncio.Event()

    async def on_assigned(self, partitions: object) -> None:
        pass

    async def on_revoked(self, partitions: object) -> None:
        self.revoking.set()
        await asyncio.wait_for(self.gate.wait(), WITHIN)


@pytest.mark.asyncio
async def test_a_partition_being_revoked_is_not_read_any_more(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    listener = Blocking()
    first = await log.consumer("g", ["t"], listener)
    joining = asyncio.create_task(log.consumer("g", ["t"]))
    await listener.revoking.wait()
    await send(log, numbered("t", 100))
    ends = await log.end_offsets("t")
    try:
        (kept,) = {record.source for record in await first.poll(1000, WITHIN)}
        await nothing_comes(first)
    finally:
        listener.gate.set()
    second = await joining
    assert first.assignment() == {kept}
    (lost,) = second.assignment()
    assert len(await drain(second, ends[lost])) == ends[lost]


@pytest.mark.asyncio
async def test_a_pause_holds_for_a_poll_under_way(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    consumer = await log.consumer("g", ["t"])
    await send(log, numbered("t", 100))
    polling = asyncio.create_task(consumer.poll(1000, WITHIN))
    await asyncio.sleep(0)  # now it reads on the thread
    held, flowing = sorted(consumer.assignment())
    consumer.pause({held})
    assert {record.source for record in await polling} == {flowing}
    consumer.resume({held})
    assert {record.source for record in await consumer.poll(1000, WITHIN)} == {held}


@pytest.mark.asyncio
async def test_a_seek_holds_for_a_poll_under_way(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    consumer = await log.consumer("g", ["t"])
    await send(log, numbered("t", 100))
    polling = asyncio.create_task(consumer.poll(1000, WITHIN))
    await asyncio.sleep(0)  # now it reads on the thread
    consumer.seek(TopicPartition("t", 0), 90)
    assert [record.offset for record in await polling] == list(range(90, 100))


@pytest.mark.asyncio
async def test_a_poll_given_up_loses_nothing(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    consumer = await log.consumer("g", ["t"])
    await send(log, numbered("t", 100))
    polling = asyncio.create_task(consumer.poll(1000, WITHIN))
    await asyncio.sleep(0)  # now it reads on the thread
    polling.cancel()
    await asyncio.wait([polling])
    assert len(await drain(consumer, 100)) == 100


@pytest.mark.asyncio
async def test_a_commit_under_way_counts_for_the_next_owner(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    first, heir = await log.consumer("g", ["t"]), await log.consumer("g", ["t"])
    (leaving,) = first.assignment()
    await send(log, numbered("t", 100))
    end = (await log.end_offsets("t"))[leaving]
    await drain(heir, 100 - end)
    committing = asyncio.create_task(first.commit({leaving: end}))
    await asyncio.sleep(0)
    committing.cancel()  # whoever asked has gone, but it was accepted
    await first.close()
    assert leaving in heir.assignment()
    await nothing_comes(heir)


@pytest.mark.asyncio
@pytest.mark.parametrize("offset", [-1, 1 << 40])
async def test_what_is_no_offset_is_refused(log: LocalLog, offset: int) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    partition = TopicPartition("t", 1)
    with pytest.raises(ValueError, match="not an offset"):
        await log.read(partition, offset, 1)
    with pytest.raises(ValueError, match="not an offset"):
        await log.reset("g", {partition: offset})
    consumer = await log.consumer("g", ["t"])
    with pytest.raises(ValueError, match="not an offset"):
        consumer.seek(partition, offset)
    with pytest.raises(ValueError, match="not an offset"):
        await consumer.commit({partition: offset})


@pytest.mark.asyncio
async def test_a_join_given_up_leaves_no_member_behind(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    listener = Blocking()
    first = await log.consumer("g", ["t"], listener)
    joining = asyncio.create_task(log.consumer("g", ["t"]))
    await listener.revoking.wait()
    joining.cancel()
    await asyncio.wait([joining])
    assert joining.cancelled()
    listener.gate.set()
    await send(log, numbered("t", 20))
    assert len(await drain(first, 20)) == 20


@pytest.mark.asyncio
async def test_more_members_than_partitions_wait_their_turn(log: LocalLog) -> None:
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    first: Consumer = await log.consumer("g", ["t"])
    second: Consumer = await log.consumer("g", ["t"])
    assert not second.assignment()
    waiting = asyncio.create_task(second.poll(10, WITHIN))
    await send(log, numbered("t", 3))
    await first.close()
    assert len(await waiting) == 3


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_as_in_kafkas_own_tests(key: bytes, expected: int) -> None:
    (signed,) = struct.unpack("<i", struct.pack("<I", murmur2(key)))
    assert signed == expected


@given(key=st.binary(max_size=80), partitions=st.integers(1, 64))
def test_partitions_are_those_of_aiokafka(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2_of_aiokafka(key) & 0x7FFFFFFF) % partitions


def key_of(partition: int, partitions: int) -> bytes:
    return next(
        k for k in (b"%d" % n for n in range(999)) if partition_of(k, partitions) == partition
    )
