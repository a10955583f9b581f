"""The log or the store fails for a while: nothing is lost, and nothing waits longer than that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from bus import failpoint
from bus.apply import Subscription
from bus.codec import Delivered, Emit
from bus.compose import transactional
from bus.errors import LogUnavailable, Transient, Unavailable
from bus.lag import lag
from bus.local import LocalLog
from bus.outbox import OutboxRow, derive
from bus.relay import Relay
from devkit.conformance.polling import read_all
from devkit.embedded import EmbeddedPostgres
from libs.bus.tests.faulty_log import Faults, FaultyLog
from libs.bus.tests.toy_delivery import (
    AT,
    BOOKED,
    DLQ,
    GROUP,
    PLACED,
    Books,
    Desk,
    OrderBooked,
    delivered,
    emit,
    order,
    place_of,
    poison,
    reasons,
    send,
    until,
)
from libs.bus.tests.toy_service import published, run_until_settled, running, settled, told
from libs.bus.tests.toy_stores import Kit, MemoryKit, PostgresKit, Server
from runtime.deadline import Deadline

pytestmark = pytest.mark.usefixtures("quick_loops")


class Crash(asyncio.CancelledError):
    """The death of the process, which nobody reports when the dead task is collected."""


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def faulty(log: LocalLog, faults: Faults) -> FaultyLog:
    return FaultyLog(log, faults)


async def failed(faults: Faults, times: int) -> None:
    """Wait until something was made to fail ``times`` more times."""
    wanted = faults.failed + times

    async def reached() -> bool:
        return faults.failed >= wanted

    await until(reached, "it failed")


@pytest.mark.asyncio
async def test_a_dlq_that_takes_nothing_holds_the_commit(
    faulty: FaultyLog, faults: Faults, kit: Kit
) -> None:
    faults.closed = {DLQ}
    await send(faulty, [order("a", 1), poison("a", 0)["bad-json"], order("a", 2)])
    async with running(faulty, kit, Desk()) as service:
        await failed(faults, 2)
        assert (await faulty.committed(GROUP, PLACED.name))[place_of("a")] == 0
        assert await service.checks["consumer"]()
        faults.closed = set()
        await settled(faulty, kit)
    assert await kit.booked() == told(await published(faulty)) == {"a": [1, 2]}
    assert reasons(await read_all(faulty, DLQ)) == [("bad-json", "1")]


@pytest.mark.asyncio
async def test_a_restart_while_the_dlq_takes_nothing_loses_nothing(
    faulty: FaultyLog, faults: Faults, kit: Kit
) -> None:
    faults.closed = {DLQ}
    await send(faulty, [order("a", 1), poison("a", 0)["bad-json"], order("a", 2)])
    async with running(faulty, kit, Desk()):
        await failed(faults, 1)
    faults.closed = set()
    await run_until_settled(faulty, kit, Desk())
    assert await kit.booked() == {"a": [1, 2]}
    assert reasons(await read_all(faulty, DLQ)) == [("bad-json", "1")]


@pytest.mark.asyncio
async def test_a_poll_that_fails_does_not_take_held_records_with_it(
    faulty: FaultyLog, faults: Faults, memory_kit: MemoryKit
) -> None:
    desk = Desk(failing={1: lambda: Unavailable("down")})

    async def held() -> bool:
        return len(desk.seen) > 2

    await send(faulty, [order("a", n) for n in (1, 2)])
    async with running(faulty, memory_kit, desk) as service:
        await until(held, "tried in vain")
        faults.polls = True
        await failed(faults, 1)
        faults.polls = False
        desk.failing.clear()
        await settled(faulty, memory_kit)
        assert await service.checks["consumer"]()
    assert await memory_kit.booked() == {"a": [1, 2]}


@pytest.mark.asyncio
async def test_a_commit_that_failed_is_made_up_for_without_new_records(
    faulty: FaultyLog, faults: Faults, memory_kit: MemoryKit
) -> None:
    faults.commits = True
    await send(faulty, [order("a", 1)])
    desk = Desk()
    async with running(faulty, memory_kit, desk):
        await failed(faults, 1)
        assert await lag(faulty, PLACED.name, GROUP) == 1
        faults.commits = False
        await settled(faulty, memory_kit)
    assert desk.seen == [("a", 1)]


@pytest.mark.asyncio
async def test_a_server_that_is_away_is_waited_for(
    postgres: Server, log: LocalLog, postgres_kit: PostgresKit
) -> None:
    desk = Desk()
    async with running(log, postgres_kit, desk) as service:
        await send(log, [order("a", 1)])
        await settled(log, postgres_kit)
        await (await EmbeddedPostgres.start(postgres.folder)).stop()
        try:
            await send(log, [order("a", n) for n in range(2, 6)])
            await until(lambda: _lag_is(log, 4), "taken in")
            assert await service.checks["consumer"]()
            assert await service.checks["relay"]()
        finally:
            await EmbeddedPostgres.start(postgres.folder)
        await settled(log, postgres_kit)
        assert await service.checks["consumer"]()
    assert await postgres_kit.booked() == told(await published(log)) == {"a": [1, 2, 3, 4, 5]}
    assert await read_all(log, DLQ) == []


async def _lag_is(log: LocalLog, records: int) -> bool:
    return await lag(log, PLACED.name, GROUP) == records


@pytest.mark.asyncio
async def test_the_relay_publishes_what_waited_for_the_log_once_and_in_order(
    faulty: FaultyLog, faults: Faults, kit: Kit
) -> None:
    faults.closed = {BOOKED.name}
    await send(faulty, [order("a", n) for n in range(20)])
    async with running(faulty, kit, Desk()) as service:
        await failed(faults, 1)
        await until(lambda: _lag_is_zero(faulty), "effects do not wait for the relay")
        assert await kit.unpublished() == 20
        assert await service.checks["relay"]()
        faults.closed = set()
        await settled(faulty, kit)
    assert told(await published(faulty)) == await kit.booked() == {"a": list(range(20))}


async def _lag_is_zero(log: FaultyLog) -> bool:
    return await lag(log, PLACED.name, GROUP) == 0


@pytest.mark.asyncio
async def test_rows_that_were_not_sent_before_the_stop_go_out_at_the_next_start(
    faulty: FaultyLog, faults: Faults, kit: Kit
) -> None:
    faults.closed = {BOOKED.name}
    await send(faulty, [order("a", n) for n in range(3)])
    async with running(faulty, kit, Desk()):
        await until(lambda: _lag_is_zero(faulty), "effects are there")
    assert await kit.unpublished() == 3
    faults.closed = set()
    await run_until_settled(faulty, kit, Desk())
    assert told(await published(faulty)) == {"a": [0, 1, 2]}


@pytest.mark.asyncio
async def test_a_relay_that_stops_sends_what_is_there_first(
    faulty: FaultyLog, faults: Faults, kit: Kit
) -> None:
    faults.closed = {BOOKED.name}
    async with kit.store.transaction() as transaction:
        await transaction.add(_rows(3))
    relay = Relay(GROUP, kit.outbox, faulty)
    await relay.start()
    await failed(faults, 1)
    faults.closed = set()  # it would look again in a second
    await relay.stop(Deadline(60))
    assert await kit.unpublished() == 0
    assert told(await published(faulty)) == {"a": [0, 1, 2]}


class _Mailing:
    """A consumer of bookings, with a store of its own."""

    def __init__(self) -> None:
        self.kit = MemoryKit()

    async def handle(self, batch: Sequence[Delivered[OrderBooked]], books: Books) -> Sequence[Emit]:
        for item in batch:
            await books.book(item.event.account, item.event.number)
        return []

    async def run(self, log: LocalLog) -> None:
        """Take in every booking there is."""
        subscription = Subscription(BOOKED, self.handle)
        kit = self.kit
        service = await transactional(
            "mailing", log, kit.store, kit.outbox, kit.bind, [subscription]
        )
        await service.start()

        async def done() -> bool:
            return await lag(log, BOOKED.name, "mailing") == 0

        await until(done, "mailed")
        await service.stop(Deadline(5))


@pytest.mark.asyncio
async def test_what_a_relay_sent_twice_counts_once(log: LocalLog, kit: Kit) -> None:
    """It died after the send and before the mark; the inbox of the next service skips the rest."""

    def die(point: str) -> None:
        if point == "relay-after-send":
            raise Crash

    relay = Relay(GROUP, kit.outbox, log)
    async with kit.store.transaction() as transaction:
        await transaction.add(_rows(5))
    failpoint.install(die)
    try:
        await relay.start()
        await until(lambda: _dead(relay), "the relay died")
    finally:
        failpoint.install(None)
    await kit.outbox.release()
    second = Relay(GROUP, kit.outbox, log)
    await second.start()
    await until(lambda: _all_published(kit), "published")
    await second.stop(Deadline(5))

    assert told(await published(log)) == {"a": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]}
    mailing = _Mailing()
    await mailing.run(log)
    assert await mailing.kit.booked() == {"a": [0, 1, 2, 3, 4]}


def _rows(count: int) -> list[OutboxRow]:
    return derive([emit(delivered("a", n), "a", n) for n in range(count)], GROUP, AT, {})


async def _dead(relay: Relay) -> bool:
    return not await relay.healthy()


async def _all_published(kit: Kit) -> bool:
    return await kit.unpublished() == 0


class _Flaky:
    """An outbox that fails some of its answers in a way of its own."""

    def __init__(self, kit: MemoryKit, errors: list[Exception]) -> None:
        self._inner = kit.memory
        self._errors = errors
        self.acquire = self._inner.acquire
        self.mark_published = self._inner.mark_published
        self.wait = self._inner.wait
        self.oldest_age = self._inner.oldest_age
        self.release = self._inner.release

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        if self._errors:
            raise self._errors.pop()
        return await self._inner.pending(limit)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [Unavailable("x"), Transient("deadlock"), LogUnavailable("x")])
async def test_a_relay_outlives_what_passes(
    log: LocalLog, memory_kit: MemoryKit, error: Exception
) -> None:
    async with memory_kit.store.transaction() as transaction:
        await transaction.add(_rows(2))
    relay = Relay(GROUP, _Flaky(memory_kit, [error]), log)
    await relay.start()
    await until(lambda: _all_published(memory_kit), "published")
    assert await relay.healthy()
    await relay.stop(Deadline(5))


@pytest.mark.asyncio
async def test_a_relay_whose_lock_is_gone_stops_publishing(
    log: LocalLog, postgres_kit: PostgresKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection died between two rounds, another process has the lock: it stands by."""
    monkeypatch.setattr("bus.relay.MEASURE_SECONDS", 3600.0)  # the meter would connect anew first
    first, second = postgres_kit.outbox, (await _another(postgres_kit)).outbox
    relay = Relay(GROUP, first, log)
    await relay.start()
    await until(first.acquire, "active")
    pool = postgres_kit.pool
    await pool.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    await until(second.acquire, "the other one took over")
    async with postgres_kit.store.transaction() as transaction:
        await transaction.add(_rows(3))
    await until(lambda: _connected_twice(postgres_kit), "the first one is back")
    assert await postgres_kit.unpublished() == 3
    assert await published(log) == []
    await second.release()
    await until(lambda: _all_published(postgres_kit), "took over again")
    await relay.stop(Deadline(5))
    assert told(await published(log)) == {"a": [0, 1, 2]}


async def _another(kit: PostgresKit) -> PostgresKit:
    return PostgresKit(kit.dsn, kit.pool)


async def _connected_twice(kit: PostgresKit) -> bool:
    relays: int = await kit.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 "
        "AND query LIKE 'SELECT pg_try_advisory_lock%'",
        f"{GROUP} relay",
    )
    return relays == 2
