"""What every backend of the call store promises: intake, leases, ends, cancellation."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from call_store_kit import (
    HEADERS,
    LANE,
    LONG,
    PARENT,
    Kit,
    end,
    keys,
    request,
    requests,
    take,
    taken,
)
from llm_executor.domain.models import Claim, Key, Room, Tokens
from llm_executor.domain.ports import CallStore

pytestmark = pytest.mark.asyncio
ALL = Room(LANE, 100, 100)
OTHER = UUID(int=8)


async def claims(store: CallStore, room: Room = ALL) -> list[tuple[Key, Claim]]:
    return [(item.key, item.claim) for item in await store.claim(room, LONG)]


# Intake.


async def test_a_request_is_claimed_as_it_was_accepted(kit: Kit) -> None:
    store, item = kit.holder(), request()
    await store.accept([item])
    (claimed,) = await store.claim(ALL, LONG)
    assert (claimed.key, claimed.lane) == (item.key, LANE)
    assert (claimed.headers, claimed.body) == (item.headers, item.body)
    assert (claimed.claim, claimed.cancelled) == (Claim.FRESH, False)


async def test_accepting_again_changes_nothing(kit: Kit) -> None:
    store, first = kit.holder(), request()
    again = request(completion_id=first.key.completion_id, lane="another", interactive=True)
    await store.accept([first])
    await store.accept([again])
    assert await store.lanes() == [LANE]
    (claimed,) = await store.claim(ALL, LONG)
    assert claimed.headers == first.headers
    await store.accept([first])
    assert await take(kit.holder()) == []


async def test_a_key_twice_in_one_batch_is_queued_once_as_the_first(kit: Kit) -> None:
    store, first = kit.holder(), request()
    again = request(completion_id=first.key.completion_id, lane="another")
    await store.accept([first, request(), again, first])
    assert (await store.depth()).waiting == 2
    assert first.key in await take(store)


async def test_a_finished_one_is_published_again_and_not_called_again(kit: Kit) -> None:
    store, item = kit.holder(), request()
    await taken(store, [item])
    await store.record([end(item.key)])
    await kit.publish(item.key)
    await store.accept([item])
    assert not await kit.published(item.key)
    assert await take(store) == []
    assert (await store.depth()).waiting == 0


async def test_new_held_and_finished_ones_may_come_in_one_batch_and_twice(kit: Kit) -> None:
    store, items = kit.holder(), requests(3)
    finished, held, new = items
    await taken(store, [finished, held])
    await store.record([end(finished.key)])
    await kit.publish(finished.key)
    await store.accept([new, finished, held, new, finished])
    assert not await kit.published(finished.key)
    assert await take(kit.holder()) == [new.key]


async def test_only_what_is_accepted_again_is_published_again(kit: Kit) -> None:
    store, items = kit.holder(), [*requests(2), request("other")]
    items[2] = request("other", completion_id=items[0].key.completion_id)
    await taken(store, items)
    await store.record([end(item.key) for item in items])
    for item in items:
        await kit.publish(item.key)
    await store.accept([items[0]])
    assert [await kit.published(item.key) for item in items] == [False, True, True]


# Tenants.


async def test_tenants_with_the_same_id_never_meet(kit: Kit) -> None:
    """Whatever one tenant's completion goes through, the other's waits as it was accepted."""
    store, mine = kit.holder(), request("tenant", cache_key="k")
    theirs = request("other", completion_id=mine.key.completion_id, cache_key="k", lane="theirs")
    await store.accept([mine, theirs])
    await store.cancel("tenant", [PARENT])
    assert await take(store) == [mine.key]
    assert await store.cancelled([mine.key, theirs.key]) == [mine.key]
    await store.renew([theirs.key], LONG)
    await store.release([theirs.key], unknown=True)
    assert await store.record([end(mine.key, "mine")]) == [mine.key]
    assert await kit.stored(theirs.key) is None
    assert await store.earlier_answer("other", "k", LONG) is None
    (claimed,) = await store.claim(Room("theirs", 9, 9), LONG)
    assert (claimed.claim, claimed.cancelled) == (Claim.FRESH, False)


async def test_releasing_for_one_tenant_leaves_the_others_claim(kit: Kit) -> None:
    store, mine = kit.holder(), request()
    theirs = request("other", completion_id=mine.key.completion_id)
    await taken(store, [mine, theirs])
    await store.release([mine.key], unknown=False)
    assert await take(kit.holder()) == [mine.key]


# Leases.


async def test_what_is_held_is_held_against_all(kit: Kit) -> None:
    store = kit.holder()
    await taken(store, requests(3))
    assert await take(store) == []
    assert await take(kit.holder()) == []
    assert await kit.holder().claim_ended(10, LONG) == []
    assert await store.take_back() == 0


async def test_what_is_past_its_lease_comes_back_as_unknown(kit: Kit) -> None:
    mine, theirs, items = kit.holder(), kit.holder(), requests(4)
    await taken(mine, items[:3])
    await theirs.accept(items[3:])
    await kit.lapse([items[0].key, items[2].key])
    assert await take(theirs, 0) == []
    assert await theirs.take_back() == 2
    assert await theirs.take_back() == 0
    unknown = Claim.UNKNOWN
    expected = [(items[0].key, unknown), (items[2].key, unknown), (items[3].key, Claim.FRESH)]
    assert await claims(theirs) == expected


async def test_a_lapsed_claim_is_its_holders_until_it_is_taken_back(kit: Kit) -> None:
    mine, items = kit.holder(), requests(1)
    (key,) = await taken(mine, items)
    await kit.lapse([key])
    assert await take(kit.holder()) == []
    await mine.renew([key], LONG)
    assert await kit.holder().take_back() == 0


async def test_a_renewed_lease_is_not_taken_back(kit: Kit) -> None:
    store, items = kit.holder(), [*requests(5), *requests(5, "other")]
    held = await taken(store, items)
    await kit.lapse(held)
    await store.renew([*held[:3], *held[8:], Key("tenant", uuid4())], LONG)
    assert await store.take_back() == 5
    assert set(await take(kit.holder())) == set(held[3:8])


async def test_nobody_renews_or_releases_what_another_holds(kit: Kit) -> None:
    mine, theirs, items = kit.holder(), kit.holder(), requests(2)
    held = await taken(mine, items)
    await kit.lapse(held)
    await theirs.renew(held, LONG)
    await theirs.release(held, unknown=True)
    assert await take(theirs) == []
    assert await theirs.take_back() == 2
    assert await take(theirs) == held
    await kit.lapse(held[:1])
    await mine.renew(held, LONG)  # it has lost them meanwhile
    await mine.release(held, unknown=True)
    assert await theirs.take_back() == 1


@pytest.mark.parametrize("unknown", [False, True])
async def test_a_released_one_waits_again_in_its_old_place(kit: Kit, unknown: bool) -> None:
    mine, theirs, items = kit.holder(), kit.holder(), requests(3)
    await mine.accept(items)
    assert await take(mine, 2) == keys(items[:2])
    await mine.release([items[0].key], unknown=unknown)
    claim = Claim.UNKNOWN if unknown else Claim.FRESH
    assert await claims(theirs) == [(items[0].key, claim), (items[2].key, Claim.FRESH)]


async def test_what_was_unknown_once_stays_unknown(kit: Kit) -> None:
    store = kit.holder()
    (key,) = await taken(store, requests(1))
    await store.release([key], unknown=True)
    await take(store)
    await store.release([key], unknown=False)
    assert await claims(store) == [(key, Claim.UNKNOWN)]


async def test_what_is_finished_is_never_claimed_released_or_taken_back(kit: Kit) -> None:
    store, items = kit.holder(), requests(2, late=True)
    held = await taken(store, items)
    await store.record([end(held[0]), end(held[1])])
    await store.release(held, unknown=True)
    await store.renew(held, -1)
    await kit.lapse(held)
    await store.cancel("tenant", [PARENT])
    assert await store.take_back() == 0
    assert await store.cancelled(held) == []
    assert await take(store) == []
    assert await store.claim_ended(10, LONG) == []
    assert await store.lanes() == []


# Ends.


async def test_the_first_end_stays(kit: Kit) -> None:
    mine, theirs = kit.holder(), kit.holder()
    (key,) = await taken(mine, requests(1))
    await kit.lapse([key])
    await theirs.take_back()
    assert await take(theirs) == [key]
    assert await mine.record([end(key, "mine")]) == [key]  # late, but it was paid for
    assert await theirs.record([end(key, "theirs")]) == []
    assert await kit.stored(key) == {"headers": HEADERS, "event": {"text": "mine"}}


async def test_several_ends_are_stored_in_one_write_but_for_those_that_were(kit: Kit) -> None:
    store = kit.holder()
    held = await taken(store, [*requests(3), *requests(2, "other")])
    await store.record([end(held[1], "earlier")])
    ends = [end(key, f"answer {n}") for n, key in enumerate(held)]
    assert set(await store.record(ends)) == {*held[:1], *held[2:]}
    assert [(await kit.stored(key))["event"]["text"] for key in held] == [
        *("answer 0", "earlier", "answer 2"),
        *("answer 3", "answer 4"),
    ]


async def test_an_end_comes_back_as_it_was_written(kit: Kit) -> None:
    store, text = kit.holder(), 'Größe 🫘 "quoted" \\ \n\t \u2028 光珈琲 {"a": 1} \ud7ff \U0010ffff'
    (key,) = await taken(store, requests(1, cache_key="k"))
    headers = {"ce_subject": 'ä "🫘"', "traceparent": "00-1-1-01"}
    usage = {"tokens": Tokens(10, 20), "cost_usd": Decimal("0.000001"), "price_version": "1"}
    await store.record([end(key, text, headers=headers, model_called=LANE, **usage)])
    assert await kit.stored(key) == {"headers": headers, "event": {"text": text}}
    assert not await kit.published(key)


async def test_an_end_may_be_recorded_of_what_waits_again(kit: Kit) -> None:
    """Its holder was thought dead, and was not."""
    store = kit.holder()
    (key,) = await taken(store, requests(1))
    await store.release([key], unknown=True)
    assert await store.record([end(key)]) == [key]
    assert await take(store) == []


async def test_an_end_of_what_was_never_queued_is_not_stored(kit: Kit) -> None:
    store = kit.holder()
    (key,) = await taken(store, requests(1))
    assert await store.record([end(Key("other", key.completion_id)), end(key)]) == [key]


async def test_of_two_ends_in_one_write_one_is_stored(kit: Kit) -> None:
    store = kit.holder()
    (key,) = await taken(store, requests(1))
    assert await store.record([end(key, "first"), end(key, "second")]) == [key]
    assert (await kit.stored(key))["event"] == {"text": "first"}


# Cancellation.


async def test_what_is_cancelled_before_it_arrives_arrives_cancelled(kit: Kit) -> None:
    store, items = kit.holder(), [request(), request(parent_id=OTHER), request("other")]
    await store.cancel("tenant", [PARENT])
    await store.cancel("tenant", [PARENT])
    await kit.holder().accept(items)
    claimed = await store.claim(ALL, LONG)
    assert {item.key: item.cancelled for item in claimed} == dict(
        zip(keys(items), [True, False, False], strict=True)
    )


async def test_what_waits_is_cancelled_by_parent_and_tenant(kit: Kit) -> None:
    store, items = kit.holder(), [request(), request(parent_id=OTHER), request("other")]
    await store.accept(items)
    await kit.holder().cancel("tenant", [PARENT, uuid4()])
    claimed = await store.claim_ended(10, LONG)
    assert [(item.key, item.cancelled, item.lane) for item in claimed] == [
        (items[0].key, True, LANE)
    ]
    assert set(await take(store)) == set(keys(items[1:]))


async def test_what_is_held_is_cancelled_for_its_holder_only(kit: Kit) -> None:
    mine, theirs = kit.holder(), kit.holder()
    held = await taken(mine, [request(), request(), request(parent_id=OTHER)])
    others = await taken(theirs, [request()])
    waiting = request()
    await mine.accept([waiting])
    assert await mine.cancelled(held) == []
    await theirs.cancel("tenant", [PARENT])
    everything = [*held, *others, waiting.key, Key("tenant", uuid4())]
    assert set(await mine.cancelled(everything)) == set(held[:2])
    assert await mine.cancelled(held[1:2]) == held[1:2]
    assert await theirs.cancelled(everything) == others
    await mine.release(held, unknown=False)
    assert await mine.cancelled(held) == []


async def test_what_has_ended_is_claimed_in_any_lane_up_to_a_limit(kit: Kit) -> None:
    store = kit.holder()
    late = [request(late=True, lane=f"lane-{n}") for n in range(3)]
    cancelled = [request(parent_id=OTHER, lane=f"lane-{n}") for n in range(3)]
    both = request(parent_id=OTHER, late=True)
    await store.accept([*late, *cancelled, both, *requests(3)])
    await store.cancel("tenant", [OTHER])
    ended: list[Key] = []
    for expected in (4, 3, 0):
        claimed = await store.claim_ended(4, LONG)
        assert len(claimed) == expected
        assert all(item.cancelled is (item.key not in keys(late)) for item in claimed)
        ended += keys(claimed)
    assert sorted(ended, key=str) == sorted(keys([*late, *cancelled, both]), key=str)
    assert len(await take(store)) == 3
