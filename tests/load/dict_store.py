"""The store port on dictionaries, in constant time per record.

``bus.stores.memory`` looks through all that it ever took: right for tests, but a benchmark would
measure that. This one never fails and never rolls back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from bus.outbox import OutboxRow


@dataclass
class State:
    """What is stored."""

    inbox: set[UUID] = field(default_factory=set)
    effects: list[Any] = field(default_factory=list)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    position: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class DictTransaction:
    """Writes at once."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
        assert consumer
        new = set(ids) - self.state.inbox
        self.state.inbox |= new
        return new

    async def add(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            self.state.position += 1
            self.state.outbox[self.state.position] = replace(row, position=self.state.position)


class DictStore:
    """The consumer's side."""

    def __init__(self, state: State) -> None:
        self._state = state

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[DictTransaction]:
        yield DictTransaction(self._state)
        self._state.changed.set()

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:
        raise NotImplementedError(f"{inbox_before}, {outbox_before}: a benchmark prunes nothing")


class DictOutbox:
    """The relay's side."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def acquire(self) -> bool:
        return True

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        return list(islice(self._state.outbox.values(), limit))

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            assert isinstance(row.position, int)
            del self._state.outbox[row.position]

    async def wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._state.changed.wait()
        except TimeoutError:
            return
        self._state.changed.clear()

    async def oldest_age(self) -> float:
        return 0.0

    async def release(self) -> None:
        """Nothing to give up."""
