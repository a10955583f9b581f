"""Reading on a thread and a connection of its own, so that neither writer nor loop waits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from bus.errors import LogUnavailable
from bus.local.batch import Batch, decode
from bus.local.database import MAX_OFFSET, offset_in, position
from bus.record import Record, TopicPartition

T = TypeVar("T")

# What one read may hold in memory beyond its first batch, whatever number of records was asked.
_READ_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Span:
    """What is wanted of a partition, and then what was found there.

    ``end`` is a next offset that had been reached before the read began; ``start`` moves on to
    where the next read has to begin.
    """

    source: TopicPartition
    partition_id: int
    start: int
    end: int = 0
    found: list[Record] = field(default_factory=list)


class Reader:
    """Runs queries one after the other on the reading thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._closed = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="local-log-reader")

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``query``; raises LogUnavailable when the log is closed or broken."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, query, self._connection)
        except sqlite3.Error as error:
            raise LogUnavailable(f"the log could not be read: {error}") from error

    async def close(self) -> None:
        """Finish what is queued and end the thread."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)
        self._executor.shutdown()


def first_offsets(connection: sqlite3.Connection, partition_ids: Sequence[int]) -> list[int | None]:
    """Where the first batch of each partition begins; None if it has none."""
    return [_first_offset(connection, partition_id) for partition_id in partition_ids]


def _first_offset(connection: sqlite3.Connection, partition_id: int) -> int | None:
    span = (position(partition_id, 0), position(partition_id, MAX_OFFSET))
    row = connection.execute(
        "SELECT min(position) FROM batch WHERE position BETWEEN ? AND ?", span
    ).fetchone()
    return None if row[0] is None else offset_in(row[0])


def read_fairly(connection: sqlite3.Connection, spans: Sequence[Span], limit: int) -> None:
    """Fill ``spans`` with up to ``limit`` records together: first a share each, then the rest."""
    share = max(1, limit // len(spans))
    left = limit
    for span in spans:
        left -= read_span(connection, span, min(share, left))
    for span in spans:
        if len(span.found) == share:
            left -= read_span(connection, span, left)


def read_span(connection: sqlite3.Connection, span: Span, limit: int) -> int:
    """Add up to ``limit`` records to ``span``, move its start past them, and count them."""
    if limit <= 0:
        return 0
    found, exhausted = _scan(connection, span, limit)
    span.found += found
    if found:
        span.start = found[-1].offset + 1
    if exhausted:  # what was below the end has been pruned: do not look for it again
        span.start = max(span.start, span.end)
    return len(found)


def _scan(connection: sqlite3.Connection, span: Span, limit: int) -> tuple[list[Record], bool]:
    found: list[Record] = []
    size = 0
    with closing(_batches(connection, span.partition_id, span.start)) as rows:
        for row_id, timestamp_ms, body in rows:
            batch = Batch(offset_in(row_id), timestamp_ms, body)
            found += decode(batch, span.source, span.start, limit - len(found))
            size += len(body)
            if len(found) == limit or (found and size >= _READ_BYTES):
                return found, False
    return found, True


def _batches(connection: sqlite3.Connection, partition_id: int, start: int) -> sqlite3.Cursor:
    """Rows of a partition from the batch on that may hold ``start``."""
    lowest, wanted = position(partition_id, 0), position(partition_id, start)
    return connection.execute(
        """SELECT position, timestamp_ms, body FROM batch
           WHERE position <= :highest AND position >= coalesce(
               (SELECT max(position) FROM batch WHERE position BETWEEN :lowest AND :wanted),
               :wanted)
           ORDER BY position""",
        {"lowest": lowest, "wanted": wanted, "highest": position(partition_id, MAX_OFFSET)},
    )
