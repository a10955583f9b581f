"""The stores a pipeline can run on: PostgreSQL, and dictionaries to see what PostgreSQL costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from bus.migrate import BUS_MIGRATIONS, migrate
from bus.outbox import Outbox, OutboxRow
from bus.store import TransactionalStore
from bus.stores.postgres import PostgresOutbox, PostgresStore, PostgresTransaction, connect
from contracts.events.visibility import AnswerAnalyzed
from devkit.embedded import EmbeddedPostgres

_TABLE = """CREATE TABLE analyses (
    tenant_id     text        NOT NULL,
    completion_id uuid        NOT NULL,
    model         text        NOT NULL,
    mentions      integer     NOT NULL,
    analyzed_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, completion_id)
)"""
_INSERT = (
    "INSERT INTO analyses SELECT * FROM "
    "unnest($1::text[], $2::uuid[], $3::text[], $4::integer[], $5::timestamptz[])"
)


class Analysis(NamedTuple):
    """One row of effect."""

    tenant_id: str
    completion_id: UUID
    event: AnswerAnalyzed


class Analyses(Protocol):
    """The repository that the handler writes to."""

    async def add(self, rows: Sequence[Analysis]) -> None:
        """Insert rows."""


@dataclass(frozen=True)
class Kit:
    """A store, its outbox, and how to bind the repository to a transaction."""

    store: TransactionalStore[Any]
    outbox: Outbox
    bind: Callable[[Any], Analyses]
    close: Callable[[], Awaitable[object]]


class _PostgresAnalyses:
    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection = transaction.connection

    async def add(self, rows: Sequence[Analysis]) -> None:
        events = [row.event for row in rows]
        await self._connection.execute(
            _INSERT,
            [row.tenant_id for row in rows],
            [row.completion_id for row in rows],
            [event.model for event in events],
            [len(event.mentions) for event in events],
            [event.analyzed_at for event in events],
        )


async def postgres_kit(server: EmbeddedPostgres, name: str) -> Kit:
    """A new database, with the bus's own tables and one for the effect."""
    dsn = await server.database(name)
    await migrate(dsn, BUS_MIGRATIONS, with_inbox=False)
    pool = await connect(dsn, name)
    await pool.execute(_TABLE)
    return Kit(PostgresStore(pool), PostgresOutbox(dsn, name), _PostgresAnalyses, pool.close)


async def memory_kit() -> Kit:
    """Constant time per record, so that a long run does not pay for its length."""
    state = _State()
    return Kit(_MemoryStore(state), _MemoryOutbox(state), lambda found: found, _nothing)


@dataclass
class _State:
    """``bus.stores.memory`` looks through all it ever took, which a benchmark would measure."""

    inbox: set[UUID] = field(default_factory=set)
    effects: list[Analysis] = field(default_factory=list)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    position: int = 0
    oldest: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class _MemoryTransaction:
    """Writes at once: no row here ever fails."""

    def __init__(self, state: _State) -> None:
        self._state = state

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:  # noqa: ARG002
        new = set(ids) - self._state.inbox
        self._state.inbox |= new
        return new

    async def add(self, rows: Sequence[Any]) -> None:
        """Both ports at once: rows of the outbox, and effects."""
        if rows and isinstance(rows[0], OutboxRow):
            self._publish(rows)
        else:
            self._state.effects += rows

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        state = self._state
        for row in rows:
            state.position += 1
            state.outbox[state.position] = replace(row, position=state.position)


class _MemoryStore:
    def __init__(self, state: _State) -> None:
        self._state = state

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_MemoryTransaction]:
        yield _MemoryTransaction(self._state)
        self._state.changed.set()

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:  # noqa: ARG002
        return 0


class _MemoryOutbox:
    def __init__(self, state: _State) -> None:
        self._state = state

    async def acquire(self) -> bool:
        return True

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        rows = self._state.outbox.values()
        return [row for row, _ in zip(rows, range(limit), strict=False)]

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            assert isinstance(row.position, int)
            del self._state.outbox[row.position]

    async def wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._state.changed.wait()
        except TimeoutError:
            pass
        self._state.changed.clear()

    async def oldest_age(self) -> float:
        return time.monotonic() - self._state.oldest if self._state.outbox else 0.0

    async def release(self) -> None:
        """Nothing to give up."""


async def _nothing() -> None:
    """Nothing to close."""
