"""Committed offsets of consumer groups in the file."""

from __future__ import annotations

import asyncio
import sqlite3

from bus.local.append import Transaction
from bus.local.catalog import Catalog
from bus.local.database import check_offset
from bus.local.group import Offsets
from bus.local.writer import Writer
from bus.record import TopicPartition


class Committed:
    """A ``bus.local.group.OffsetStore`` behind the writer."""

    def __init__(self, writer: Writer, catalog: Catalog) -> None:
        self._writer = writer
        self._catalog = catalog

    def load(self, group: str) -> asyncio.Future[Offsets]:
        """Committed offsets of ``group``; through the writer's queue, so behind every commit."""

        def query(transaction: Transaction) -> Offsets:
            return _select(transaction.connection, group)

        return self._writer.submit(query)

    def save(self, group: str, offsets: Offsets) -> asyncio.Future[None]:
        """Set committed offsets; raises Permanent for unknown partitions."""
        for offset in offsets.values():
            check_offset(offset)
        rows = [(group, self._catalog.partition_id(p), offset) for p, offset in offsets.items()]

        def write(transaction: Transaction) -> None:
            transaction.connection.executemany("REPLACE INTO committed VALUES (?, ?, ?)", rows)

        return self._writer.submit(write)


def _select(connection: sqlite3.Connection, group: str) -> Offsets:
    rows = connection.execute(
        """SELECT topic.name, partition.number, committed.next_offset
           FROM committed
           JOIN partition ON partition.id = committed.partition_id
           JOIN topic ON topic.id = partition.topic_id
           WHERE committed.consumer_group = ?""",
        (group,),
    ).fetchall()
    return {TopicPartition(name, number): offset for name, number, offset in rows}
