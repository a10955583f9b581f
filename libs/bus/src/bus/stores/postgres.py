"""The store port on PostgreSQL: asyncpg, plain SQL, one database per service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
from contracts.envelope import from_headers, to_headers

from bus.errors import Transient, Unavailable
from bus.outbox import OutboxRow

if TYPE_CHECKING:  # asyncpg's classes are generic for the type checker only
    Connection = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

COMMAND_SECONDS = 30.0
CHANNEL = "outbox"
# Any constant will do: the lock lives in the service's own database.
RELAY_LOCK = 0x4C494D45

_DOWN = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until it is promoted
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # used between the server's last word and the end of the socket
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a password that was changed, a role that lost
    asyncpg.InsufficientPrivilegeError,  # a right: no record is to blame
    OSError,
    TimeoutError,
)
_CONFLICT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
)


async def connect(dsn: str, application: str, *, size: int = 10) -> Pool:
    """A connection pool. Raises Unavailable if the server cannot be reached."""
    with translated():
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            command_timeout=COMMAND_SECONDS,
            server_settings={"application_name": application},
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors into the bus's: down is Unavailable, a lost race Transient."""
    try:
        yield
    except _CONFLICT as error:
        raise Transient(f"PostgreSQL: {type(error).__name__}: {error}") from error
    except _DOWN as error:
        raise Unavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error


class PostgresTransaction:
    """An open transaction; ``connection`` is for the service's own repository."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
        """Enter ids into the inbox in one statement; the new ones."""
        rows = await self.connection.fetch(
            "INSERT INTO inbox (consumer, event_id) SELECT $1, id FROM unnest($2::uuid[]) AS id "
            "ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id",
            consumer,
            list(ids),
        )
        return {row["event_id"] for row in rows}

    async def add(self, rows: Sequence[OutboxRow]) -> None:
        """Write rows in order and wake the relay when the transaction commits."""
        if not rows:
            return
        await self.connection.execute(
            "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, headers) "
            "SELECT id, topic, key, topic, payload, headers::jsonb FROM unnest($1::uuid[], "
            "$2::text[], $3::text[], $4::bytea[], $5::text[]) WITH ORDINALITY "
            "AS row (id, topic, key, payload, headers, n) ORDER BY n ON CONFLICT (id) DO NOTHING",
            [row.envelope.id for row in rows],
            [row.topic for row in rows],
            [row.key for row in rows],
            [row.payload for row in rows],
            [_headers_json(row) for row in rows],
        )
        await self.connection.execute(f"NOTIFY {CHANNEL}")


class PostgresStore:
    """The transactional store of one service, over its pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """A READ COMMITTED transaction."""
        with translated():
            async with self.pool.acquire() as connection, connection.transaction():
                yield PostgresTransaction(connection)

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:
        """Delete in slices, so that no lock is held for long."""
        gone = await self._delete("inbox", "processed_at", inbox_before)
        return gone + await self._delete("outbox", "published_at", outbox_before)

    async def healthy(self) -> bool:
        """Whether the server answers."""
        return bool(await self.pool.fetchval("SELECT true"))

    async def _delete(self, table: str, column: str, before: datetime) -> int:
        statement = (
            f"DELETE FROM {table} WHERE ctid IN "  # noqa: S608 - both names are our constants
            f"(SELECT ctid FROM {table} WHERE {column} < $1 LIMIT 5000)"
        )
        total = 0
        while True:
            with translated():
                gone = int((await self.pool.execute(statement, before)).split()[-1])
            total += gone
            if gone == 0:
                return total


class PostgresOutbox:
    """The relay's side of the outbox, on a connection of its own that holds the relay lock."""

    def __init__(self, dsn: str, service: str) -> None:
        self._dsn = dsn
        self._service = service
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._active = False
        self._wakeup = asyncio.Event()
        self._lock = asyncio.Lock()  # the meter and the relay share the connection

    async def acquire(self) -> bool:
        """Take the service's advisory lock; held until the connection ends."""
        if not self._active:
            row = await self.fetch("SELECT pg_try_advisory_lock($1) AS won", RELAY_LOCK)
            self._active = bool(row[0]["won"])
        return self._active

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        """Unpublished rows in order of writing."""
        rows = await self.fetch(
            "SELECT position, aggregateid, payload, headers FROM outbox "
            "WHERE published_at IS NULL ORDER BY position LIMIT $1",
            limit,
        )
        return [_row(row) for row in rows]

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        """One statement for all of them."""
        positions = [row.position for row in rows]
        await self.fetch(
            "UPDATE outbox SET published_at = now() WHERE position = ANY($1::bigint[])", positions
        )

    async def wait(self, timeout: float) -> None:
        """Until a commit notifies. The timeout covers a notification lost with a connection."""
        try:
            async with asyncio.timeout(timeout):
                await self._wakeup.wait()
        except TimeoutError:
            pass
        self._wakeup.clear()

    async def oldest_age(self) -> float:
        """Seconds since the oldest unpublished row was written."""
        rows = await self.fetch(
            "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 AS age FROM outbox "
            "WHERE published_at IS NULL ORDER BY position LIMIT 1"
        )
        return float(rows[0]["age"]) if rows else 0.0

    async def release(self) -> None:
        """Close the connection and with it the lock."""
        connection, self._connection, self._active = self._connection, None, False
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=2)
            except _DOWN:  # a server that does not answer closes nothing either
                connection.terminate()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """One statement on the outbox's connection. Raises Unavailable, and connects anew."""
        try:
            async with self._lock:
                connection = await self._connected()
                with translated():
                    return await connection.fetch(sql, *arguments)
        except Unavailable:
            await self.release()
            raise

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            if self._active:  # who publishes must not go on as if it still were the only one
                raise Unavailable("PostgreSQL: the relay lock went with its connection")
            with translated():
                self._connection = await asyncpg.connect(
                    self._dsn,
                    command_timeout=COMMAND_SECONDS,
                    server_settings={"application_name": f"{self._service} relay"},
                )
                await self._connection.add_listener(CHANNEL, self._woken)
        return self._connection

    def _woken(self, *_: object) -> None:
        self._wakeup.set()


def _headers_json(row: OutboxRow) -> str:
    return json.dumps({name: value.decode() for name, value in to_headers(row.envelope)})


def _row(row: asyncpg.Record) -> OutboxRow:
    headers = json.loads(row["headers"])
    envelope = from_headers((name, value.encode()) for name, value in headers.items())
    return OutboxRow(envelope, row["aggregateid"], row["payload"], row["position"])
