"""The two logs, and how to see from outside how many records a topic holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition
from bus.kafka import KafkaLog
from bus.local import LocalLog
from bus.port import Log
from contracts.events.visibility import AnswerAnalyzed
from contracts.topics import Topic
from tests.load.measuring import Written


@dataclass(frozen=True)
class Local:
    """The local log, flushed to disk before every acknowledgement as in the all-in-one."""

    log: Log
    name: str = "local log"

    @asynccontextmanager
    async def counting(self, topic: Topic[AnswerAnalyzed]) -> AsyncIterator[Written]:
        """Counts the records of ``topic``."""

        async def written() -> int:
            return sum((await self.log.end_offsets(topic.name)).values())

        yield written


@dataclass(frozen=True)
class Kafka:
    """One real broker on this machine."""

    log: Log
    bootstrap_servers: str
    name: str = "Kafka"

    @asynccontextmanager
    async def counting(self, topic: Topic[AnswerAnalyzed]) -> AsyncIterator[Written]:
        """Counts with one client that stays connected: asking costs next to nothing."""
        client = AIOKafkaConsumer(bootstrap_servers=self.bootstrap_servers)
        partitions = [KafkaPartition(topic.name, number) for number in range(topic.partitions)]

        async def written() -> int:
            return sum((await client.end_offsets(partitions)).values())

        await client.start()
        try:
            yield written
        finally:
            await client.stop()


Backend = Local | Kafka


@asynccontextmanager
async def local_backend(folder: Path) -> AsyncIterator[Local]:
    """A new local log."""
    log = await LocalLog.open(folder / "log.sqlite")
    try:
        yield Local(log)
    finally:
        await log.close()


@asynccontextmanager
async def kafka_backend(bootstrap_servers: str) -> AsyncIterator[Kafka]:
    """A running broker."""
    log = KafkaLog(bootstrap_servers)
    try:
        yield Kafka(log, bootstrap_servers)
    finally:
        await log.close()
