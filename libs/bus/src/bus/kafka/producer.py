"""Appending to Kafka with an idempotent aiokafka producer.

Not through FastStream: its ``publish`` adds trace headers of its own and its ``publish_batch``
ignores keys.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from runtime.logging import logger

from bus.errors import LogUnavailable
from bus.kafka.catalog import BATCH_BYTES, Catalog
from bus.kafka.connection import Connection
from bus.record import OutRecord

_log = logger(__name__)
# Above any topic's own limit, which is checked before: it must not cut in first.
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


class KafkaProducer:
    """A producer of the port. aiokafka sends an idempotent batch for ever; we stop waiting."""

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        self._connection = connection
        self._catalog = catalog
        self._client: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, records: Sequence[OutRecord]) -> None:
        """Append as the port says; also raises Permanent for an unknown topic or a missing key."""
        self._check_open()
        await self._catalog.check(records)
        async with self._connection.answered("send"):
            client = await self._connected()
            acknowledged = [await self._enqueue(client, record) for record in records]
            results = await asyncio.gather(*acknowledged, return_exceptions=True)
            failures = [result for result in results if isinstance(result, BaseException)]
            if failures:
                self._retire(client)
                raise failures[0]

    async def connect(self) -> None:
        """Reach the cluster and get a producer id; raises LogUnavailable."""
        async with self._connection.answered("connect producer"):
            await self._connected()

    async def close(self) -> None:
        """Flush and release; what is not acknowledged by the timeout is given up."""
        if self._closed:
            return
        self._closed = True
        if self._client is not None:
            await self._stop(self._client)
        if self._retired:
            await asyncio.wait(self._retired)

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the producer is closed")

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            self._check_open()
            if self._client is None:
                client = self._build()
                try:
                    await client.start()
                except BaseException:
                    await client.client.close()
                    client._closed = True  # never started, so stop() would wait for its sender
                    raise
                self._client = client
            return self._client

    def _build(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._connection.options(),
            acks="all",
            enable_idempotence=True,
            # Batches form by themselves while the one before is on its way.
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
        )

    async def _enqueue(self, client: AIOKafkaProducer, record: OutRecord) -> asyncio.Future[object]:
        future: asyncio.Future[object]
        if record.key is None and record.value is None:
            future = await _send_null(client, record)
        else:
            future = await client.send(
                record.topic, value=record.value, key=record.key, headers=list(record.headers)
            )
        # When the send is given up nobody awaits this one any more.
        future.add_done_callback(_look_at)
        return future

    def _retire(self, client: AIOKafkaProducer) -> None:
        """Never use ``client`` again: after a refused batch its sequence numbers have a gap."""
        if self._client is client:
            self._client = None
            task = asyncio.create_task(self._stop(client))
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    async def _stop(self, client: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(self._connection.timeout):
                await client.stop()
        except (TimeoutError, KafkaError) as error:
            _log.warning("producer closed with records unacknowledged", error=repr(error))
            await _abandon(client)


async def _send_null(client: AIOKafkaProducer, record: OutRecord) -> asyncio.Future[object]:
    """``send`` refuses a record with neither key nor value, which Kafka itself does not."""
    batch = client.create_batch()
    batch.append(key=None, value=None, timestamp=None, headers=list(record.headers))
    partition = random.choice(list(await client.partitions_for(record.topic)))  # noqa: S311
    future: asyncio.Future[object] = await client.send_batch(
        batch, record.topic, partition=partition
    )
    return future


async def _abandon(client: AIOKafkaProducer) -> None:
    """End a producer whose ``stop`` waits for an acknowledgement that may never come."""
    sending = client._sender.sender_task
    if sending is not None:
        sending.cancel()
    await client.client.close()


def _look_at(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()
