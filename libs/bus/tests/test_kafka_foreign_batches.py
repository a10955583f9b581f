"""What producers outside put into a batch: any compression, too much of it, headers of nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import cramjam
import pytest
import pytest_asyncio
from aiokafka import TopicPartition as KafkaPartition  # type: ignore[import-untyped]
from bus.kafka import KafkaLog
from bus.kafka.decompression import DECODERS, MOST_BYTES, Unreadable
from bus.kafka.records import _past
from bus.port import TopicSpec
from bus.record import UNREADABLE_HEADER, Record
from confluent_kafka import KafkaException, Producer
from devkit.conformance.polling import drain, read_all, unique
from devkit.servers.kafka import KafkaServer
from hypothesis import given, settings
from hypothesis import strategies as st

kafka = pytest.mark.xdist_group("kafka")  # one broker at a time
MAX_BYTES = 4 * 1_048_576
PARTITION = KafkaPartition("t", 0)
CODECS = ("gzip", "snappy", "lz4", "zstd")
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
}


def decoded(codec: str, data: bytes) -> bytes:
    return DECODERS[f"{codec}_decode"](memoryview(data))


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=20)
@given(data=st.binary(max_size=300), times=st.integers(0, 900))
def test_what_was_compressed_comes_back(codec: str, data: bytes, times: int) -> None:
    assert decoded(codec, ENCODERS[codec](data * times)) == data * times


@pytest.mark.parametrize("codec", CODECS)
def test_what_gets_too_large_is_not_inflated(codec: str) -> None:
    just, over = bytes(MOST_BYTES), bytes(MOST_BYTES + 1)
    assert decoded(codec, ENCODERS[codec](just)) == just
    for _ in range(2):
        with pytest.raises(Unreadable, match="smaller batches"):
            decoded(codec, ENCODERS[codec](over))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", [b"", b"x", b"\xff" * 60], ids=["empty", "short", "noise"])
def test_what_is_not_compressed_is_unreadable(codec: str, data: bytes) -> None:
    with pytest.raises(Unreadable):
        decoded(codec, data)


def test_blocks_of_java_are_read_and_bounded_together() -> None:
    block = ENCODERS["snappy"](bytes(MOST_BYTES // 2))
    framed = len(block).to_bytes(4, "big") + block
    head = b"\x82SNAPPY\x00" + bytes(8)
    assert len(decoded("snappy", head + 2 * framed)) == MOST_BYTES
    with pytest.raises(Unreadable):
        decoded("snappy", head + 3 * framed)


@pytest_asyncio.fixture
async def log(server: KafkaServer) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(server.bootstrap_servers, timeout=60)
    yield opened
    await opened.close()


class Foreign:
    """A producer outside, which sends what it is given at once as one batch."""

    def __init__(self, server: KafkaServer, topic: str, codec: str = "none") -> None:
        self._topic = topic
        options = {
            "bootstrap.servers": server.bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 5000,  # a flush does not wait for it
            "batch.size": 500_000_000,
            "message.max.bytes": 1_000_000_000,
        }
        self._producer = Producer(options)

    def send(self, *values: bytes, headers: dict[str, bytes | None] | None = None) -> None:
        failures: list[object] = []
        for value in values:
            self._producer.produce(
                self._topic,
                value,
                headers=headers,  # type: ignore[arg-type]  # its stubs know no null
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        assert self._producer.flush(60) == 0
        if failures:
            raise KafkaException(failures[0])


async def a_topic(log: KafkaLog) -> str:
    name = unique("foreign")
    await log.create_topics([TopicSpec(name, 1, timedelta(days=1), MAX_BYTES)])
    return name


@kafka
@pytest.mark.asyncio
async def test_every_compression_is_read_and_a_bomb_costs_no_other_record(
    server: KafkaServer, log: KafkaLog
) -> None:
    topic, expected = await a_topic(log), list[bytes]()
    for codec in CODECS:
        foreign = Foreign(server, topic, codec)
        numbered = [b"%s %d" % (codec.encode(), n) for n in range(20)]
        await asyncio.to_thread(foreign.send, *numbered)
        bomb = [bytes(MOST_BYTES // 30)] * 40
        await asyncio.to_thread(foreign.send, *bomb)
        expected += [*numbered, b""]
    await asyncio.to_thread(Foreign(server, topic).send, b"last")
    expected += [b"last"]
    consumer = await log.consumer(unique("group"), [topic])
    found = await drain(consumer, len(expected))
    assert [record.value for record in found] == expected
    for record in (record for record in found if record.value == b""):
        _stands_for_a_batch(record)
    ends = await log.end_offsets(topic)
    assert list(ends.values()) == [4 * (20 + 40) + 1]
    assert [record.offset for record in await read_all(log, topic)] == [r.offset for r in found]


def _stands_for_a_batch(record: Record) -> None:
    assert record.headers[0][0] == UNREADABLE_HEADER
    said = record.headers[0][1].decode()
    assert said.startswith(f"records {record.offset - 39} to {record.offset}: ")
    assert "smaller batches" in said


class Slow:
    """A client of one partition of 100 records, 20 to 59 of them in a batch that is unreadable.

    It gives an answer only when asked ``times`` times, as if the broker were busy; and none at
    all about ``silent_from`` and what follows.
    """

    def __init__(self, times: int, silent_from: int = 100) -> None:
        self._times, self._silent_from = times, silent_from
        self._at = self._asked = 0

    def seek(self, _: object, offset: int) -> None:
        self._at, self._asked = offset, 0

    async def position(self, _: object) -> int:
        return self._at

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(partitions, 100)

    async def getmany(self, _: object, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        self._asked += 1
        if self._asked < self._times or self._at >= self._silent_from:
            return {}
        if 20 <= self._at < 60:
            raise Unreadable("gzip", b"a bomb")
        self._at += 1
        return {PARTITION: ["a record"]}


@pytest.mark.asyncio
@pytest.mark.parametrize("times", [1, 3])
async def test_a_busy_broker_does_not_divide_a_batch(times: int) -> None:
    client = Slow(times)
    client.seek(PARTITION, 20)
    found = await _past(client, PARTITION, Unreadable("gzip", b"a bomb"), 10)
    assert (found.offset, await client.position(PARTITION)) == (59, 60)
    assert found.headers[0][1].startswith(b"records 20 to 59: ")


@pytest.mark.asyncio
async def test_a_broker_that_falls_silent_costs_no_record() -> None:
    client = Slow(1, silent_from=50)
    client.seek(PARTITION, 20)
    found = await _past(client, PARTITION, Unreadable("gzip", b"a bomb"), 10)
    assert 20 <= found.offset < 50
    assert await client.position(PARTITION) == found.offset + 1


@kafka
@pytest.mark.asyncio
async def test_too_large_a_record_is_refused_where_it_is_sent(
    server: KafkaServer, log: KafkaLog
) -> None:
    topic = await a_topic(log)
    with pytest.raises(KafkaException) as refused:
        await asyncio.to_thread(Foreign(server, topic).send, bytes(MAX_BYTES + 10_000))
    assert refused.value.args[0].name() == "MSG_SIZE_TOO_LARGE"
    assert list((await log.end_offsets(topic)).values()) == [0]


@kafka
@pytest.mark.asyncio
async def test_a_header_without_a_value_is_an_empty_one(server: KafkaServer, log: KafkaLog) -> None:
    topic = await a_topic(log)
    await asyncio.to_thread(Foreign(server, topic).send, b"v", headers={"ce_id": None})
    (record,) = await read_all(log, topic)
    assert record.headers == (("ce_id", b""),)
