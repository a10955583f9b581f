"""``bus.port.Log`` over a Kafka cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import count

from faststream.security import BaseSecurity
from runtime.logging import logger

from bus.errors import LogUnavailable
from bus.kafka.catalog import Catalog
from bus.kafka.clients import Clients
from bus.kafka.connection import Connection
from bus.kafka.consumer import KafkaConsumer
from bus.kafka.offsets import Offsets
from bus.kafka.producer import KafkaProducer
from bus.kafka.wiring import Instance
from bus.port import RebalanceListener, TopicSpec
from bus.record import Record, TopicPartition

_log = logger(__name__)
_HEALTH_SECONDS = 2.0


class KafkaLog:
    """A Kafka cluster as a log.

    Nothing is connected before it is needed. ``timeout`` (seconds) bounds every call that needs
    an answer; ``security`` is one of ``faststream.security`` (TLS, SASL), None for plain text.
    ``instance`` makes its consumers static members of their groups: one that stops is expected
    back for so many seconds, and nobody gets its partitions until then.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str = "limelight",
        security: BaseSecurity | None = None,
        timeout: float = 10.0,
        instance: Instance | None = None,
    ) -> None:
        self._connection = Connection(bootstrap_servers, client_id, security, timeout)
        self._clients = Clients(self._connection)
        self._catalog = Catalog(self._connection, self._clients)
        self._offsets = Offsets(self._connection, self._clients, self._catalog)
        self._opened: list[KafkaProducer | KafkaConsumer] = []
        self._instance = instance
        self._closed = False

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        self._check_open()
        await self._catalog.create(topics)

    async def topics(self) -> AbstractSet[str]:
        self._check_open()
        return await self._catalog.names()

    async def producer(self) -> KafkaProducer:
        self._check_open()
        producer = KafkaProducer(self._connection, self._catalog)
        self._remember(producer)
        await producer.connect()
        return producer

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> KafkaConsumer:
        """Join ``group``; returns when the first assignment has arrived."""
        self._check_open()
        for topic in topics:
            await self._catalog.partitions(topic)
        consumer = KafkaConsumer(self._connection, group, topics, listener, self._name_in(group))
        self._remember(consumer)
        await consumer.start()
        return consumer

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        self._check_open()
        return await self._offsets.starts(topic)

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        self._check_open()
        return await self._offsets.ends(topic)

    async def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        self._check_open()
        return await self._offsets.committed(group, topic)

    async def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """As the port says; raises Fenced when the group has members."""
        self._check_open()
        await self._offsets.reset(group, offsets)

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        self._check_open()
        return await self._offsets.read(partition, offset, limit)

    async def healthy(self) -> bool:
        """Whether a broker answers within two seconds."""
        if self._closed:
            return False
        try:
            async with asyncio.timeout(_HEALTH_SECONDS), self._clients.admin() as admin:
                return bool((await admin.describe_cluster())["brokers"])
        except Exception as error:  # noqa: BLE001 - readiness asks, whatever is wrong the answer is no
            _log.info("log not healthy", error=repr(error))
            return False

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(item.close() for item in self._opened), self._clients.close())

    def _name_in(self, group: str) -> Instance | None:
        """A number after the name, as a service may be in a group more than once.

        The lowest that is free: consumers that start in the same order have the same names again.
        """
        if self._instance is None:
            return None
        others = [one for one in self._opened if isinstance(one, KafkaConsumer) and not one.closed]
        taken = {one.instance for one in others if one.group == group}
        names = (replace(self._instance, name=f"{self._instance.name}-{n}") for n in count())
        return next(name for name in names if name not in taken)

    def _remember(self, opened: KafkaProducer | KafkaConsumer) -> None:
        self._opened = [item for item in self._opened if not item.closed] + [opened]

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
