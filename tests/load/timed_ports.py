"""The ports of the bus with a timer around every call, and the parts between them likewise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

from bus import apply, intake, tracing
from bus.outbox import Outbox, OutboxRow
from bus.port import Consumer, Log, Producer, RebalanceListener, TopicSpec
from bus.record import OutRecord, Record, TopicPartition
from bus.relay import Relay
from bus.store import Transaction
from tests.load.stages import Stages
from tests.load.stores import Analyses, Analysis, Kit

# Synchronous parts of the bus that no port separates, and what they are called in the table.
_FUNCTIONS: tuple[tuple[Any, str, str], ...] = (
    (intake, "decode", "decode"),
    (apply, "derive", "derive outputs"),
    (apply, "count_processed", "metrics"),
    (tracing, "start_process", "spans"),
    (tracing, "start_send", "spans"),
    (tracing, "traceparent_of", "spans"),
    (OutboxRow, "record", "rows to records"),
    (Relay, "_count", "metrics"),
)


@contextmanager
def timed_functions(stages: Stages) -> Iterator[None]:
    """Timers around the synchronous parts while the block runs."""
    with ExitStack() as stack:
        for owner, attribute, name in _FUNCTIONS:
            timed = stages.timed(name, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, timed))
        yield


def timed_kit(kit: Kit, stages: Stages) -> Kit:
    """A kit whose store, repository and outbox are timed."""

    def bind(transaction: _TimedTransaction) -> Analyses:
        return _TimedAnalyses(kit.bind(transaction.inner), stages)

    return Kit(_TimedStore(kit, stages), _TimedOutbox(kit.outbox, stages), bind, kit.close)


class _TimedAnalyses:
    def __init__(self, inner: Analyses, stages: Stages) -> None:
        self._inner = inner
        self._stages = stages

    async def add(self, rows: Sequence[Analysis]) -> None:
        await self._stages.awaited("effect", self._inner.add(rows))


class _TimedTransaction:
    def __init__(self, inner: Transaction, stages: Stages) -> None:
        self.inner = inner
        self._stages = stages

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
        return await self._stages.awaited("inbox claim", self.inner.claim(consumer, ids))

    async def add(self, rows: Sequence[OutboxRow]) -> None:
        await self._stages.awaited("outbox insert", self.inner.add(rows))


class _TimedStore:
    def __init__(self, kit: Kit, stages: Stages) -> None:
        self._inner = kit.store
        self._stages = stages

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_TimedTransaction]:
        """Times its beginning and its end; no transaction of a benchmark fails."""
        inner = self._inner.transaction()
        opened = await self._stages.awaited("begin", _entered(inner))
        yield _TimedTransaction(opened, self._stages)
        await self._stages.awaited("commit", _left(inner))

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:
        return await self._inner.prune(inbox_before, outbox_before)


async def _entered(inner: Any) -> Transaction:
    opened: Transaction = await inner.__aenter__()
    return opened


async def _left(inner: Any) -> None:
    await inner.__aexit__(None, None, None)


class _TimedOutbox:
    def __init__(self, inner: Outbox, stages: Stages) -> None:
        self._inner = inner
        self._stages = stages
        self.acquire = inner.acquire
        self.wait = inner.wait
        self.oldest_age = inner.oldest_age
        self.release = inner.release

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        return await self._stages.awaited("read outbox", self._inner.pending(limit))

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        await self._stages.awaited("mark published", self._inner.mark_published(rows))


class _TimedProducer:
    def __init__(self, inner: Producer, stages: Stages) -> None:
        self._inner = inner
        self._stages = stages
        self.close = inner.close

    async def send(self, records: Sequence[OutRecord]) -> None:
        await self._stages.awaited("send", self._inner.send(records))


class _TimedConsumer:
    def __init__(self, inner: Consumer, stages: Stages) -> None:
        self._inner = inner
        self._stages = stages
        self.assignment = inner.assignment
        self.reached = inner.reached
        self.pause = inner.pause
        self.resume = inner.resume
        self.seek = inner.seek
        self.close = inner.close

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        return await self._stages.awaited("poll", self._inner.poll(max_records, timeout))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._stages.awaited("commit offsets", self._inner.commit(offsets))


class TimedLog:
    """A log whose producers and consumers are timed."""

    def __init__(self, inner: Log, stages: Stages) -> None:
        self._inner = inner
        self._stages = stages
        self.start_offsets = inner.start_offsets
        self.end_offsets = inner.end_offsets
        self.committed = inner.committed
        self.reset = inner.reset
        self.read = inner.read
        self.healthy = inner.healthy

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        await self._inner.create_topics(topics)

    async def topics(self) -> AbstractSet[str]:
        return await self._inner.topics()

    async def producer(self) -> Producer:
        return _TimedProducer(await self._inner.producer(), self._stages)

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> Consumer:
        return _TimedConsumer(await self._inner.consumer(group, topics, listener), self._stages)

    async def close(self) -> None:
        """The inner log is its opener's to close."""
