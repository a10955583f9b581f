"""The log port on a real Kafka: the conformance suite, and what only a broker can do."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.record.default_records import (  # type: ignore[import-untyped]
    _DefaultRecordBatchBuilderPy,
)
from bus.errors import Fenced, LogUnavailable, Permanent, RecordTooLarge
from bus.kafka import KafkaLog
from bus.kafka.buffer import HIGH_RECORDS
from bus.port import Log, TopicSpec
from bus.record import UNREADABLE_HEADER, OutRecord, Record, TopicPartition
from confluent_kafka import OFFSET_END
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from devkit.conformance.log import LogConformance
from devkit.conformance.log_records import Expire
from devkit.conformance.polling import drain, numbered, positions, read_all, send, unique, values
from devkit.servers.kafka import KafkaServer

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
DAY = timedelta(days=1)
HEALTH, PATIENCE = "bus.kafka.log._HEALTH_SECONDS", 30.0
PATIENCE = 60.0  # of one that only a slow machine makes wait
SHORT = 3.0  # seconds a log waits for a broker that is away
_CONNECT = """
from bus.kafka import KafkaLog
async def connect():
    return KafkaLog("{servers}")
"""
_JOIN = """
import asyncio
from aiokafka import AIOKafkaConsumer
async def join():
    member = AIOKafkaConsumer("{topic}", bootstrap_servers="{servers}", group_id="{group}",
                              session_timeout_ms=6000)
    await member.start()
    while not member.assignment():
        await asyncio.sleep(0.1)
    print("joined", flush=True)
    await asyncio.sleep(60)
asyncio.run(join())
"""


@pytest_asyncio.fixture
async def log(server: KafkaServer) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(server.bootstrap_servers, timeout=PATIENCE)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def impatient(server: KafkaServer) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(server.bootstrap_servers, timeout=SHORT)
    yield opened
    await opened.close()


def _delete_records(servers: str, topic: str) -> None:
    """All that is there now, at once: the broker's own turn comes every five minutes."""
    admin = AdminClient({"bootstrap.servers": servers})
    partitions = admin.list_topics(topic, timeout=60).topics[topic].partitions
    wanted = [KafkaPartition(topic, number, OFFSET_END) for number in partitions]
    for done in admin.delete_records(wanted, operation_timeout=60).values():
        done.result(60)


@pytest.mark.timeout(180)
class TestKafkaLog(LogConformance):
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A broker that a busy machine slows down is healthy."""
        monkeypatch.setattr(HEALTH, PATIENCE)

    @pytest_asyncio.fixture
    async def reopen(self, server: KafkaServer) -> AsyncIterator[Callable[[], Awaitable[Log]]]:
        opened: list[KafkaLog] = []

        async def another() -> Log:
            opened.append(KafkaLog(server.bootstrap_servers, timeout=PATIENCE))
            return opened[-1]

        yield another
        for item in opened:
            await item.close()

    @pytest.fixture
    def expire(self, server: KafkaServer) -> Expire:
        async def delete(topic: str) -> None:
            await asyncio.to_thread(_delete_records, server.bootstrap_servers, topic)

        return delete

    @pytest.fixture
    def connect(self, server: KafkaServer) -> str:
        return _CONNECT.format(servers=server.bootstrap_servers)


@pytest_asyncio.fixture
async def topic(log: KafkaLog) -> str:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 2, DAY)])
    return name


async def _send_until(log: KafkaLog, topic: str, stop: asyncio.Event) -> list[bytes]:
    """Send numbered records one by one; returns those that were acknowledged."""
    acknowledged: list[bytes] = []
    producer = await log.producer()
    while not stop.is_set():
        value = b"%d" % len(acknowledged)
        try:
            await producer.send([OutRecord(topic, value, value)])
        except LogUnavailable:
            continue  # the same value again, so it may be there twice
        acknowledged.append(value)
        if len(acknowledged) % 200 == 0:
            await asyncio.sleep(0)
    await producer.close()
    return acknowledged


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_killed_broker_loses_no_acknowledged_record(
    server: KafkaServer, log: KafkaLog, topic: str
) -> None:
    consumer = await log.consumer(unique("group"), [topic])
    stop = asyncio.Event()
    sending = asyncio.create_task(_send_until(log, topic, stop))
    before = await drain(consumer, 500)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.restart)
    after = await drain(consumer, 500)  # the member that was there before goes on
    stop.set()
    acknowledged = await sending
    ends = await log.end_offsets(topic)
    after += await drain(consumer, sum(ends.values()) - len(before) - len(after))
    assert len(set(positions(before + after))) == len(before + after)
    assert set(acknowledged) <= set(values(before + after))
    await consumer.commit(ends)
    assert len(acknowledged) > 500


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_broker_that_is_away_is_an_error_in_bounded_time(
    server: KafkaServer, impatient: KafkaLog, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = await impatient.producer()
    consumer = await impatient.consumer(unique("group"), [topic])
    await producer.send(numbered(topic, 10))
    found = await drain(consumer, 10)
    with monkeypatch.context() as patient:
        patient.setattr(HEALTH, PATIENCE)
        assert await impatient.healthy()
    await asyncio.to_thread(server.kill)
    try:
        started = time.monotonic()
        with pytest.raises(LogUnavailable):
            await producer.send(numbered(topic, 1))
        with pytest.raises(LogUnavailable):
            await consumer.commit({found[0].source: 1})
        with pytest.raises(LogUnavailable):
            await impatient.end_offsets(topic)
        with pytest.raises(LogUnavailable):
            await impatient.producer()
        with pytest.raises(LogUnavailable):
            await impatient.consumer(unique("group"), [topic])
        assert not await impatient.healthy()
        assert list(await consumer.poll(10, 0.1)) == []
        assert time.monotonic() - started < 12 * SHORT
        started = time.monotonic()
        await impatient.close()
        assert time.monotonic() - started < 12 * SHORT
    finally:
        await asyncio.to_thread(server.restart)


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_log_recovers_when_its_broker_comes_back(
    server: KafkaServer, impatient: KafkaLog, topic: str
) -> None:
    producer = await impatient.producer()
    consumer = await impatient.consumer(unique("group"), [topic])
    await producer.send([OutRecord(topic, b"k", b"before")])
    await drain(consumer, 1)
    await asyncio.to_thread(server.kill)
    with pytest.raises(LogUnavailable):
        await producer.send([OutRecord(topic, b"k", b"unsure")])
    await asyncio.to_thread(server.restart)
    await producer.send([OutRecord(topic, b"k", b"after")])
    found = values(await drain(consumer, 1))
    while b"after" not in found:
        found += values(await drain(consumer, 1))
    assert found in ([b"after"], [b"unsure", b"after"])


class _NotUtf8(str):
    """A header name whose bytes are not UTF-8, as another client may well write."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


