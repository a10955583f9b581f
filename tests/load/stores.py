"""The stores a pipeline can run on, each with the one table that its handler writes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from bus.migrate import BUS_MIGRATIONS, migrate
from bus.outbox import Outbox
from bus.store import TransactionalStore
from bus.stores.postgres import PostgresOutbox, PostgresStore, PostgresTransaction, connect
from contracts.events.visibility import AnswerAnalyzed
from devkit.embedded import EmbeddedPostgres
from tests.load.dict_store import DictOutbox, DictStore, DictTransaction, State

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


class _DictAnalyses:
    def __init__(self, transaction: DictTransaction) -> None:
        self._effects = transaction.state.effects

    async def add(self, rows: Sequence[Analysis]) -> None:
        self._effects += rows


async def postgres_kit(server: EmbeddedPostgres, name: str) -> Kit:
    """A new database, with the bus's own tables and one for the effect."""
    dsn = await server.database(name)
    await migrate(dsn, BUS_MIGRATIONS, with_inbox=False)
    pool = await connect(dsn, name)
    await pool.execute(_TABLE)
    return Kit(PostgresStore(pool), PostgresOutbox(dsn, name), _PostgresAnalyses, pool.close)


async def dict_kit() -> Kit:
    """What is left of the pipeline's cost when the store costs nothing."""
    state = State()
    return Kit(DictStore(state), DictOutbox(state), _DictAnalyses, _nothing)


async def _nothing() -> None:
    """Nothing to close."""
