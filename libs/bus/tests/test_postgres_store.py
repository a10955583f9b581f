from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from bus.errors import Transient, Unavailable
from bus.outbox import Outbox
from bus.stores.postgres import (
    RELAY_LOCK,
    PostgresOutbox,
    PostgresStore,
    connect,
    translated,
)
from devkit.conformance.store import StoreConformance, add, claim, row
from devkit.embedded import EmbeddedPostgres
from libs.bus.tests.toy_delivery import until
from libs.bus.tests.toy_stores import PostgresKit, Server


@pytest.fixture
def store(postgres_kit: PostgresKit) -> PostgresStore:
    return PostgresStore(postgres_kit.pool)


@pytest_asyncio.fixture
async def outbox(postgres_kit: PostgresKit) -> AsyncIterator[PostgresOutbox]:
    opened = PostgresOutbox(postgres_kit.dsn, "booking")
    yield opened
    await opened.release()


class TestPostgresStore(StoreConformance):
    @pytest_asyncio.fixture
    async def other_relay(self, postgres_kit: PostgresKit) -> AsyncIterator[Outbox]:
        other = PostgresOutbox(postgres_kit.dsn, "booking")
        yield other
        await other.release()

    @pytest.fixture
    def inbox_size(self, postgres_kit: PostgresKit) -> Callable[[], Awaitable[int]]:
        async def size() -> int:
            return int(await postgres_kit.pool.fetchval("SELECT count(*) FROM inbox"))

        return size


@pytest.mark.asyncio
async def test_a_server_that_is_down_is_unavailable_and_comes_back(
    postgres: Server, store: PostgresStore, outbox: PostgresOutbox
) -> None:
    await add(store, [row(1)])
    assert await outbox.acquire()
    await (await EmbeddedPostgres.start(postgres.folder)).stop()
    try:
        for use in (
            claim(store, [uuid4()]),
            add(store, [row(2)]),
            outbox.pending(1),
            outbox.oldest_age(),
            outbox.acquire(),
            connect(postgres.dsn, "booking"),
        ):
            with pytest.raises(Unavailable):
                await use
    finally:
        await EmbeddedPostgres.start(postgres.folder)
    event_id = uuid4()
    assert await claim(store, [event_id]) == {event_id}
    assert await outbox.acquire()
    assert len(await outbox.pending(10)) == 1


@pytest.mark.asyncio
async def test_a_connection_that_dies_in_a_transaction_is_unavailable(
    store: PostgresStore,
) -> None:
    async def die() -> None:
        async with store.transaction() as transaction:
            await transaction.claim("booking", [uuid4()])
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            await store.pool.execute("SELECT pg_terminate_backend($1)", pid)
            await transaction.claim("booking", [uuid4()])

    with pytest.raises(Unavailable):
        await die()
    assert await store.pool.fetchval("SELECT count(*) FROM inbox") == 0


@pytest.mark.asyncio
async def test_the_relay_lock_goes_with_its_connection(
    store: PostgresStore, outbox: PostgresOutbox, postgres_kit: PostgresKit
) -> None:
    assert await outbox.acquire()
    await _terminate_relay(store)
    other = PostgresOutbox(postgres_kit.dsn, "booking")
    with pytest.raises(Unavailable):
        await outbox.pending(1)
    try:
        await until(other.acquire, "the server let go of the lock")
        await outbox.oldest_age()  # connects anew, as the meter beside the relay does
        assert not await outbox.acquire()
    finally:
        await other.release()


async def _terminate_relay(store: PostgresStore) -> None:
    pid = await store.pool.fetchval(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1", RELAY_LOCK
    )
    assert await store.pool.fetchval("SELECT pg_terminate_backend($1)", pid)


@pytest.mark.asyncio
async def test_release_survives_a_server_that_does_not_answer(
    outbox: PostgresOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any, **__: Any) -> None:
        raise TimeoutError

    assert await outbox.acquire()
    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "close", hang)
        await outbox.release()
    await until(outbox.acquire, "the server let go of the lock")


@pytest.mark.asyncio
async def test_a_value_that_does_not_fit_is_no_outage(store: PostgresStore) -> None:
    """Otherwise one bad record would keep its partition waiting for ever."""
    for statement, argument in (
        ("INSERT INTO booking (account, number) VALUES ('a', $1)", 2**40),
        ("INSERT INTO booking (account, number) VALUES ($1, 1)", "\x00"),
    ):
        with pytest.raises(asyncpg.DataError):
            async with store.transaction() as transaction:
                await transaction.connection.execute(statement, argument)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.SerializationError("x"), Transient),
        (asyncpg.DeadlockDetectedError("x"), Transient),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (asyncpg.DiskFullError("x"), Unavailable),
        (asyncpg.ReadOnlySQLTransactionError("x"), Unavailable),
        (asyncpg.InternalClientError("another operation is in progress"), Unavailable),
        (ConnectionRefusedError(), Unavailable),
        (TimeoutError(), Unavailable),
        (asyncpg.UniqueViolationError("x"), asyncpg.UniqueViolationError),
    ],
)
def test_driver_errors_become_the_buss(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(Exception) as caught, translated():  # noqa: PT011 - the type is compared
        raise error
    assert type(caught.value) is kind
