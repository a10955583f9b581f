"""Three brokers: one is killed, later another, and writing and reading go on without a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from bus.errors import Fenced, LogUnavailable
from bus.kafka import KafkaLog
from bus.port import Consumer, TopicSpec
from bus.record import OutRecord, Record
from devkit.conformance.polling import unique, values
from devkit.servers.kafka import ServerUnavailable
from devkit.servers.kafka_cluster import NODES, KafkaCluster

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.asyncio, pytest.mark.timeout(180)]
DAY = timedelta(days=1)
PARTITIONS = 3
EACH = 300
PATIENCE = 4.0  # seconds a log waits for a broker that is away


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    try:
        started = KafkaCluster.start(tmp_path_factory.mktemp("cluster"))
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with started:
        yield started


class Sending:
    """Sends numbers one by one, each until it is acknowledged."""

    def __init__(self, log: KafkaLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.acknowledged: list[bytes] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        producer = await self._log.producer()
        while True:
            value = b"%d" % len(self.acknowledged)
            try:
                await producer.send([OutRecord(self._topic, value, value)])
            except LogUnavailable:
                continue  # the same again, so that it may be there twice
            self.acknowledged.append(value)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class Reading:
    """Reads, and commits what it read, as long as it goes."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.found: list[Record] = []

    async def more(self, count: int) -> None:
        """Until so many more are there."""
        wanted = len(self.found) + count
        while len(self.found) < wanted:
            await self._turn()

    async def all_of(self, expected: list[bytes]) -> None:
        while not set(expected) <= set(values(self.found)):
            await self._turn()

    async def _turn(self) -> None:
        read = await self._consumer.poll(100, 1.0)
        self.found += read
        try:
            if read:
                await self._consumer.commit({one.source: one.offset + 1 for one in read})
        except (Fenced, LogUnavailable):
            pass  # read again by whoever has the partition then


async def replicas_in_sync(cluster: KafkaCluster, topic: str) -> set[int]:
    """How many copies the partitions have that are up to date."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    (described,) = await admin.describe_topics([topic])
    await admin.close()
    return {len(partition["isr"]) for partition in described["partitions"]}


async def test_brokers_that_are_killed_one_by_one_lose_nothing(cluster: KafkaCluster) -> None:
    log, topic = KafkaLog(cluster.bootstrap_servers, timeout=PATIENCE), unique("cluster")
    await log.create_topics([TopicSpec(topic, PARTITIONS, DAY)])
    assert await replicas_in_sync(cluster, topic) == {NODES}, "as many as the cluster's default"
    reading = Reading(await log.consumer(unique("group"), [topic]))
    sending = Sending(log, topic)
    await reading.more(EACH)
    first, second, _ = cluster.nodes
    await asyncio.to_thread(first.kill)
    await reading.more(EACH)
    await asyncio.to_thread(first.restart)
    async with asyncio.timeout(60):
        while await replicas_in_sync(cluster, topic) != {NODES}:
            await reading.more(1)
    await asyncio.to_thread(second.kill)  # so that what the first has caught up with counts
    await reading.more(EACH)
    await sending.stop()
    await reading.all_of(sending.acknowledged)
    kept = {(record.source, record.offset) for record in reading.found}
    assert {source.partition for source, _ in kept} == set(range(PARTITIONS))
    await log.close()
