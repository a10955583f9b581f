"""The log that Hypothesis plays with keeps what the port promises, troubles apart."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
from bus.errors import Fenced, LogUnavailable
from bus.port import Log, TopicSpec
from devkit.conformance.log import LogConformance
from devkit.conformance.log_records import Expire
from devkit.conformance.polling import drain, next_offsets, numbered, send, values
from devkit.fake_log import FakeLog


class TestFakeLog(LogConformance):
    @pytest.fixture
    def log(self) -> Log:
        return FakeLog(random.Random(1))

    @pytest.fixture
    def reopen(self, log: Log) -> Callable[[], Awaitable[Log]]:
        async def same() -> Log:
            return log

        return same

    @pytest.fixture
    def expire(self, log: FakeLog) -> Expire:
        async def forget(topic: str) -> None:
            log.expire(topic)

        return forget

    @pytest.fixture
    def connect(self) -> str:
        return "async def connect():\n    raise SystemExit('it is in memory')"

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="it is in one process's memory")
    async def test_members_in_two_processes_share_the_partitions(
        self, log: Log, topic: str, group: str, connect: str
    ) -> None:
        await super().test_members_in_two_processes_share_the_partitions(log, topic, group, connect)


async def made() -> FakeLog:
    """A log with a topic of two partitions."""
    log = FakeLog(random.Random(3))
    await log.create_topics([TopicSpec("t", 2, None)])
    return log


@pytest.mark.asyncio
async def test_a_rebalance_reads_again_from_what_is_committed() -> None:
    log = await made()
    await send(log, numbered("t", 6, b"k"))
    consumer = await log.consumer("g", ["t"])
    first = await drain(consumer, 6)
    await consumer.commit(next_offsets(first[:2]))
    await log.rebalance("g")
    assert values(await drain(consumer, 4)) == [b"2", b"3", b"4", b"5"]


@pytest.mark.asyncio
async def test_members_that_were_lost_commit_nothing() -> None:
    log = await made()
    await send(log, numbered("t", 2, b"k"))
    lost = await log.consumer("g", ["t"])
    records = await drain(lost, 2)
    log.lose_members("g")
    with pytest.raises(Fenced):
        await lost.commit(next_offsets(records))
    assert len(await drain(await log.consumer("g", ["t"]), 2)) == 2


@pytest.mark.asyncio
async def test_a_log_that_is_down_takes_nothing() -> None:
    log = await made()
    consumer = await log.consumer("g", ["t"])
    log.down = True
    with pytest.raises(LogUnavailable):
        await send(log, numbered("t", 1))
    with pytest.raises(LogUnavailable):
        await consumer.commit({next(iter(consumer.assignment())): 1})
    assert not await log.healthy()