async def _send_unreadable(server: KafkaServer, partition: TopicPartition) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap_servers) as producer:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=16_384,
        )
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[(_NotUtf8("h"), b"v")])
        await (await producer.send_batch(batch, partition.topic, partition=partition.partition))


@pytest.mark.asyncio
async def test_an_unreadable_record_costs_no_other(
    server: KafkaServer, log: KafkaLog, topic: str
) -> None:
    await send(log, numbered(topic, 300))
    bad = TopicPartition(topic, 1)
    at = (await log.end_offsets(topic))[bad]
    await _send_unreadable(server, bad)
    await send(log, numbered(topic, 300))
    consumer = await log.consumer(unique("group"), [topic])
    found = await drain(consumer, 601)
    assert len(set(positions(found))) == 601
    (stand_in,) = [r for r in found if r.headers]
    assert (stand_in.source, stand_in.offset, stand_in.value) == (bad, at, b"")
    assert stand_in.headers[0][0] == UNREADABLE_HEADER
    for partition in await log.end_offsets(topic):
        offsets = [record.offset for record in found if record.source == partition]
        assert offsets == sorted(offsets)
    assert positions(await read_all(log, topic)) == positions(found)


@pytest.mark.asyncio
async def test_a_slow_caller_gets_everything_in_order(log: KafkaLog) -> None:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 1, DAY)])
    count = 5 * HIGH_RECORDS
    await send(log, numbered(name, count))
    consumer = await log.consumer(unique("group"), [name])
    found = await drain(consumer, count)
    assert [record.offset for record in found] == list(range(count))


@pytest.mark.asyncio
async def test_a_cancelled_poll_loses_nothing(log: KafkaLog, topic: str) -> None:
    consumer = await log.consumer(unique("group"), [topic])
    sending = asyncio.create_task(send(log, numbered(topic, 2_000)))
    found: list[Record] = []
    cancelled = 0
    while len(found) < 2_000:
        polling = asyncio.create_task(consumer.poll(50, 1.0))
        await asyncio.sleep(0)
        if polling.cancel():
            cancelled += 1
        outcome = (await asyncio.gather(polling, return_exceptions=True))[0]
        if isinstance(outcome, BaseException):
            outcome = await consumer.poll(50, 1.0)
        found += outcome
    await sending
    assert cancelled
    assert len(set(positions(found))) == 2_000


