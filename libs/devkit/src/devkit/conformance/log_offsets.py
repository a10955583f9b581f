"""What a log promises of the offsets of consumer groups."""

from __future__ import annotations

import asyncio

import pytest
from bus.errors import BusError
from bus.lag import lag
from bus.port import Log
from bus.record import TopicPartition

from devkit.conformance.log_records import PARTITIONS, Expire, TopicFixture
from devkit.conformance.polling import (
    WITHIN,
    drain,
    next_offsets,
    nothing_comes,
    numbered,
    positions,
    reading,
    send,
    unique,
    values,
)


@pytest.mark.asyncio
class OffsetConformance(TopicFixture):
    """Committing, resetting, and what is counted by both."""

    async def test_what_is_reached_is_never_past_what_was_returned(
        self, log: Log, topic: str, group: str
    ) -> None:
        await send(log, numbered(topic, 40, key=b"one"))
        consumer = await log.consumer(group, [topic])
        ends = await log.end_offsets(topic)
        source = max(ends, key=ends.__getitem__)
        returned = 0
        while returned < 40:
            returned += len(await consumer.poll(7, WITHIN))
            assert consumer.reached().get(source, 0) <= returned
        async with asyncio.timeout(WITHIN):
            while consumer.reached() != ends:
                await consumer.poll(7, 0.1)
        consumer.pause({source})
        await send(log, numbered(topic, 5, key=b"one"))
        await nothing_comes(consumer)
        assert consumer.reached().get(source, 0) <= 40
        await consumer.close()
        assert consumer.reached() == {}

    async def test_commits_count_from_zero_and_per_partition(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        expected = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}
        assert await log.committed(group, topic) == expected
        await send(log, numbered(topic, 20, key=b"one"))
        (source,) = {record.source for record in await drain(consumer, 20)}
        for offset in (12, 20, 5):  # backwards too: whoever commits decides
            await consumer.commit({source: offset})
            assert await log.committed(group, topic) == expected | {source: offset}
        assert set((await log.committed(unique("group"), topic)).values()) == {0}

    async def test_nobody_is_behind_for_what_retention_has_removed(
        self, log: Log, topic: str, group: str, expire: Expire
    ) -> None:
        await send(log, numbered(topic, 20, key=b"one"))
        consumer = await log.consumer(group, [topic])
        found = await drain(consumer, 20)
        await consumer.commit(next_offsets(found[:5]))
        await consumer.close()
        late = unique("group")
        assert (await lag(log, topic, group), await lag(log, topic, late)) == (15, 20)
        await expire(topic)
        assert (await lag(log, topic, group), await lag(log, topic, late)) == (0, 0)
        await send(log, numbered(topic, 3, key=b"one"))
        assert (await lag(log, topic, group), await lag(log, topic, late)) == (3, 3)
        successor = await log.consumer(late, [topic])
        assert values(await drain(successor, 3)) == [b"0", b"1", b"2"]

    async def test_reset_moves_a_group_without_members(
        self, log: Log, topic: str, group: str
    ) -> None:
        await send(log, numbered(topic, 20, key=b"one"))
        consumer = await log.consumer(group, [topic])
        found = await drain(consumer, 20)
        await consumer.commit(next_offsets(found))
        await consumer.close()
        await log.reset(group, {found[0].source: 15})
        assert (await log.committed(group, topic))[found[0].source] == 15
        successor = await log.consumer(group, [topic])
        assert positions(await drain(successor, 5)) == positions(found[15:])

    async def test_reset_refuses_a_group_with_members(
        self, log: Log, topic: str, group: str
    ) -> None:
        consumer = await log.consumer(group, [topic])
        async with reading(consumer) as members:
            await members.until(lambda: len(consumer.assignment()) == PARTITIONS)
            with pytest.raises(BusError):
                await log.reset(group, {TopicPartition(topic, 0): 1})
        assert set((await log.committed(group, topic)).values()) == {0}
