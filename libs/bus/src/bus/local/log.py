"""The log itself: opens the file, hands out producers and consumers, answers questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Self

from bus.errors import BusError, LogUnavailable
from bus.local import retention
from bus.local.append import Placement, Transaction
from bus.local.catalog import Catalog, Topic, add_topics, load_ends
from bus.local.consumer import LocalConsumer
from bus.local.database import Sync, check_offset
from bus.local.files import Files, open_files
from bus.local.group import Group, Offsets
from bus.local.offsets import Committed
from bus.local.producer import LocalProducer
from bus.local.reader import Reader, Span, first_offsets, read_span
from bus.local.writer import Writer
from bus.port import RebalanceListener, TopicSpec
from bus.record import Record, TopicPartition

_HEALTHY_SECONDS = 5.0


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class LocalLog:
    """A ``bus.port.Log`` on one SQLite file; open it with ``LocalLog.open``.

    One process and one event loop at a time. An acknowledged record survives the death of the
    process; with ``sync="full"`` that of the machine too.
    """

    def __init__(self, files: Files, clock: Callable[[], int]) -> None:
        self._lock = files.lock
        self._catalog = Catalog(files.topics)
        self._ends = files.ends
        placement = Placement(self._catalog)
        self._writer = Writer(files.write, placement, files.ends, clock, self._appended)
        self._reader = Reader(files.read)
        self._offsets = Committed(self._writer, self._catalog)
        self._groups: dict[str, Group] = {}
        self._pruning = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, *, sync: Sync = "full", clock: Callable[[], int] = _unix_ms
    ) -> Self:
        """Open the log in the file ``path``, creating it and its folder if need be.

        Args:
            path: the SQLite file; ``-wal``, ``-shm`` and ``.lock`` files lie beside it.
            sync: "full" flushes to disk before every acknowledgement; "normal" leaves that to
                the operating system, so that losing power can lose the last acknowledged
                records (in order, never some in between).
            clock: Unix time in ms, for the timestamps of records.

        Raises:
            LogLocked: another open log has it.
            LogTooNew: a newer version wrote it.
            LogUnavailable: the file cannot be used; the cause says why.
        """
        return cls(await asyncio.to_thread(open_files, path, sync), clock)

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        for spec in topics:
            if not spec.name or spec.partitions < 1:
                raise ValueError(f"a topic needs a name and at least one partition: {spec}")
        specs = tuple(topics)
        self._catalog.topics = await self._writer.submit(
            lambda transaction: add_topics(transaction.connection, specs)
        )

    async def topics(self) -> AbstractSet[str]:
        self._require_open()
        return frozenset(self._catalog.topics)

    async def producer(self) -> LocalProducer:
        self._require_open()
        return LocalProducer(self._writer)

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> LocalConsumer:
        """As the port says; ``on_assigned`` has been awaited when this returns.

        The listener may commit, seek and pause. It must not close its consumer or wait for
        another one to join: both wait for the listener.

        Raises:
            Permanent: one of ``topics`` does not exist.
            LogUnavailable: the log is closed or cannot be read.
        """
        self._require_open()
        subscribed = frozenset(self._catalog.topic(name).name for name in topics)
        joined = self._group(group)
        consumer = LocalConsumer(
            joined,
            subscribed,
            listener,
            self._reader,
            self._ends,
            self._catalog.partition_id,
        )
        await joined.join(consumer)
        return consumer

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        found = self._catalog.topic(topic)
        ends = await self.end_offsets(topic)  # before: what is appended meanwhile lies behind them
        firsts = await self._reader.run(partial(first_offsets, partition_ids=found.partition_ids))
        return {
            partition: ends[partition] if first is None else first
            for partition, first in zip(found.partitions, firsts, strict=True)
        }

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        self._require_open()
        found = self._catalog.topic(topic)
        return {
            partition: self._ends.get(partition_id, 0)
            for partition, partition_id in zip(found.partitions, found.partition_ids, strict=True)
        }

    async def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        partitions = self._catalog.topic(topic).partitions
        offsets = await self._offsets.load(group)
        return {partition: offsets.get(partition, 0) for partition in partitions}

    async def reset(self, group: str, offsets: Offsets) -> None:
        self._require_open()
        await self._group(group).reset(offsets)

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        check_offset(offset)
        span = Span(partition, self._catalog.partition_id(partition), offset)
        await self._reader.run(partial(read_span, span=span, limit=limit))
        return span.found

    async def prune(self, now_ms: int) -> int:
        """Remove what retention no longer covers at ``now_ms`` (Unix ms); returns how many.

        Records older than their topic's retention go. Of a compacted topic only the last record
        per key stays, and that goes as well 24 hours after it was a null value (a tombstone).
        Offsets are never used again.
        """
        async with self._pruning:
            topics: list[Topic] = list(self._catalog.topics.values())
            return await retention.prune(self._reader, self._writer, topics, now_ms)

    async def healthy(self) -> bool:
        try:
            async with asyncio.timeout(_HEALTHY_SECONDS):
                await self._writer.submit(_nothing)
                await self._reader.run(load_ends)
        except (BusError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await asyncio.gather(*(group.close() for group in self._groups.values()))
            await self._reader.close()
            await self._writer.close()
        finally:
            self._lock.release()

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = Group(
                name, self._offsets, lambda topic: self._catalog.topic(topic).partitions
            )
        return self._groups[name]

    def _appended(self, ends: Mapping[int, int]) -> None:
        self._ends.update(ends)
        for group in self._groups.values():
            group.appended(ends)

    def _require_open(self) -> None:
        if self._closing is not None:
            raise LogUnavailable("the log is closed")


def _nothing(_: Transaction) -> None:
    """An empty transaction: answers when the writer does."""
