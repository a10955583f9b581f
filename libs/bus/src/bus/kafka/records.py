"""Between aiokafka's records and ours; the one place that knows how aiokafka fails to parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition as KafkaPartition  # type: ignore[import-untyped]

from bus.kafka.decompression import Unreadable, bound
from bus.record import UNREADABLE_HEADER, Record, TopicPartition

bound()
_ASKED = 20
"""How often a broker that does not answer is asked what lies at an offset."""
if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord


def to_record(raw: ConsumerRecord) -> Record:
    """The same record in the form of the port; nothing is decoded. A header may have no value."""
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple((name, value or b"") for name, value in raw.headers),
        timestamp_ms=raw.timestamp,
    )


def to_kafka(partition: TopicPartition) -> KafkaPartition:
    """The client's name of a partition."""
    return KafkaPartition(partition.topic, partition.partition)


def from_kafka(partition: KafkaPartition) -> TopicPartition:
    """Our name of a partition."""
    return TopicPartition(partition.topic, partition.partition)


def position(client: AIOKafkaConsumer, partition: KafkaPartition) -> int | None:
    """Where the client reads on in a partition, at once; None: not assigned, or not known yet.

    Its own ``position`` waits until it is known, which takes as long as a broker is away.
    """
    assignment = client._subscription.subscription.assignment
    if assignment is None or partition not in assignment.tps:
        return None
    state = assignment.state_value(partition)
    return state.position if state.has_valid_position else None


async def next_records(
    client: AIOKafkaConsumer, partition: KafkaPartition, limit: int, timeout_ms: int
) -> list[Record]:
    """What comes next in one partition, a stand-in for what cannot be parsed.

    aiokafka decodes header names as UTF-8 and raises in the middle of a batch, or inflates a batch
    and raises before any of it. The position of this partition has not moved then, so what was
    fetched is read again record by record.
    """
    try:
        found = await client.getmany(partition, timeout_ms=timeout_ms, max_records=limit)
    except (UnicodeDecodeError, Unreadable):
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
            complaint = f"the name of a header is not UTF-8 ({error.reason}): encode it so"
            return [*records, _stand_in(partition, offset, complaint)]
        except Unreadable as error:
            return [*records, await _past(client, partition, error, timeout_ms)]
        if not found:
            break
        records += [to_record(raw) for raw in found[partition]]
    return records


async def _past(
    client: AIOKafkaConsumer, partition: KafkaPartition, error: Unreadable, timeout_ms: int
) -> Record:
    """One stand-in for a whole batch, in the place of its last record; the client is behind it.

    How many records the batch has is not known: where it ends is found by halves. If the broker
    stops answering meanwhile, only the part that is known is passed; the next call meets the rest.
    """
    first = await client.position(partition)
    inside, behind = first, (await client.end_offsets([partition]))[partition]
    while behind - inside > 1:
        middle = (inside + behind) // 2
        met = await _meets(client, partition, middle, error, timeout_ms)
        if met is None:
            break
        inside, behind = (middle, behind) if met else (inside, middle)
    client.seek(partition, inside + 1)
    return _stand_in(partition, inside, f"records {first} to {inside}: {error}")


async def _meets(
    client: AIOKafkaConsumer,
    partition: KafkaPartition,
    offset: int,
    error: Unreadable,
    timeout_ms: int,
) -> bool | None:
    """Whether ``offset`` is in the batch of ``error``; None if that is not answered.

    Nothing within the time says nothing: a busy broker is asked again. Where only markers of
    transactions come there are no records, but the position moves.
    """
    client.seek(partition, offset)
    for _ in range(_ASKED):
        try:
            found = await client.getmany(partition, timeout_ms=timeout_ms, max_records=1)
        except Unreadable as met:
            return met.mark == error.mark
        except UnicodeDecodeError:
            return False
        if found or await client.position(partition) > offset:
            return False
    return None


def _stand_in(partition: KafkaPartition, offset: int, complaint: str) -> Record:
    """A record in the place of one that cannot be parsed; the original stays in the topic."""
    return Record(
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        key=None,
        value=b"",
        headers=((UNREADABLE_HEADER, complaint.encode()),),
        timestamp_ms=0,
    )
