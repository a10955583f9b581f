"""What a log promises of the members of consumer groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

import pytest
from bus.errors import Fenced, LogUnavailable
from bus.port import Consumer, Log, TopicSpec
from bus.record import TopicPartition

from devkit.conformance.log_records import DAY, PARTITIONS, TopicFixture
from devkit.conformance.polling import (
    QUIET,
    WITHIN,
    drain,
    lines_of,
    next_line,
    next_offsets,
    nothing_comes,
    numbered,
    positions,
    reading,
    send,
    share_all,
    unique,
    values,
)

# A member in another process: says what it is assigned and what it reads until stdin ends.
_OTHER_PROCESS = """
import asyncio, sys
{connect}
async def main():
    log = await connect()
    consumer = await log.consumer({group!r}, [{topic!r}])
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not ended.done():
        for record in await consumer.poll(100, 0.2):
            print("read", record.partition, record.offset, flush=True)
        if consumer.assignment():
            print("assigned", flush=True)
    await log.close()
asyncio.run(main())
"""


class Listener:
    """Keeps what it is told; commits ``done`` when partitions leave, once ``gate`` is open."""

    def __init__(self) -> None:
        self.consumer: Consumer | None = None
        self.done: dict[TopicPartition, int] = {}
        self.assigned: set[TopicPartition] = set()
        self.revoking = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Part of ``bus.port.RebalanceListener``."""
        self.assigned |= partitions

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Part of ``bus.port.RebalanceListener``."""
        self.assigned -= partitions
        self.revoking.set()
        await self.gate.wait()
        done = {p: offset for p, offset in self.done.items() if p in partitions}
        if self.consumer is not None and done:
            await self.consumer.commit(done)


@pytest.mark.asyncio
class GroupConformance(TopicFixture):
    """Membership and polling."""

    async def test_a_late_group_starts_at_the_earliest_record(
        self, log: Log, topic: str, group: str
    ) -> None:
        await send(log, numbered(topic, 50))
        consumer = await log.consumer(group, [topic])
        found = await drain(consumer, 50)
        assert set(values(found)) == {b"%d" % n for n in range(50)}
        assert len(found) == 50

    async def test_polling_keeps_the_order_of_a_partition(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        await send(log, numbered(topic, 300, key=b"one"))
        assert values(await drain(consumer, 300)) == [b"%d" % n for n in range(300)]

    async def test_one_member_reads_several_topics(self, log: Log, topic: str, group: str) -> None:
        other = unique("conformance")
        await log.create_topics([TopicSpec(other, 1, DAY)])
        consumer = await log.consumer(group, [topic, other])
        await send(log, numbered(topic, 20) + numbered(other, 20))
        found = await drain(consumer, 40)
        assert [record.topic for record in found].count(other) == 20
        assert len(set(positions(found))) == 40

    async def test_a_group_resumes_where_it_committed(
        self, log: Log, topic: str, group: str, reopen: Callable[[], Awaitable[Log]]
    ) -> None:
        await send(log, numbered(topic, 40))
        consumer = await log.consumer(group, [topic])
        first = await drain(consumer, 40)
        await consumer.commit(next_offsets(first))
        await consumer.close()
        again = await reopen()
        await send(again, numbered(topic, 10))
        resumed = await again.consumer(group, [topic])
        found = await drain(resumed, 10)
        await nothing_comes(resumed)
        assert len(found) == 10
        assert not set(positions(found)) & set(positions(first))

    async def test_what_was_not_committed_goes_to_the_next_member(
        self, log: Log, topic: str, group: str
    ) -> None:
        await send(log, numbered(topic, 40))
        consumer = await log.consumer(group, [topic])
        found = await drain(consumer, 40)
        kept = next_offsets(found[:15])
        await consumer.commit(kept)
        await consumer.close()
        expected = [r for r in found if r.offset >= kept.get(r.source, 0)]
        successor = await log.consumer(group, [topic])
        again = await drain(successor, len(expected))
        await nothing_comes(successor)
        assert positions(again) == positions(expected)

    async def test_every_group_sees_every_record(self, log: Log, topic: str) -> None:
        consumers = [await log.consumer(unique("group"), [topic]) for _ in range(2)]
        await send(log, numbered(topic, 60))
        first, second = [await drain(consumer, 60) for consumer in consumers]
        assert len(set(positions(first))) == 60
        assert positions(first) == positions(second)

    async def test_two_members_share_the_partitions(self, log: Log, topic: str, group: str) -> None:
        async with self._two_members(log, topic, group) as (first, second):
            async with reading(first, second) as members:
                await send(log, numbered(topic, 200))
                await members.until(lambda: len(members.records) >= 200)
                for consumer in (first, second):
                    owned = {record.source for record in members.got[consumer]}
                    assert owned == consumer.assignment()
            await nothing_comes(first, second)
            assert len(members.records) == len(set(positions(members.records))) == 200

    async def test_a_leaving_member_hands_over_from_its_commit(
        self, log: Log, topic: str, group: str
    ) -> None:
        async with self._two_members(log, topic, group) as (leaver, heir):
            async with reading(leaver, heir) as members:
                await send(log, numbered(topic, 100))
                await members.until(lambda: len(members.records) >= 100)
                await members.remove(leaver)
                await heir.commit(next_offsets(members.got[heir]))
                done = next_offsets(members.got[leaver][:10])
                await leaver.commit(done)
                left = [r for r in members.got[leaver] if r.offset >= done.get(r.source, 0)]
                before = len(members.got[heir])
                await leaver.close()
                await members.until(lambda: len(members.got[heir]) >= before + len(left))
            await nothing_comes(heir)
            assert positions(members.got[heir][before:]) == positions(left)
            assert len(heir.assignment()) == PARTITIONS

    async def test_a_commit_while_partitions_are_revoked_takes_effect(
        self, log: Log, topic: str, group: str
    ) -> None:
        listener = Listener()
        first = listener.consumer = await log.consumer(group, [topic], listener)
        await send(log, numbered(topic, 80))
        old = await drain(first, 80)
        listener.done = next_offsets(old)
        async with reading(first) as members:
            second = await log.consumer(group, [topic])
            members.add(second)
            await members.until(share_all([first, second], await log.end_offsets(topic)))
            await send(log, numbered(topic, 80))
            await members.until(lambda: len(members.records) >= 80)
        await nothing_comes(first, second)
        assert len(members.records) == 80
        assert not set(positions(members.records)) & set(positions(old))

    async def test_closing_a_member_lets_it_commit_first(
        self, log: Log, topic: str, group: str
    ) -> None:
        listener = Listener()
        consumer = listener.consumer = await log.consumer(group, [topic], listener)
        await send(log, numbered(topic, 20))
        listener.done = next_offsets(await drain(consumer, 20))
        await consumer.close()
        await consumer.close()
        assert await log.committed(group, topic) == await log.end_offsets(topic)

    async def test_the_new_owner_waits_until_the_old_one_has_let_go(
        self, log: Log, topic: str, group: str
    ) -> None:
        listener = Listener()
        first = await log.consumer(group, [topic], listener)
        listener.gate.clear()
        async with reading(first) as members:
            joining = asyncio.create_task(log.consumer(group, [topic]))
            await asyncio.wait_for(listener.revoking.wait(), WITHIN)
            await asyncio.wait([joining], timeout=QUIET)
            assert not joining.done() or not joining.result().assignment()
            listener.gate.set()
            second = await joining
            members.add(second)
            await members.until(share_all([first, second], await log.end_offsets(topic)))
            assert listener.assigned == first.assignment()

    async def test_a_lost_partition_cannot_be_committed(
        self, log: Log, topic: str, group: str
    ) -> None:
        await send(log, numbered(topic, 100))
        async with self._two_members(log, topic, group) as (first, second):
            kept, lost = min(first.assignment()), min(second.assignment())
            for offsets in ({lost: 5}, {kept: 3, lost: 5}):
                with pytest.raises(Fenced):
                    await first.commit(offsets)
            assert set((await log.committed(group, topic)).values()) == {0}
            await first.commit({kept: 3})
            assert (await log.committed(group, topic))[kept] == 3

    async def test_a_paused_partition_waits_and_loses_nothing(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        await send(log, numbered(topic, 100))
        await drain(consumer, 100)
        half = await log.end_offsets(topic)
        held, *flowing = sorted(half)
        consumer.pause({held})
        await send(log, numbered(topic, 100))
        ends = await log.end_offsets(topic)
        found = await drain(consumer, sum(ends[p] - half[p] for p in flowing))
        await nothing_comes(consumer)
        assert {record.source for record in found} == set(flowing)
        consumer.resume({held})
        late = await drain(consumer, ends[held] - half[held])
        assert {record.source for record in late} == {held}
        assert [record.offset for record in late] == list(range(half[held], ends[held]))

    @pytest.mark.parametrize("target", [0, 4, 9])
    async def test_seek_moves_one_partition_and_commits_nothing(
        self, log: Log, topic: str, group: str, target: int
    ) -> None:
        consumer = await log.consumer(group, [topic])
        await send(log, numbered(topic, 10, key=b"one"))
        first = await drain(consumer, 10)
        consumer.seek(first[0].source, target)
        again = await drain(consumer, 10 - target)
        await nothing_comes(consumer)
        assert positions(again) == positions(first[target:])
        assert set((await log.committed(group, topic)).values()) == {0}

    async def test_an_empty_poll_ends_with_its_timeout(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        async with asyncio.timeout(WITHIN):
            assert list(await consumer.poll(10, 0.1)) == []
            assert list(await consumer.poll(10, 0)) == []

    async def test_a_poll_returns_as_soon_as_a_record_is_there(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        started = time.monotonic()
        polling = asyncio.create_task(consumer.poll(10, 4 * WITHIN))
        await asyncio.wait([polling], timeout=QUIET)
        assert not polling.done()
        await send(log, numbered(topic, 1))
        assert values(await polling) == [b"0"]
        assert time.monotonic() - started < WITHIN

    @pytest.mark.parametrize("limit", [1, 7])
    async def test_a_poll_returns_no_more_than_it_was_asked_for(
        self, log: Log, topic: str, group: str, limit: int
    ) -> None:
        await send(log, numbered(topic, 40))
        consumer = await log.consumer(group, [topic])
        polls = [await consumer.poll(limit, WITHIN) for _ in range(3)]
        assert all(1 <= len(polled) <= limit for polled in polls)
        found = [record for polled in polls for record in polled]
        found += await drain(consumer, 40 - len(found))
        assert len(found) == len(set(positions(found))) == 40

    async def test_a_poll_on_a_closed_log_says_so(self, log: Log, topic: str, group: str) -> None:
        consumer = await log.consumer(group, [topic])
        polling = asyncio.create_task(consumer.poll(10, WITHIN))
        await asyncio.wait([polling], timeout=QUIET)
        await log.close()
        with pytest.raises(LogUnavailable):
            await polling
        with pytest.raises(LogUnavailable):
            await consumer.poll(10, 0)

    async def test_members_in_two_processes_share_the_partitions(
        self, log: Log, topic: str, group: str, connect: str
    ) -> None:
        here = await log.consumer(group, [topic])
        source = _OTHER_PROCESS.format(connect=connect, group=group, topic=topic)
        async with lines_of(source) as there, reading(here) as members:
            assert await next_line(there) == b"assigned\n", "the other process could not join"
            await members.until(lambda: 0 < len(here.assignment()) < PARTITIONS)
            await send(log, numbered(topic, 100))
            ends = await log.end_offsets(topic)
            mine = sum(ends[partition] for partition in here.assignment())
            await members.until(lambda: len(members.records) >= mine)
            theirs: list[bytes] = []
            while len(theirs) < 100 - mine:
                line = await next_line(there)
                theirs += [line] if line.startswith(b"read") else []
        assert len(members.records) == mine
        assert len(set(theirs)) == 100 - mine

    @asynccontextmanager
    async def _two_members(
        self, log: Log, topic: str, group: str
    ) -> AsyncIterator[tuple[Consumer, Consumer]]:
        """Two members, polled for as long as it takes them to share all partitions."""
        first = await log.consumer(group, [topic])
        async with reading(first) as members:
            second = await log.consumer(group, [topic])
            members.add(second)
            await members.until(share_all([first, second], await log.end_offsets(topic)))
        yield first, second
        await first.close()
        await second.close()
