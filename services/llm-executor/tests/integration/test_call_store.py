"""What every backend of the call store promises."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Protocol
from uuid import uuid4

import pytest
from bus.stores.postgres import Pool
from llm_executor.adapters.memory import MemoryCalls, MemoryCallStore
from llm_executor.adapters.postgres import PostgresCallStore
from llm_executor.domain.models import Claim, Key
from llm_executor.domain.ports import CallStore

pytestmark = pytest.mark.asyncio
HEADERS = {"ce_id": "1", "ce_type": "completion.finished.v1"}
LONG = 60.0  # seconds
GONE = 0.02


class Kit(Protocol):
    """One set of completions, and what a test wants to know of it."""

    def holder(self) -> CallStore:
        """The store as another process sees it."""

    async def stored(self, key: Key) -> Any:
        """The body of the stored event, None if there is none."""

    async def published(self, key: Key) -> bool:
        """Whether the stored event is marked as published."""

    async def mark(self, key: Key) -> None:
        """Mark it, as the relay does."""


class MemoryKit:
    def __init__(self) -> None:
        self._calls = MemoryCalls()

    def holder(self) -> CallStore:
        return MemoryCallStore(self._calls)

    async def stored(self, key: Key) -> Any:
        payload = self._calls.entries[key].payload
        return None if payload is None else json.loads(payload)

    async def published(self, key: Key) -> bool:
        return self._calls.entries[key].published

    async def mark(self, key: Key) -> None:
        self._calls.entries[key].published = True


class PostgresKit:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def holder(self) -> CallStore:
        return PostgresCallStore(self._pool)

    async def stored(self, key: Key) -> Any:
        document = await self._value("document", key)
        return None if document is None else json.loads(document)["event"]

    async def published(self, key: Key) -> bool:
        return await self._value("published_at", key) is not None

    async def mark(self, key: Key) -> None:
        await self._pool.execute(
            "UPDATE completions SET published_at = now() WHERE completion_id = $1",
            key.completion_id,
        )

    async def _value(self, column: str, key: Key) -> Any:
        return await self._pool.fetchval(
            f"SELECT {column} FROM completions WHERE tenant_id = $1 AND completion_id = $2",
            key.tenant_id,
            key.completion_id,
        )


@pytest.fixture(params=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    if request.param == "memory":
        return MemoryKit()
    return PostgresKit(request.getfixturevalue("pool"))


@pytest.fixture
def key() -> Key:
    return Key("tenant", uuid4())


async def test_a_fresh_claim_is_held_against_all(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    assert await mine.claim(key, LONG) is Claim.FRESH
    assert await theirs.claim(key, LONG) is Claim.HELD
    assert await mine.claim(key, LONG) is Claim.HELD


async def test_completions_are_claimed_apart(kit: Kit, key: Key) -> None:
    store = kit.holder()
    assert await store.claim(key, LONG) is Claim.FRESH
    assert await store.claim(Key(key.tenant_id, uuid4()), LONG) is Claim.FRESH


async def test_tenants_with_the_same_id_are_apart(kit: Kit, key: Key) -> None:
    store, other = kit.holder(), Key("another", key.completion_id)
    await store.claim(key, LONG)
    assert await store.claim(other, LONG) is Claim.FRESH
    await store.record(key, HEADERS, b'{"of": "tenant"}')
    assert await kit.stored(other) is None
    assert await store.claim(other, LONG) is Claim.HELD


async def test_a_claim_past_its_lease_is_taken_over(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, GONE)
    await asyncio.sleep(2 * GONE)
    assert await theirs.claim(key, LONG) is Claim.TAKEN_OVER
    assert await mine.claim(key, LONG) is Claim.HELD


async def test_a_finished_completion_stays_finished(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, GONE)
    assert await mine.record(key, HEADERS, b'{"text": "\xe2\x80\xa6"}')
    await asyncio.sleep(2 * GONE)
    assert await mine.claim(key, LONG) is Claim.FINISHED
    assert await theirs.claim(key, LONG) is Claim.FINISHED
    assert await kit.stored(key) == {"text": "…"}


async def test_the_first_record_wins(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, GONE)
    await asyncio.sleep(2 * GONE)
    await theirs.claim(key, LONG)
    assert await mine.record(key, HEADERS, b'{"by": "mine"}')  # late, but it was paid for
    assert not await theirs.record(key, HEADERS, b'{"by": "theirs"}')
    assert await kit.stored(key) == {"by": "mine"}


async def test_a_released_claim_can_be_had_at_once(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, LONG)
    await mine.release(key)
    assert await theirs.claim(key, LONG) is Claim.TAKEN_OVER


async def test_nobody_releases_what_another_holds(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, LONG)
    await theirs.release(key)
    assert await theirs.claim(key, LONG) is Claim.HELD


async def test_releasing_what_is_finished_or_unknown_changes_nothing(kit: Kit, key: Key) -> None:
    store = kit.holder()
    await store.release(key)
    assert await store.claim(key, LONG) is Claim.FRESH
    await store.record(key, HEADERS, b"{}")
    await store.release(key)
    assert await store.claim(key, LONG) is Claim.FINISHED


async def test_a_renewed_claim_outlives_its_first_lease(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, 0.2)
    await mine.renew([key], LONG)
    await asyncio.sleep(0.25)
    assert await theirs.claim(key, LONG) is Claim.HELD


async def test_nobody_renews_what_another_holds(kit: Kit, key: Key) -> None:
    mine, theirs = kit.holder(), kit.holder()
    await mine.claim(key, GONE)
    await theirs.renew([key], LONG)
    await asyncio.sleep(2 * GONE)
    assert await theirs.claim(key, LONG) is Claim.TAKEN_OVER
    await mine.renew([key, Key("tenant", uuid4())], GONE)  # lost meanwhile, and unknown
    await asyncio.sleep(2 * GONE)
    assert await mine.claim(key, LONG) is Claim.HELD


async def test_many_claims_are_renewed_at_once_and_none_is_no_error(kit: Kit) -> None:
    store, keys = kit.holder(), [Key(f"tenant-{n % 2}", uuid4()) for n in range(20)]
    for key in keys:
        await store.claim(key, GONE)
    await store.renew(keys[:10], LONG)
    await store.renew([], LONG)
    await asyncio.sleep(2 * GONE)
    claims = [await kit.holder().claim(key, LONG) for key in keys]
    assert claims == [Claim.HELD] * 10 + [Claim.TAKEN_OVER] * 10


async def test_of_holders_at_once_one_wins(kit: Kit) -> None:
    holders = [kit.holder() for _ in range(4)]
    for key in [Key("tenant", uuid4()) for _ in range(10)]:
        claims = await asyncio.gather(*(holder.claim(key, LONG) for holder in holders))
        assert Counter(claims) == {Claim.FRESH: 1, Claim.HELD: 3}


async def test_of_holders_at_once_one_takes_over(kit: Kit, key: Key) -> None:
    await kit.holder().claim(key, GONE)
    await asyncio.sleep(2 * GONE)
    claims = await asyncio.gather(*(kit.holder().claim(key, LONG) for _ in range(4)))
    assert Counter(claims) == {Claim.TAKEN_OVER: 1, Claim.HELD: 3}


async def test_of_records_at_once_one_is_stored(kit: Kit, key: Key) -> None:
    holders = [kit.holder() for _ in range(4)]
    await holders[0].claim(key, LONG)
    bodies = [{"by": n} for n in range(4)]
    stored = await asyncio.gather(
        *(
            holder.record(key, HEADERS, json.dumps(body).encode())
            for holder, body in zip(holders, bodies, strict=True)
        )
    )
    assert Counter(stored) == {True: 1, False: 3}
    assert await kit.stored(key) == bodies[stored.index(True)]


async def test_a_stored_event_can_be_published_again(kit: Kit, key: Key) -> None:
    store = kit.holder()
    await store.claim(key, LONG)
    await store.record(key, HEADERS, b'{"text": "first"}')
    assert not await kit.published(key)
    await kit.mark(key)
    await kit.holder().publish_again(key)
    assert not await kit.published(key)
    assert await kit.stored(key) == {"text": "first"}


async def test_publishing_again_is_for_one_tenant(kit: Kit, key: Key) -> None:
    store, other = kit.holder(), Key("another", key.completion_id)
    for each in (key, other):
        await store.claim(each, LONG)
        await store.record(each, HEADERS, b"{}")
    await kit.mark(key)
    await store.publish_again(other)
    assert await kit.published(key)


async def test_the_only_process_ends_every_lease(pool: Pool, key: Key) -> None:
    before, after = PostgresCallStore(pool), PostgresCallStore(pool)
    done = Key("tenant", uuid4())
    await before.claim(key, LONG)
    await before.claim(done, LONG)
    await before.record(done, HEADERS, b"{}")
    await after.expire_all()
    assert await after.claim(key, LONG) is Claim.TAKEN_OVER
    assert await after.claim(done, LONG) is Claim.FINISHED
