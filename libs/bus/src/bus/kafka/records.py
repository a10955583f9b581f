"""Between aiokafka's records and ours; the one place that knows how aiokafka fails to parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition as KafkaPartition  # type: ignore[import-untyped]

from bus.record import OutRecord, Record, TopicPartition

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord

# On the stand-in for a record that aiokafka cannot parse; its value is empty, so no event.
UNREADABLE_HEADER = "kafka-unreadable"


def to_record(raw: ConsumerRecord) -> Record:
    """The same record in the form of the port; nothing is decoded."""
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
        timestamp_ms=raw.timestamp,
    )


def to_kafka(partition: TopicPartition) -> KafkaPartition:
    """The client's name of a partition."""
    return KafkaPartition(partition.topic, partition.partition)


def from_kafka(partition: KafkaPartition) -> TopicPartition:
    """Our name of a partition."""
    return TopicPartition(partition.topic, partition.partition)


def record_bytes(record: OutRecord) -> int:
    """Bytes of key, value and headers, which is what a topic limits."""
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


async def next_records(
    client: AIOKafkaConsumer, partition: KafkaPartition, limit: int, timeout_ms: int
) -> list[Record]:
    """What comes next in one partition, a stand-in for a record that cannot be parsed.

    aiokafka decodes header names as UTF-8 and raises in the middle of a batch. The position of
    this partition has not moved then, so the batch is read again record by record.
    """
    try:
        found = await client.getmany(partition, timeout_ms=timeout_ms, max_records=limit)
    except UnicodeDecodeError:
        client.seek(partition, await client.position(partition))
        return await _one_by_one(client, partition, limit, timeout_ms)
    return [to_record(raw) for raw in found.get(partition, [])]


async def _one_by_one(
    client: AIOKafkaConsumer, partition: KafkaPartition, limit: int, timeout_ms: int
) -> list[Record]:
    records: list[Record] = []
    while len(records) < limit:
        try:
            found = await client.getmany(partition, timeout_ms=timeout_ms, max_records=1)
        except UnicodeDecodeError as error:
            offset = await client.position(partition)
            client.seek(partition, offset + 1)
            return [*records, _stand_in(partition, offset, error)]
        if not found:
            break
        records += [to_record(raw) for raw in found[partition]]
    return records


def _stand_in(partition: KafkaPartition, offset: int, error: UnicodeDecodeError) -> Record:
    """A record in the place of one that cannot be parsed; the original stays in the topic."""
    return Record(
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        key=None,
        value=b"",
        headers=((UNREADABLE_HEADER, f"header name: {error}".encode()),),
        timestamp_ms=0,
    )
