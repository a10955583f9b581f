"""The store port in memory: the bed for deterministic tests of delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bus.outbox import OutboxRow


@dataclass
class _Inboxed:
    consumer: str
    event_id: UUID
    at: datetime


class MemoryTransaction:
    """Collects writes; ``effects`` is the caller's own state, changed by ``change``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._claimed: list[_Inboxed] = []
        self._rows: list[OutboxRow] = []
        self._effects: list[tuple[str, Any]] = []

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
        """Enter ids into the inbox; the new ones."""
        known = {item.event_id for item in self._store.inbox if item.consumer == consumer}
        known |= {item.event_id for item in self._claimed if item.consumer == consumer}
        new = {event_id for event_id in ids if event_id not in known}
        now = datetime.now(UTC)
        self._claimed += [_Inboxed(consumer, event_id, now) for event_id in sorted(new)]
        return new

    async def add(self, rows: Sequence[OutboxRow]) -> None:
        """Write to the outbox; a row with a known id is written once, as by a unique key."""
        self._rows += rows

    def record(self, key: str, value: Any) -> None:
        """Append ``value`` to the effects under ``key``."""
        self._effects.append((key, value))

    def commit(self) -> None:
        """Make all of it visible at once."""
        store = self._store
        store.inbox += self._claimed
        known = {row.envelope.id for row in (*store.unpublished, *store.published)}
        for row in self._rows:
            if row.envelope.id not in known:
                store.sequence += 1
                store.unpublished.append(replace(row, position=store.sequence))
                known.add(row.envelope.id)
        for key, value in self._effects:
            store.effects.setdefault(key, []).append(value)


class MemoryStore:
    """A transactional store and its outbox. One transaction at a time, like SERIALIZABLE."""

    def __init__(self) -> None:
        self.inbox: list[_Inboxed] = []
        self.effects: dict[str, list[Any]] = {}
        self.unpublished: list[OutboxRow] = []
        self.published: list[OutboxRow] = []
        self.sequence = 0
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """A transaction that is applied when its block ends well."""
        async with self._lock:
            open_transaction = MemoryTransaction(self)
            yield open_transaction
            open_transaction.commit()
        self._changed.set()

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:
        """Forget old rows."""
        kept = [item for item in self.inbox if item.at >= inbox_before]
        open_rows = [row for row in self.published if row.envelope.time >= outbox_before]
        gone = len(self.inbox) - len(kept) + len(self.published) - len(open_rows)
        self.inbox, self.published = kept, open_rows
        return gone

    async def acquire(self) -> bool:
        """Become the active relay; there is only one process."""
        return True

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        """The oldest unpublished rows."""
        return self.unpublished[:limit]

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        """Move rows to the published ones."""
        gone = {row.position for row in rows}
        self.published += [row for row in self.unpublished if row.position in gone]
        self.unpublished = [row for row in self.unpublished if row.position not in gone]

    async def wait(self, timeout: float) -> None:
        """Return on the next commit, or after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def oldest_age(self) -> float:
        """Age in seconds of the oldest unpublished row."""
        if not self.unpublished:
            return 0.0
        return (datetime.now(UTC) - self.unpublished[0].envelope.time).total_seconds()

    async def release(self) -> None:
        """Nothing to give up."""
