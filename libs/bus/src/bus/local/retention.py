"""Removing what is too old, or overwritten by a later record of the same key."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from bus.local.append import Transaction
from bus.local.batch import Batch, frames
from bus.local.catalog import Topic
from bus.local.database import MAX_OFFSET, offset_in, position
from bus.local.reader import Reader
from bus.local.writer import Writer

# A null value says "deleted"; it stays this long so that those who read the topic hear of it.
TOMBSTONE_MS = 24 * 60 * 60 * 1000

# Batches per transaction: senders wait for no more than this at a time.
_STEP = 128

_COUNTS = """SELECT position, timestamp_ms, records FROM batch
             WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?"""
_BATCHES = """SELECT position, timestamp_ms, body FROM batch
              WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?"""


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """A batch that loses ``removed`` records and keeps ``kept`` in ``body``."""

    row_id: int
    body: bytes
    kept: int
    removed: int


async def prune(reader: Reader, writer: Writer, topics: Sequence[Topic], now_ms: int) -> int:
    """Remove expired and superseded records of ``topics``; returns how many.

    Not to be run twice at the same time: a batch is rewritten from what was read of it before.
    """
    removed = 0
    for topic in topics:
        for partition_id in topic.partition_ids:
            if topic.retention_ms is None:
                removed += await _compact(reader, writer, partition_id, now_ms - TOMBSTONE_MS)
            else:
                removed += await _expire(writer, partition_id, now_ms - topic.retention_ms)
    return removed


async def _expire(writer: Writer, partition_id: int, before_ms: int) -> int:
    removed = 0
    while step := await writer.submit(partial(_delete_old, partition_id, before_ms)):
        removed += step
    return removed


def _delete_old(partition_id: int, before_ms: int, transaction: Transaction) -> int:
    oldest = transaction.connection.execute(_COUNTS, _from(partition_id, 0)).fetchall()
    expired = list(takewhile(lambda row: row[1] < before_ms, oldest))
    if expired:
        transaction.connection.execute(
            "DELETE FROM batch WHERE position BETWEEN ? AND ?", (expired[0][0], expired[-1][0])
        )
    return sum(records for _, _, records in expired)


async def _compact(reader: Reader, writer: Writer, partition_id: int, before_ms: int) -> int:
    last = await reader.run(partial(_last_offsets, partition_id))
    removed, start = 0, 0
    while start <= MAX_OFFSET:
        rewrites, start = await reader.run(
            partial(_superseded, partition_id, start, last, before_ms)
        )
        if rewrites:  # oldest first, so that no tombstone goes before what it deletes
            await writer.submit(partial(_apply, rewrites))
        removed += sum(rewrite.removed for rewrite in rewrites)
    return removed


def _last_offsets(partition_id: int, connection: sqlite3.Connection) -> dict[bytes | None, int]:
    last: dict[bytes | None, int] = {}
    start = 0
    while rows := connection.execute(_BATCHES, _from(partition_id, start)).fetchall():
        for row_id, timestamp_ms, body in rows:
            batch = Batch(offset_in(row_id), timestamp_ms, body)
            last.update((frame.key, frame.offset) for frame in frames(batch))
            start = batch.base + 1
    return last


def _superseded(
    partition_id: int,
    start: int,
    last: Mapping[bytes | None, int],
    before_ms: int,
    connection: sqlite3.Connection,
) -> tuple[list[_Rewrite], int]:
    """Rewrites among the next batches from ``start``, and where the ones after them begin."""
    rows = connection.execute(_BATCHES, _from(partition_id, start)).fetchall()
    rewrites = []
    for row_id, timestamp_ms, body in rows:
        batch = Batch(offset_in(row_id), timestamp_ms, body)
        rewrite = _without_superseded(row_id, batch, last, before_ms)
        if rewrite.removed:
            rewrites.append(rewrite)
    return rewrites, offset_in(rows[-1][0]) + 1 if rows else MAX_OFFSET + 1


def _without_superseded(
    row_id: int, batch: Batch, last: Mapping[bytes | None, int], before_ms: int
) -> _Rewrite:
    kept: list[bytes] = []
    removed = 0
    for frame in frames(batch):
        overwritten = frame.offset < last.get(frame.key, 0)
        if overwritten or (frame.is_tombstone and batch.timestamp_ms < before_ms):
            removed += 1
        else:
            kept.append(frame.raw)
    return _Rewrite(row_id, b"".join(kept), len(kept), removed)


def _apply(rewrites: Sequence[_Rewrite], transaction: Transaction) -> None:
    connection = transaction.connection
    connection.executemany(
        "UPDATE batch SET records = ?, body = ? WHERE position = ?",
        [(rewrite.kept, rewrite.body, rewrite.row_id) for rewrite in rewrites if rewrite.kept],
    )
    connection.executemany(
        "DELETE FROM batch WHERE position = ?",
        [(rewrite.row_id,) for rewrite in rewrites if not rewrite.kept],
    )


def _from(partition_id: int, start: int) -> tuple[int, int, int]:
    """Arguments of the queries above: the next step of a partition from offset ``start`` on."""
    return position(partition_id, start), position(partition_id, MAX_OFFSET), _STEP
