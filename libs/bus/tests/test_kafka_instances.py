"""Members that have a name of their own: back after a restart, and never two of one name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

import pytest
import pytest_asyncio
from bus.codec import Delivered
from bus.compose import listening
from bus.errors import Fenced, InstanceFenced
from bus.host import connect
from bus.port import Consumer, Log, TopicSpec
from bus.record import TopicPartition
from contracts.events.base import Event
from devkit.conformance.polling import drain, numbered, send, unique
from devkit.servers.kafka import KafkaServer
from libs.bus.tests.toy_delivery import ALL_TOPICS, GROUP, PLACED
from runtime import crash
from runtime.deadline import Deadline
from runtime.settings import BadSettings, ServiceSettings, load

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.asyncio, pytest.mark.timeout(180)]
DAY = timedelta(days=1)
WAITED = 6.0  # the least that a broker takes for a session
PARTITIONS = 4


class Logs:
    """Logs of processes with names, closed at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[Log] = []

    async def named(self, instance: str, *, seconds: float = WAITED) -> Log:
        settings = load(
            ServiceSettings, log_url=self._url, instance=instance, instance_seconds=seconds
        )
        self._opened.append(await connect(settings))
        return self._opened[-1]

    async def close(self) -> None:
        for log in self._opened:
            await log.close()


@pytest_asyncio.fixture
async def logs(server: KafkaServer) -> AsyncIterator[Logs]:
    opened = Logs(server.url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def topic(logs: Logs) -> str:
    name = unique("instances")
    await (await logs.named("")).create_topics([TopicSpec(name, PARTITIONS, DAY)])
    return name


class Moves:
    """What a member is told of its partitions."""

    def __init__(self) -> None:
        self.assigned: list[AbstractSet[TopicPartition]] = []
        self.revoked = 0

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.assigned.append(partitions)

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        self.revoked += 1


async def shared(*members: Consumer) -> None:
    """Wait until each has as many partitions as the next."""
    async with asyncio.timeout(90):
        while {len(member.assignment()) for member in members} != {PARTITIONS // len(members)}:
            await asyncio.gather(*(member.poll(1, 0.1) for member in members))


async def polled_for_ever(member: Consumer) -> None:
    async with asyncio.timeout(60):
        while True:
            await member.poll(1, 0.1)


async def committed_for_ever(member: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Fenced):
                await member.commit(offsets)
            await asyncio.sleep(0.01)


async def test_a_member_that_comes_back_moves_no_partition(logs: Logs, topic: str) -> None:
    group, moves = unique("group"), Moves()
    first = await logs.named("pod-0", seconds=30)
    leaver = await first.consumer(group, [topic])
    stayer = await (await logs.named("pod-1", seconds=30)).consumer(group, [topic], moves)
    await shared(leaver, stayer)
    had, before = leaver.assignment(), (list(moves.assigned), moves.revoked)
    await first.close()
    back = await (await logs.named("pod-0", seconds=30)).consumer(group, [topic])
    assert back.assignment() == had
    await send(other := await logs.named(""), numbered(topic, 200))
    ends = await other.end_offsets(topic)
    mine = sum(count for partition, count in ends.items() if partition in had)
    assert len(await drain(back, mine)) == mine
    await back.commit({partition: ends[partition] for partition in had})
    assert len(await drain(stayer, 200 - mine)) == 200 - mine
    assert (moves.assigned, moves.revoked) == before


async def test_a_member_that_stays_away_is_replaced(logs: Logs, topic: str) -> None:
    group = unique("group")
    first = await logs.named("pod-0")
    leaver = await first.consumer(group, [topic])
    stayer = await (await logs.named("pod-1")).consumer(group, [topic])
    await shared(leaver, stayer)
    await first.close()
    assert len(stayer.assignment()) == PARTITIONS // 2
    await shared(stayer)


async def test_consumers_of_one_process_have_names_of_their_own(logs: Logs, topic: str) -> None:
    group = unique("group")
    log = await logs.named("pod-0", seconds=30)
    members = [await log.consumer(group, [topic]) for _ in range(2)]
    await shared(*members)
    held = [member.assignment() for member in members]
    await members[0].close()
    again = await log.consumer(group, [topic])  # takes the name that is free, and so the place
    assert again.assignment() == held[0]
    assert members[1].assignment() == held[1]


async def test_of_two_processes_with_one_name_the_first_ends(logs: Logs, topic: str) -> None:
    group = unique("group")
    first = await (await logs.named("pod-0")).consumer(group, [topic])
    second = await (await logs.named("pod-0")).consumer(group, [topic])
    with pytest.raises(InstanceFenced, match="LIMELIGHT_INSTANCE"):
        await polled_for_ever(first)
    for _ in range(2):  # and it stays out
        with pytest.raises(InstanceFenced):
            await first.poll(1, 0.1)
    assert first.assignment() == set()
    await send(await logs.named(""), numbered(topic, 40))
    found = await drain(second, 40)
    await second.commit({record.source: record.offset + 1 for record in found})


async def test_a_commit_does_not_take_the_name_back(logs: Logs, topic: str) -> None:
    group = unique("group")
    await send(await logs.named(""), numbered(topic, 40))
    first = await (await logs.named("pod-0")).consumer(group, [topic])
    found = await drain(first, 40)
    second = await (await logs.named("pod-0")).consumer(group, [topic])
    with pytest.raises(InstanceFenced):
        await committed_for_ever(first, {found[0].source: found[0].offset + 1})
    assert len(await drain(second, 40)) == 40
    await second.commit({record.source: record.offset + 1 for record in found})


async def heard(batch: Sequence[Delivered[Event]]) -> None:
    """Whatever there is."""


async def test_a_service_whose_name_is_taken_ends(logs: Logs) -> None:
    await (await logs.named("")).create_topics(ALL_TOPICS)
    services = [await listening(GROUP, await logs.named("pod-0"), [PLACED], heard) for _ in "ab"]
    died: asyncio.Queue[str] = asyncio.Queue()
    with crash.listening(died.put_nowait):
        for service in services:
            await service.start()
        async with asyncio.timeout(60):
            assert await died.get() == f"{GROUP} consumer"
    assert [await service.checks["listener"]() for service in services] == [False, True]
    for service in services:
        await service.stop(Deadline(10))


async def test_a_name_that_kafka_does_not_take() -> None:
    with pytest.raises(BadSettings, match="LIMELIGHT_INSTANCE"):
        load(ServiceSettings, instance="pod 0")
