"""The toy service's store on each backend, as its tests look at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from bus.outbox import Outbox
from bus.store import TransactionalStore
from bus.stores.memory import MemoryStore, MemoryTransaction
from bus.stores.postgres import Pool, PostgresOutbox, PostgresStore, PostgresTransaction, connect
from libs.bus.tests.toy_delivery import GROUP, Books


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL with the toy service's database, made once a session."""

    folder: Path
    dsn: str


BOOKING = """CREATE TABLE booking (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    number integer NOT NULL
)"""


class Kit(Protocol):
    """A store with its outbox and repository, and what a test wants to know of them."""

    store: TransactionalStore[Any]
    outbox: Outbox
    bind: Callable[[Any], Books]

    async def booked(self) -> dict[str, list[int]]:
        """The effects: what was booked per account, in order."""

    async def unpublished(self) -> int:
        """Rows that wait in the outbox."""

    async def drop(self) -> None:
        """Let go of every connection at once, as a killed process does."""

    async def reconnect(self) -> None:
        """A new process on the same data."""


class _MemoryBooks:
    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def book(self, account: str, number: int) -> None:
        self._transaction.record(account, number)


class MemoryKit:
    """The store in memory; it outlives what a test calls the process."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store: TransactionalStore[Any] = self.memory
        self.outbox: Outbox = self.memory
        self.bind: Callable[[Any], Books] = _MemoryBooks

    async def booked(self) -> dict[str, list[int]]:
        return dict(self.memory.effects)

    async def unpublished(self) -> int:
        return len(self.memory.unpublished)

    async def drop(self) -> None:
        """Nothing is connected."""

    async def reconnect(self) -> None:
        """Nothing is connected."""


class _PostgresBooks:
    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection = transaction.connection

    async def book(self, account: str, number: int) -> None:
        await self._connection.execute(
            "INSERT INTO booking (account, number) VALUES ($1, $2)", account, number
        )


class PostgresKit:
    """The store on a real server; observed through a connection of its own."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.dsn = dsn
        self.bind: Callable[[Any], Books] = _PostgresBooks
        self._use(pool)

    @classmethod
    async def create(cls, dsn: str) -> PostgresKit:
        """An emptied store in a database that is up to date."""
        kit = cls(dsn, await connect(dsn, GROUP, size=4))
        await kit.pool.execute("TRUNCATE inbox, outbox, booking RESTART IDENTITY")
        return kit

    def _use(self, pool: Pool) -> None:
        self.pool = pool
        self.store: TransactionalStore[Any] = PostgresStore(pool)
        self.outbox: Outbox = PostgresOutbox(self.dsn, GROUP)

    async def booked(self) -> dict[str, list[int]]:
        rows = await self._look("SELECT account, number FROM booking ORDER BY position")
        effects: dict[str, list[int]] = {}
        for row in rows:
            effects.setdefault(row["account"], []).append(row["number"])
        return effects

    async def unpublished(self) -> int:
        rows = await self._look("SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return int(rows[0]["n"])

    async def drop(self) -> None:
        self.pool.terminate()
        await self.outbox.release()

    async def reconnect(self) -> None:
        self._use(await connect(self.dsn, GROUP, size=4))

    async def _look(self, sql: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()
