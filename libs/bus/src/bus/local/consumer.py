"""One member of a group: where it is in each partition, and reading on from there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Any

from bus.errors import Fenced, LogUnavailable
from bus.local.database import check_offset
from bus.local.group import Group
from bus.local.reader import Reader, Span, read_fairly
from bus.port import RebalanceListener
from bus.record import Record, TopicPartition

_logger = logging.getLogger(__name__)

# As Kafka's rebalance timeout: a listener that hangs loses its partitions, not the whole group.
_LISTENER_SECONDS = 300.0


@dataclass(slots=True)
class _Cursor:
    """Place in an owned partition; ``held`` while the listener is being told about it."""

    partition_id: int
    position: int
    paused: bool = False
    held: bool = True


class LocalConsumer:
    """A member of a consumer group on the local log."""

    def __init__(
        self,
        group: Group,
        topics: AbstractSet[str],
        listener: RebalanceListener | None,
        reader: Reader,
        ends: Mapping[int, int],
        partition_id: Callable[[TopicPartition], int],
    ) -> None:
        self.topics = topics
        self._group = group
        self._listener = listener
        self._reader = reader
        self._ends = ends
        self._partition_id = partition_id
        # Longest not read first: that is what keeps a busy partition from starving others.
        self._cursors: dict[TopicPartition, _Cursor] = {}
        self._wake = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        if max_records < 1:
            raise ValueError(f"max_records must be at least 1, not {max_records}")
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            self._require_open()
            self._wake.clear()  # before looking, so that what arrives meanwhile wakes us
            if found := await self._fetch(max_records):
                return found
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                self._require_open()
                return ()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        lost = sorted(offsets.keys() - self._cursors.keys())
        if lost:
            raise Fenced(
                f"not assigned to this member of {self._group.name!r}: {', '.join(map(str, lost))}"
            )
        if offsets:
            await self._group.commit(offsets)

    def assignment(self) -> AbstractSet[TopicPartition]:
        return frozenset(self._cursors)

    def reached(self) -> Mapping[TopicPartition, int]:
        return {
            partition: cursor.position
            for partition, cursor in self._cursors.items()
            if not cursor.held
        }

    def pause(self, partitions: AbstractSet[TopicPartition]) -> None:
        for cursor in self._owned(partitions):
            cursor.paused = True

    def resume(self, partitions: AbstractSet[TopicPartition]) -> None:
        for cursor in self._owned(partitions):
            cursor.paused = False
        self._wake.set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """As the port says; raises Fenced if ``partition`` is not assigned to this member."""
        check_offset(offset)
        if partition not in self._cursors:
            raise Fenced(f"{partition} is not assigned to this member of {self._group.name!r}")
        self._cursors[partition].position = offset
        self._wake.set()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._group.leave(self))
            self._wake.set()
        await asyncio.shield(self._closing)

    def appended(self, ends: Mapping[int, int]) -> None:
        """Partitions (by id) have new ends: wake a waiting poll if one of them is ours."""
        if any(cursor.partition_id in ends for cursor in self._cursors.values()):
            self._wake.set()

    async def revoke(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Part of ``bus.local.group.Member``."""
        for cursor in self._owned(partitions):
            cursor.held = True
        if self._listener is not None:
            await self._tell(self._listener.on_revoked(partitions))
        for partition in partitions:
            self._cursors.pop(partition, None)

    async def give(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Part of ``bus.local.group.Member``."""
        for partition, offset in offsets.items():
            self._cursors[partition] = _Cursor(self._partition_id(partition), offset)
        if self._listener is not None:
            await self._tell(self._listener.on_assigned(offsets.keys()))
        for cursor in self._owned(offsets):
            cursor.held = False
        self._wake.set()

    async def _tell(self, listener: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(_LISTENER_SECONDS):
                await listener
        except Exception:
            # The partitions move whatever the listener makes of it, as they do on Kafka.
            _logger.exception("a rebalance listener of group %s failed", self._group.name)

    def _require_open(self) -> None:
        if self._closing is not None:
            raise LogUnavailable("the consumer is closed")

    def _owned(self, partitions: Iterable[TopicPartition]) -> list[_Cursor]:
        return [self._cursors[p] for p in partitions if p in self._cursors]

    async def _fetch(self, max_records: int) -> list[Record]:
        wanted = [(self._cursors[span.source], span) for span in self._spans()]
        if not wanted:
            return []
        starts = [span.start for _, span in wanted]
        spans = [span for _, span in wanted]
        await self._reader.run(partial(read_fairly, spans=spans, limit=max_records))
        found: list[Record] = []
        for (cursor, span), start in zip(wanted, starts, strict=True):
            if self._still_wanted(cursor, span.source, start):
                found += self._advance(cursor, span)
        return found

    def _spans(self) -> list[Span]:
        """What there is to read now, by what the loop knows of the ends of partitions."""
        return [
            Span(partition, cursor.partition_id, cursor.position, end)
            for partition, cursor in self._cursors.items()
            if not cursor.paused
            and not cursor.held
            and cursor.position < (end := self._ends.get(cursor.partition_id, 0))
        ]

    def _still_wanted(self, cursor: _Cursor, source: TopicPartition, start: int) -> bool:
        """False if a rebalance, a pause or a seek came while the thread was reading."""
        return (
            self._cursors.get(source) is cursor
            and not cursor.paused
            and not cursor.held
            and cursor.position == start
        )

    def _advance(self, cursor: _Cursor, span: Span) -> list[Record]:
        cursor.position = span.start
        if span.found:  # to the end of the order
            self._cursors[span.source] = self._cursors.pop(span.source)
        return span.found
