"""Reading and setting offsets, and reading records, without being a member of a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from bus.kafka.catalog import Catalog
from bus.kafka.clients import Clients
from bus.kafka.connection import Connection
from bus.kafka.records import from_kafka, next_records, to_kafka
from bus.record import Record, TopicPartition

_WAIT_MS = 500


class Offsets:
    """What operators, meters and the DLQ ask of a log."""

    def __init__(self, connection: Connection, clients: Clients, catalog: Catalog) -> None:
        self._connection = connection
        self._clients = clients
        self._catalog = catalog

    async def starts(self, topic: str) -> Mapping[TopicPartition, int]:
        """The offset below which nothing is left, per partition."""
        partitions = [to_kafka(item) for item in await self._catalog.partitions(topic)]
        answered = self._connection.answered(f"start offsets of {topic}")
        async with answered, self._clients.reader() as reader:
            starts = await reader.beginning_offsets(partitions)
        return {from_kafka(item): offset for item, offset in starts.items()}

    async def ends(self, topic: str) -> Mapping[TopicPartition, int]:
        """The next offset to be written, per partition."""
        partitions = [to_kafka(item) for item in await self._catalog.partitions(topic)]
        answered = self._connection.answered(f"end offsets of {topic}")
        async with answered, self._clients.reader() as reader:
            ends = await reader.end_offsets(partitions)
        return {from_kafka(item): offset for item, offset in ends.items()}

    async def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """The group's next offset to read, per partition; 0 where nothing was committed."""
        partitions = [to_kafka(item) for item in await self._catalog.partitions(topic)]
        answered = self._connection.answered(f"offsets of {group}")
        async with answered, self._clients.admin() as admin:
            found = await admin.list_consumer_group_offsets(group, partitions=partitions)
        return {from_kafka(item): max(0, meta.offset) for item, meta in found.items()}

    async def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit as nobody, which Kafka allows only while the group has no members.

        Raises:
            Fenced: the group has members.
            LogUnavailable: not acknowledged.
        """
        wanted = {to_kafka(item): offset for item, offset in offsets.items()}
        if not wanted:
            return
        await self._catalog.require(offsets)
        async with self._connection.answered(f"reset {group}"), self._client(group) as client:
            client.assign(list(wanted))
            await client.commit(wanted)

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        """Up to ``limit`` records from ``offset`` on that had been written when this began."""
        await self._catalog.require([partition])
        wanted = to_kafka(partition)
        records: list[Record] = []
        async with self._connection.answered(f"read {partition}"), self._client() as client:
            client.assign([wanted])
            end = (await client.end_offsets([wanted]))[wanted]
            client.seek(wanted, min(offset, end))
            while len(records) < limit and await client.position(wanted) < end:
                records += await next_records(client, wanted, limit - len(records), _WAIT_MS)
        return [record for record in records if record.offset < end]

    @asynccontextmanager
    async def _client(self, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        client = AIOKafkaConsumer(
            **self._connection.options(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        try:
            await client.start()
            yield client
        finally:
            await client.stop()
