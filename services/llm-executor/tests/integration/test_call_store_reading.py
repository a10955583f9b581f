"""What every backend of the call store promises to who reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from uuid import uuid4

import pytest
from call_store_kit import LANE, LONG, Kit, end, request, requests, take, taken
from llm_executor.domain.models import Catalog, Key, Room
from llm_executor.domain.ports import CallStore

pytestmark = pytest.mark.asyncio


async def answered(
    store: CallStore, text: str, *, tenant: str = "tenant", outcome: str = "answered"
) -> Key:
    (key,) = await taken(store, [request(tenant, cache_key="k")])
    await store.record([end(key, text, outcome=outcome)])
    return key


async def test_the_latest_earlier_answer_is_found(kit: Kit) -> None:
    store = kit.holder()
    await store.accept([request(cache_key="k")])
    assert await store.earlier_answer("tenant", "k", LONG) is None
    await answered(store, "first 🫘")
    await asyncio.sleep(0.001)  # clocks have ticks
    await answered(store, "second 🫘")
    await answered(store, "none", outcome="refused")
    await answered(store, "theirs", tenant="other")
    found = await kit.holder().earlier_answer("tenant", "k", LONG)
    assert found is not None
    assert "second 🫘" in found.decode()
    assert await store.earlier_answer("tenant", "another", LONG) is None
    assert await store.earlier_answer("nobody", "k", LONG) is None


async def test_an_answer_is_not_found_when_it_is_too_old(kit: Kit) -> None:
    store = kit.holder()
    key = await answered(store, "old")
    await kit.grow_old(key, 100)
    assert await store.earlier_answer("tenant", "k", 99) is None
    assert await store.earlier_answer("tenant", "k", 160) is not None


async def test_lanes_are_those_in_which_something_waits(kit: Kit) -> None:
    store, names = kit.holder(), [f"openai/{n}" for n in range(5)]
    items = [request(f"tenant-{n % 3}", lane=name) for n, name in enumerate(names * 4)]
    random.Random(1).shuffle(items)
    await store.accept(items)
    assert sorted(await store.lanes()) == names
    held = await take(store, lane=names[2])
    assert sorted(await store.lanes()) == [*names[:2], *names[3:]]
    await store.release(held[:1], unknown=False)
    assert sorted(await store.lanes()) == names


async def test_depth_counts_what_waits_and_how_long_the_oldest_does(kit: Kit) -> None:
    store, items = kit.holder(), requests(3)
    await store.accept(items)
    await kit.grow_old(items[0].key, 100)
    await kit.grow_old(items[1].key, 50)
    depth = await store.depth()
    assert depth.waiting == 3
    assert 100 <= depth.oldest_seconds < 160
    await take(store, 1)
    depth = await store.depth()
    assert depth.waiting == 2
    assert 50 <= depth.oldest_seconds < 100


async def test_the_last_catalog_of_each_provider_is_remembered(kit: Kit) -> None:
    store = kit.holder()
    assert await store.known_catalog("openai") is None
    for provider, version in (("openai", "1"), ("openrouter", "9"), ("openai", "2")):
        await store.published_catalog(Catalog(provider, version, (), simulated=False))
    assert await kit.holder().known_catalog("openai") == "2"
    assert await kit.holder().known_catalog("openrouter") == "9"


async def test_nothing_is_no_error(kit: Kit) -> None:
    store, nothing = kit.holder(), Key("tenant", uuid4())
    none: Sequence[Key] = []
    await store.accept([])
    await store.cancel("tenant", [])
    for some in (none, [nothing]):
        await store.renew(some, LONG)
        await store.release(some, unknown=True)
        assert await store.cancelled(some) == []
    assert await store.record([]) == []
    assert await store.reserve([]) == []
    assert await store.lanes() == []
    assert await store.claim(Room(LANE, 5, 5), LONG) == []
    assert await store.claim_ended(5, LONG) == []
    assert await store.take_back() == 0
    depth = await store.depth()
    assert (depth.waiting, depth.oldest_seconds) == (0, 0.0)