@pytest.mark.asyncio
async def test_a_batch_the_broker_refuses_does_not_stop_the_producer(
    server: KafkaServer, log: KafkaLog
) -> None:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 1, DAY, max_record_bytes=100_000)])
    producer = await log.producer()
    await producer.send([OutRecord(name, b"k", b"x" * 90_000)])
    await _limit_batches(server, name, 50_000)  # behind the back of the producer
    with pytest.raises(RecordTooLarge):
        await producer.send([OutRecord(name, b"k", b"x" * 90_000)])
    await producer.send([OutRecord(name, b"k", b"fits")])
    assert [len(value or b"") for value in values(await read_all(log, name))] == [90_000, 4]


async def _limit_batches(server: KafkaServer, topic: str, limit: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap_servers)
    await admin.start()
    settings = {"max.message.bytes": str(limit)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    await admin.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("claimed", [1_000, 4_000_000_000_000])
async def test_the_time_of_a_record_is_that_of_its_append(
    server: KafkaServer, log: KafkaLog, topic: str, claimed: int
) -> None:
    before = time.time() * 1000 - 1000  # by the clock of the same machine
    producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(topic, b"v", timestamp_ms=claimed)
    await producer.stop()
    (record,) = await read_all(log, topic)
    assert before < record.timestamp_ms < time.time() * 1000 + 1000


@pytest.mark.asyncio
async def test_what_the_cluster_would_refuse_is_permanent(log: KafkaLog, topic: str) -> None:
    compacted = unique("kafka")
    await log.create_topics([TopicSpec(compacted, 1, None)])
    producer = await log.producer()
    for record in (OutRecord(compacted, None, b"v"), OutRecord(unique("kafka"), b"k", b"v")):
        with pytest.raises(Permanent):
            await producer.send([OutRecord(topic, b"k", b"v"), record])
    assert await read_all(log, topic) == []
    with pytest.raises(Permanent):
        await log.read(TopicPartition(topic, 9), 0, 1)
    with pytest.raises(Permanent):
        await log.consumer(unique("group"), [unique("kafka")])


@pytest.mark.asyncio
async def test_limits_hold_for_a_log_that_did_not_create_the_topic(
    server: KafkaServer, log: KafkaLog
) -> None:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 1, DAY, max_record_bytes=30_000)])
    other = KafkaLog(server.bootstrap_servers)
    with pytest.raises(RecordTooLarge):
        await send(other, [OutRecord(name, None, b"x" * 30_001)])
    await send(other, [OutRecord(name, None, b"x" * 30_000)])
    await other.close()
    assert len(await read_all(log, name)) == 1


@pytest.mark.asyncio
async def test_reset_says_that_the_group_has_members(log: KafkaLog, topic: str) -> None:
    group = unique("group")
    await log.consumer(group, [topic])
    with pytest.raises(Fenced):
        await log.reset(group, {TopicPartition(topic, 0): 1})


@pytest.mark.asyncio
@pytest.mark.parametrize("target", [3, 250])
async def test_a_seek_passes_over_what_was_read_ahead(log: KafkaLog, target: int) -> None:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 1, DAY)])
    await send(log, numbered(name, 500))
    consumer = await log.consumer(unique("group"), [name])
    assert len(await consumer.poll(10, 10.0)) > 0
    consumer.seek(TopicPartition(name, 0), target)
    found = await drain(consumer, 500 - target)
    assert [record.offset for record in found] == list(range(target, 500))


@pytest.mark.asyncio
async def test_a_paused_partition_keeps_what_was_read_ahead(log: KafkaLog) -> None:
    name = unique("kafka")
    await log.create_topics([TopicSpec(name, 1, DAY)])
    await send(log, numbered(name, 500))
    consumer = await log.consumer(unique("group"), [name])
    first = await consumer.poll(10, 10.0)
    consumer.pause(consumer.assignment())
    assert list(await consumer.poll(10, 0.3)) == []
    consumer.resume(consumer.assignment())
    found = [*first, *await drain(consumer, 500 - len(first))]
    assert [record.offset for record in found] == list(range(500))


@pytest.mark.asyncio
async def test_a_join_waits_until_a_killed_member_is_given_up(
    server: KafkaServer, impatient: KafkaLog, topic: str
) -> None:
    group = unique("group")
    code = _JOIN.format(topic=topic, servers=server.bootstrap_servers, group=group)
    member = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert member.stdout is not None
    assert await member.stdout.readline() == b"joined\n"
    member.kill()
    await member.wait()
    consumer = await impatient.consumer(group, [topic])
    assert len(consumer.assignment()) == 2
