from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from bus.outbox import Outbox
from bus.stores.memory import MemoryStore
from devkit.conformance.store import StoreConformance, claim
from hypothesis import given
from hypothesis import strategies as st


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def outbox(self, store: MemoryStore) -> Outbox:
        return store

    @pytest.fixture
    def other_relay(self, store: MemoryStore) -> Outbox:
        return store

    @pytest.fixture
    def inbox_size(self, store: MemoryStore) -> Callable[[], Awaitable[int]]:
        async def size() -> int:
            return len(store.inbox)

        return size

    @pytest.mark.xfail(strict=True, raises=AssertionError, reason="memory has one process only")
    @pytest.mark.asyncio
    async def test_one_relay_is_active(self, outbox: Outbox, other_relay: Outbox) -> None:
        await super().test_one_relay_is_active(outbox, other_relay)


@given(st.lists(st.lists(st.uuids(), max_size=5), max_size=8))
@pytest.mark.asyncio
async def test_every_id_is_won_by_the_first_claim(claims: list[list[object]]) -> None:
    store, known = MemoryStore(), set[object]()
    for ids in claims:
        assert await claim(store, ids) == set(ids) - known  # type: ignore[arg-type]
        known |= set(ids)


@pytest.mark.asyncio
async def test_effects_roll_back_too() -> None:
    store = MemoryStore()

    async def fail() -> None:
        async with store.transaction() as transaction:
            transaction.record("a", 1)
            raise KeyError("told to")

    with pytest.raises(KeyError):
        await fail()
    assert store.effects == {}
