"""Whose turn it is: what every backend of the call store promises about claims."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable

import pytest
from call_store_kit import LANE, LONG, Kit, end, keys, request, requests, take, taken
from llm_executor.domain.models import Key, Room
from llm_executor.domain.ports import CallStore

pytestmark = pytest.mark.asyncio


def tenants(claimed: Iterable[Key]) -> Counter[str]:
    return Counter(key.tenant_id for key in claimed)


async def claimed(store: CallStore, room: Room) -> list[Key]:
    return keys(await store.claim(room, LONG))


# Within a tenant.


async def test_a_tenants_requests_come_in_the_order_of_arrival(kit: Kit) -> None:
    store, items = kit.holder(), requests(30)
    await store.accept(items[:7])
    await store.accept(items[7:])
    taken_in_turn = [await take(kit.holder(), count) for count in (1, 4, 10, 100)]
    assert [len(some) for some in taken_in_turn] == [1, 4, 10, 15]
    assert [key for some in taken_in_turn for key in some] == keys(items)


async def test_interactive_ones_go_first(kit: Kit) -> None:
    store = kit.holder()
    batch, people = requests(3), requests(3, interactive=True)
    await store.accept([batch[0], people[0], batch[1], people[1], batch[2]])
    assert await take(store, 1) == [people[0].key]
    await store.accept(people[2:])
    assert await take(store, 3) == [people[1].key, people[2].key, batch[0].key]
    assert await take(store) == [batch[1].key, batch[2].key]


async def test_interactive_ones_go_before_any_tenants_batch(kit: Kit) -> None:
    store = kit.holder()
    await taken(store, requests(5, "busy"))
    await store.accept([*requests(5, "idle"), *requests(2, "busy", interactive=True)])
    assert tenants(await take(store, 2)) == {"busy": 2}


async def test_a_later_weight_does_not_change_the_order_of_arrival(kit: Kit) -> None:
    store, items = kit.holder(), [*requests(2), *requests(2, weight=10)]
    await store.accept(items)
    for item in items:
        assert await claimed(store, Room(LANE, 4, 1)) == [item.key]


# Between tenants.


@pytest.mark.parametrize("total", [1, 2])
async def test_who_has_few_waiting_need_not_wait_for_who_has_many(kit: Kit, total: int) -> None:
    store, one = kit.holder(), request("small")
    await store.accept(requests(300, "large"))
    assert len(await take(store, 20)) == 20
    await store.accept([one])
    assert one.key in await take(kit.holder(), total)


async def test_who_has_nothing_in_flight_goes_before_who_has(kit: Kit) -> None:
    store = kit.holder()
    await store.accept([*requests(10, "a"), *requests(10, "b"), *requests(10, "c")])
    assert tenants(await take(store, 12)) == {"a": 4, "b": 4, "c": 4}
    await store.accept(requests(10, "d"))
    assert tenants(await take(store, 4)) == {"d": 4}
    assert tenants(await take(store, 4)) == {"a": 1, "b": 1, "c": 1, "d": 1}


async def test_weights_share_what_is_in_flight(kit: Kit) -> None:
    store = kit.holder()
    await store.accept([*requests(60, "light"), *requests(60, "heavy", weight=3)])
    shares = Counter[str]()
    for total in (1, 3, 4, 12, 20):
        shares += tenants(await take(store, total))
        assert abs(shares["heavy"] - 3 * shares["light"]) <= 3
    assert shares == {"light": 10, "heavy": 30}


async def test_shares_stay_fair_while_calls_end_one_by_one(kit: Kit) -> None:
    """Which of them end is chance; that the places go where they are missing is not."""
    store, rng, done = kit.holder(), random.Random(1), Counter[str]()
    await store.accept([*requests(80, "light"), *requests(120, "heavy", weight=2)])
    flight = await take(store, 9)
    for _ in range(60):
        over = flight.pop(rng.randrange(len(flight)))
        await store.record([end(over)])
        done[over.tenant_id] += 1
        flight += await take(store, 1)
        assert tenants(flight) == {"light": 3, "heavy": 6}
    assert 10 <= done["light"] <= 30


async def test_lanes_have_shares_of_their_own(kit: Kit) -> None:
    store = kit.holder()
    await taken(store, requests(10, "a", lane="another"))
    await taken(store, requests(1, "b"))
    await store.accept([*requests(5, "a"), *requests(5, "b")])
    assert tenants(await take(store, 3)) == {"a": 2, "b": 1}


async def test_a_share_counts_what_all_processes_hold(kit: Kit) -> None:
    await taken(kit.holder(), requests(4, "a"))
    store = kit.holder()
    await store.accept([*requests(9, "a"), *requests(9, "b")])
    assert tenants(await take(store, 4)) == {"b": 4}


# The room.


async def test_no_more_than_there_is_room_for_is_claimed(kit: Kit) -> None:
    store = kit.holder()
    await store.accept([*requests(10, "a"), *requests(10, "b", interactive=True)])
    for total in (0, 1, 7):
        assert len(await take(kit.holder(), total)) == total


async def test_other_lanes_are_left_alone(kit: Kit) -> None:
    store, other = kit.holder(), request(lane="another")
    await store.accept([*requests(2), other])
    assert len(await take(store)) == 2
    assert await take(store, lane="another") == [other.key]


async def test_batch_ones_stay_out_of_the_places_kept_free(kit: Kit) -> None:
    store = kit.holder()
    await store.accept(requests(9, "a"))
    assert len(await claimed(store, Room(LANE, 5, 2))) == 2
    assert await claimed(store, Room(LANE, 5, 0)) == []
    people = requests(4, "b", interactive=True)
    await store.accept(people)
    assert await claimed(store, Room(LANE, 3, 0)) == keys(people[:3])
    mixed = await claimed(store, Room(LANE, 6, 3))
    assert tenants(mixed) == {"b": 1, "a": 2}  # the interactive one has the first of the places


@pytest.mark.parametrize("configured", [True, False])
async def test_a_broken_lane_gives_those_that_may_go_elsewhere(kit: Kit, configured: bool) -> None:
    store = kit.holder()
    stays, goes, as_configured = (request(fallback=wish) for wish in (False, True, None))
    await store.accept([stays, as_configured, goes])
    found = await claimed(store, Room(LANE, 9, 9, True, configured))
    assert found == keys([as_configured, goes] if configured else [goes])
    rest = await claimed(store, Room(LANE, 9, 9, False, configured))
    assert rest == keys([stays] if configured else [stays, as_configured])


async def test_those_that_cannot_go_elsewhere_do_not_hide_those_that_can(kit: Kit) -> None:
    store, goes = kit.holder(), request(fallback=True)
    await store.accept([*requests(20, fallback=False), goes])
    assert await claimed(store, Room(LANE, 1, 1, only_with_fallback=True)) == [goes.key]


# Several at once.


async def test_nothing_is_claimed_by_two_holders(kit: Kit) -> None:
    """Nor does one of them fail, although all want the same rows."""
    items = [request(f"tenant-{n % 7}", interactive=n % 5 == 0) for n in range(400)]
    holders = [kit.holder() for _ in range(6)]
    await holders[0].accept(items)

    async def until_nothing_is_left(store: CallStore) -> list[Key]:
        mine: list[Key] = []
        while (await store.depth()).waiting:
            mine += await take(store, 9)
            await asyncio.sleep(0)  # memory gives nobody else a turn
        return mine

    shares = await asyncio.gather(*map(until_nothing_is_left, holders))
    got = [key for share in shares for key in share]
    assert len(got) == len(set(got)) == 400
    assert set(got) == set(keys(items))


async def test_what_has_ended_is_not_claimed_by_two_holders(kit: Kit) -> None:
    items = [request(f"tenant-{n % 3}", late=n % 2 == 0) for n in range(200)]
    holders = [kit.holder() for _ in range(6)]
    await holders[0].accept(items)

    async def half(store: CallStore, ended: bool) -> list[Key]:
        mine: list[Key] = []
        while (await store.depth()).waiting:
            mine += keys(await store.claim_ended(7, LONG)) if ended else await take(store, 5)
            await asyncio.sleep(0)  # memory gives nobody else a turn
        return mine

    both = [half(store, n % 2 == 0) for n, store in enumerate(holders[:-1])]
    shares = await asyncio.gather(*both)
    got = [key for share in shares for key in share]
    assert len(got) == len(set(got)) == 200


async def test_holders_at_work_all_the_time_do_not_entangle(kit: Kit) -> None:
    """Claims, renewals, releases, ends and cancellations of the same rows, side by side."""
    holders = [kit.holder() for _ in range(5)]
    items = [request(f"tenant-{n % 4}", interactive=n % 3 == 0) for n in range(300)]
    await holders[0].accept(items)
    finished: list[Key] = []

    async def work(store: CallStore, rng: random.Random) -> None:
        for _ in range(12):
            mine = await take(store, 20)
            rng.shuffle(mine)
            await asyncio.gather(
                store.renew(mine, LONG),
                store.cancel(f"tenant-{rng.randrange(4)}", [items[0].parent_id]),
                store.accept(rng.sample(items, 20)),
            )
            rng.shuffle(mine)
            finished.extend(await store.record([end(key) for key in mine[:10]]))
            await store.release(mine[10:], unknown=False)

    await asyncio.gather(*(work(store, random.Random(n)) for n, store in enumerate(holders)))
    assert len(finished) == len(set(finished))
    assert (await holders[0].depth()).waiting == 300 - len(finished)
