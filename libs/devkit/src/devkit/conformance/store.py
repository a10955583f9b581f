"""The conformance suite of the store ports: ``bus.store`` and ``bus.outbox.Outbox``.

A backend's test module subclasses ``StoreConformance`` and gives four fixtures::

    class TestMyStore(StoreConformance):
        @pytest_asyncio.fixture
        async def store(self) -> AsyncIterator[TransactionalStore[Any]]:
            '''An open and empty store.'''

        @pytest_asyncio.fixture
        async def outbox(self, store) -> AsyncIterator[Outbox]:
            '''The relay's side of that store, released after the test.'''

        @pytest.fixture
        def other_relay(self, store) -> Outbox:
            '''The same as another process would have it, released after the test.'''

        @pytest.fixture
        def inbox_size(self, store) -> Callable[[], Awaitable[int]]:
            '''How many ids the inbox holds.'''

What a backend cannot do it says by overriding the test with a strict xfail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from bus.errors import Permanent
from bus.outbox import Outbox, OutboxRow
from bus.store import TransactionalStore
from contracts.envelope import Envelope

Store: TypeAlias = TransactionalStore[Any]
Count = Callable[[], Awaitable[int]]

CONSUMER = "booking"
# Seconds in which something that should happen has happened, and after which it has not.
SOON = 60.0
NOT_YET = 0.1


def row(number: int, *, event_id: UUID | None = None) -> OutboxRow:
    """An outbox row whose payload is its number."""
    envelope = Envelope(
        id=str(event_id or uuid4()),
        source="store-conformance",
        type="order.booked.v1",
        time=datetime.now(UTC),
        subject=f"account-{number % 3}",
        tenant_id="tenant-ä",
        correlation_id="correlation",
        causation_id="cause",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return OutboxRow(envelope, envelope.subject, b"%d" % number)


def numbers(rows: Sequence[OutboxRow]) -> list[int]:
    """The numbers of rows, in their order."""
    return [int(item.payload) for item in rows]


async def claim(store: Store, ids: Sequence[UUID], consumer: str = CONSUMER) -> set[UUID]:
    """Claim in a transaction of its own."""
    async with store.transaction() as transaction:
        won: set[UUID] = await transaction.claim(consumer, ids)
    return won


async def add(store: Store, rows: Sequence[OutboxRow]) -> None:
    """Write rows in a transaction of their own."""
    async with store.transaction() as transaction:
        await transaction.add(rows)


class InboxConformance:
    """Which events a consumer has taken."""

    @pytest.mark.asyncio
    async def test_a_claim_returns_only_what_is_new(self, store: Store) -> None:
        old, new = uuid4(), uuid4()
        assert await claim(store, [old]) == {old}
        assert await claim(store, [new, old]) == {new}
        assert await claim(store, [new, old]) == set()

    @pytest.mark.asyncio
    async def test_nothing_claimed_is_nothing_new(self, store: Store) -> None:
        assert await claim(store, []) == set()

    @pytest.mark.asyncio
    async def test_duplicates_inside_one_claim_are_one(
        self, store: Store, inbox_size: Count
    ) -> None:
        event_id = uuid4()
        assert await claim(store, [event_id, event_id]) == {event_id}
        assert await inbox_size() == 1

    @pytest.mark.asyncio
    async def test_a_transaction_sees_its_own_claims(self, store: Store, inbox_size: Count) -> None:
        event_id = uuid4()
        async with store.transaction() as transaction:
            assert await transaction.claim(CONSUMER, [event_id]) == {event_id}
            assert await transaction.claim(CONSUMER, [event_id]) == set()
        assert await inbox_size() == 1

    @pytest.mark.asyncio
    async def test_consumers_do_not_see_each_others_claims(self, store: Store) -> None:
        event_id = uuid4()
        assert await claim(store, [event_id], "one") == {event_id}
        assert await claim(store, [event_id], "other") == {event_id}

    @pytest.mark.asyncio
    async def test_concurrent_claims_of_the_same_ids_are_each_won_once(self, store: Store) -> None:
        ids = [uuid4() for _ in range(20)]
        claims = [claim(store, ids[n:] + ids[:n]) for n in range(0, 20, 4)]
        won = await asyncio.gather(*claims)
        assert sorted(event_id for ids_won in won for event_id in ids_won) == sorted(ids)

    @pytest.mark.asyncio
    async def test_a_claim_waits_for_one_under_way(self, store: Store) -> None:
        """Otherwise it would have to guess whether the other one commits."""
        event_id = uuid4()
        async with store.transaction() as first:
            await first.claim(CONSUMER, [event_id])
            second = asyncio.create_task(claim(store, [event_id]))
            done, _ = await asyncio.wait({second}, timeout=NOT_YET)
            assert not done
        async with asyncio.timeout(SOON):
            assert await second == set()

    @pytest.mark.asyncio
    async def test_an_id_is_free_again_after_a_rollback(self, store: Store) -> None:
        event_id = uuid4()
        claimed = asyncio.Event()

        async def fail() -> None:
            async with store.transaction() as transaction:
                await transaction.claim(CONSUMER, [event_id])
                claimed.set()
                await asyncio.sleep(NOT_YET)
                raise Permanent("told to")

        failing = asyncio.create_task(fail())
        await claimed.wait()
        assert await claim(store, [event_id]) == {event_id}
        with pytest.raises(Permanent):
            await failing


class OutboxConformance:
    """Which events a store owes the log."""

    @pytest.mark.asyncio
    async def test_a_rollback_leaves_nothing(
        self, store: Store, outbox: Outbox, inbox_size: Count
    ) -> None:
        async def fail(error: BaseException) -> None:
            async with store.transaction() as transaction:
                await transaction.claim(CONSUMER, [uuid4()])
                await transaction.add([row(1)])
                raise error

        for error in (Permanent("told to"), asyncio.CancelledError()):
            with pytest.raises(type(error)):
                await fail(error)
        assert await inbox_size() == 0
        assert await outbox.pending(10) == []

    @pytest.mark.asyncio
    async def test_inbox_and_outbox_commit_together(
        self, store: Store, outbox: Outbox, inbox_size: Count
    ) -> None:
        async with store.transaction() as transaction:
            await transaction.claim(CONSUMER, [uuid4()])
            await transaction.add([row(1)])
            assert await outbox.pending(10) == []
        assert await inbox_size() == 1
        assert numbers(await outbox.pending(10)) == [1]

    @pytest.mark.asyncio
    async def test_a_row_comes_back_as_it_was_written(self, store: Store, outbox: Outbox) -> None:
        written = row(1)
        await add(store, [written])
        (found,) = await outbox.pending(10)
        assert found.envelope == written.envelope
        assert (found.key, found.payload, found.topic) == (written.key, b"1", "order.booked.v1")

    @pytest.mark.asyncio
    async def test_rows_come_in_order_of_writing(self, store: Store, outbox: Outbox) -> None:
        await add(store, [row(n) for n in range(20)])
        await add(store, [])
        await add(store, [row(n) for n in range(20, 25)])
        assert numbers(await outbox.pending(100)) == list(range(25))

    @pytest.mark.asyncio
    async def test_no_more_rows_than_asked_for(self, store: Store, outbox: Outbox) -> None:
        await add(store, [row(n) for n in range(5)])
        assert numbers(await outbox.pending(3)) == [0, 1, 2]

    @pytest.mark.asyncio
    async def test_what_is_published_is_not_pending(self, store: Store, outbox: Outbox) -> None:
        await add(store, [row(n) for n in range(5)])
        await outbox.mark_published((await outbox.pending(5))[1:3])
        assert numbers(await outbox.pending(5)) == [0, 3, 4]
        await outbox.mark_published(await outbox.pending(5))
        assert await outbox.pending(5) == []

    @pytest.mark.asyncio
    async def test_the_same_id_is_written_once(self, store: Store, outbox: Outbox) -> None:
        event_id = uuid4()
        await add(store, [row(1, event_id=event_id), row(2, event_id=event_id), row(3)])
        await add(store, [row(4, event_id=event_id)])
        assert numbers(await outbox.pending(10)) == [1, 3]

    @pytest.mark.asyncio
    async def test_not_even_after_it_was_published(self, store: Store, outbox: Outbox) -> None:
        event_id = uuid4()
        await add(store, [row(1, event_id=event_id)])
        await outbox.mark_published(await outbox.pending(10))
        await add(store, [row(2, event_id=event_id)])
        assert await outbox.pending(10) == []

    @pytest.mark.asyncio
    async def test_the_oldest_row_has_an_age(self, store: Store, outbox: Outbox) -> None:
        assert await outbox.oldest_age() == 0.0
        await add(store, [row(1)])
        assert 0.0 < await outbox.oldest_age() < SOON
        await outbox.mark_published(await outbox.pending(10))
        assert await outbox.oldest_age() == 0.0


class RelayConformance:
    """What a relay waits for, and that there is one."""

    @pytest.mark.asyncio
    async def test_a_commit_wakes_a_relay_that_waits(self, store: Store, outbox: Outbox) -> None:
        await self._idle(outbox)
        waiting = asyncio.create_task(outbox.wait(600))
        done, _ = await asyncio.wait({waiting}, timeout=NOT_YET)
        assert not done
        await add(store, [row(1)])
        async with asyncio.timeout(SOON):
            await waiting

    @pytest.mark.asyncio
    async def test_a_commit_just_before_the_wait_is_not_missed(
        self, store: Store, outbox: Outbox
    ) -> None:
        await self._idle(outbox)
        await add(store, [row(1)])
        async with asyncio.timeout(SOON):
            await outbox.wait(600)

    @pytest.mark.asyncio
    async def test_a_relay_waits_no_longer_than_asked(self, outbox: Outbox) -> None:
        await self._idle(outbox)
        async with asyncio.timeout(SOON):
            await outbox.wait(0.01)

    @pytest.mark.asyncio
    async def test_one_relay_is_active(self, outbox: Outbox, other_relay: Outbox) -> None:
        assert await outbox.acquire()
        assert not await other_relay.acquire()
        assert await outbox.acquire()
        await outbox.release()
        assert await other_relay.acquire()
        assert not await outbox.acquire()

    @pytest.mark.asyncio
    async def test_release_is_idempotent(self, outbox: Outbox) -> None:
        await outbox.release()
        assert await outbox.acquire()
        await outbox.release()
        await outbox.release()
        assert await outbox.acquire()

    async def _idle(self, outbox: Outbox) -> None:
        """A relay that has found nothing to do and has forgotten earlier wake-ups."""
        assert await outbox.acquire()
        assert await outbox.pending(1) == []
        await outbox.wait(0.001)


class PruningConformance:
    """Forgetting what nothing can deliver again."""

    @pytest.mark.asyncio
    async def test_old_inbox_rows_go(self, store: Store, inbox_size: Count) -> None:
        ids = [uuid4(), uuid4()]
        await claim(store, ids)
        past, future = _around_now()
        assert await store.prune(past, past) == 0
        assert await inbox_size() == 2
        assert await store.prune(future, past) == 2
        assert await inbox_size() == 0
        assert await claim(store, ids) == set(ids)

    @pytest.mark.asyncio
    async def test_published_rows_go_and_others_stay(self, store: Store, outbox: Outbox) -> None:
        published = uuid4()
        await add(store, [row(1, event_id=published), row(2)])
        await outbox.mark_published((await outbox.pending(10))[:1])
        past, future = _around_now()
        assert await store.prune(past, past) == 0
        assert await store.prune(past, future) == 1
        assert numbers(await outbox.pending(10)) == [2]
        await add(store, [row(3, event_id=published)])
        assert numbers(await outbox.pending(10)) == [2, 3]


def _around_now() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(hours=1), now + timedelta(hours=1)


class StoreConformance(InboxConformance, OutboxConformance, RelayConformance, PruningConformance):
    """Everything the store ports promise."""
