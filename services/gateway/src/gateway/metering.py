"""Stores what keys use, every few seconds and at the end."""

from __future__ import annotations

import asyncio

from bus.errors import Transient
from runtime.deadline import Deadline
from runtime.ids import new_id
from runtime.logging import logger
from runtime.tasks import Periodic

from gateway.domain.ports import UsageStore
from gateway.domain.usage import UsageLedger

_log = logger(__name__)
FLUSH_SECONDS = 5.0


class UsageFlusher:
    """A component that writes the ledger's sums; a crash loses those since the last turn."""

    def __init__(
        self, ledger: UsageLedger, store: UsageStore, seconds: float = FLUSH_SECONDS
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._instance = new_id()
        self._turns = Periodic("usage flusher", seconds, self.flush, (Transient,))

    async def start(self) -> None:
        """Begin."""
        await self._turns.start()

    async def stop(self, deadline: Deadline) -> None:
        """End the turns, then store what came after the last one."""
        await self._turns.stop(deadline)
        try:
            async with asyncio.timeout(max(1.0, deadline.left)):
                await self.flush()
        except (Transient, TimeoutError) as error:
            _log.warning("the last usage is lost", error=str(error))

    async def flush(self) -> None:
        """Store what is new in one statement; what cannot be stored is offered again."""
        rows = self._ledger.unstored()
        if not rows:
            return
        try:
            await self._store.put(self._instance, rows)
        except BaseException:
            self._ledger.restore(slot for slot, _ in rows)
            raise
        self._ledger.forget_past()
