"""Appending records through the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bus.errors import LogUnavailable
from bus.local.append import Transaction
from bus.local.writer import Writer
from bus.record import OutRecord


class LocalProducer:
    """A producer on the local log: acknowledged means committed on disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending: set[asyncio.Future[None]] = set()
        self._closed = False

    async def send(self, records: Sequence[OutRecord]) -> None:
        """As the port says; all of ``records`` are written or none.

        Raises:
            Permanent: there is no such topic, or a compacted one got a record without key.
        """
        if self._closed:
            raise LogUnavailable("the producer is closed")
        taken = tuple(records)  # the caller may go on changing its list

        def append(transaction: Transaction) -> None:
            transaction.append(taken)

        written = self._writer.submit(append)
        self._pending.add(written)
        written.add_done_callback(self._pending.discard)
        await written

    async def close(self) -> None:
        self._closed = True
        if self._pending:
            await asyncio.wait(self._pending)
