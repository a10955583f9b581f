"""Money: what every backend of the call store promises about budgets."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from uuid import UUID

import pytest
from call_store_kit import Kit, ask, end, grants, keys, request, requests, take, taken
from llm_executor.domain.models import Ask, Grant, Key
from llm_executor.domain.ports import CallStore

pytestmark = pytest.mark.asyncio
GRANTED, WAIT, DENIED = Grant.GRANTED, Grant.WAIT, Grant.DENIED
NOTHING = Decimal(0)
SECOND = UUID(int=2)


def usd(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, amounts))


async def spend(store: CallStore, key: Key, cost: str | None) -> None:
    """End it, having cost that much."""
    await store.record([end(key, cost_usd=None if cost is None else Decimal(cost))])


async def test_a_budget_grants_lets_wait_and_denies(kit: Kit) -> None:
    store = kit.holder()
    a, b, c, d = await taken(store, requests(4))
    assert await store.reserve([ask(a, "0.6")]) == [(GRANTED, Decimal(1))]
    assert await store.reserve([ask(b, "0.5")]) == [(WAIT, Decimal("0.4"))]
    assert await store.reserve([ask(c, "1.1")]) == [(DENIED, Decimal(1))]
    assert await store.reserve([ask(d, "0.4")]) == [(GRANTED, Decimal("0.4"))]
    assert await kit.money(ask(a, "0")) == usd("0", "1")


async def test_what_is_spent_is_left_to_nobody(kit: Kit) -> None:
    store = kit.holder()
    a, b, c = await taken(store, requests(3))
    await store.reserve([ask(a, "0.6")])
    await spend(store, a, "0.25")
    assert await store.reserve([ask(b, "0.76")]) == [(DENIED, Decimal("0.75"))]
    assert await store.reserve([ask(c, "0.75")]) == [(GRANTED, Decimal("0.75"))]


async def test_asks_of_one_batch_share_their_budget_in_turn(kit: Kit) -> None:
    store = kit.holder()
    a, b, c, d = await taken(store, requests(4))
    asks = [ask(a, "0.5"), ask(b, "0.3"), ask(c, "0.3"), ask(d, "0.2")]
    assert await store.reserve(asks) == [
        (GRANTED, Decimal(1)),
        (GRANTED, Decimal("0.5")),
        (WAIT, Decimal("0.2")),
        (GRANTED, Decimal("0.2")),
    ]
    assert await kit.money(asks[0]) == usd("0", "1")


async def test_budgets_of_one_batch_are_apart(kit: Kit) -> None:
    store = kit.holder()
    a, b, c, d = await taken(store, [*requests(3), request("other")])
    asks = [ask(a, "0.8"), ask(b, "0.8", budget_id=SECOND), ask(c, "0.8"), ask(d, "0.8")]
    assert await grants(store, *asks) == [GRANTED, GRANTED, WAIT, GRANTED]
    assert [await kit.money(each) for each in asks] == [usd("0", "0.8")] * 4


async def test_tenants_with_the_same_budget_id_have_budgets_of_their_own(kit: Kit) -> None:
    store, mine = kit.holder(), request()
    theirs = request("other", completion_id=mine.key.completion_id)
    await taken(store, [mine, theirs])
    assert await grants(store, ask(mine.key, "1")) == [GRANTED]
    assert await grants(store, ask(theirs.key, "0.9")) == [GRANTED]
    await spend(store, mine.key, "1")
    assert await kit.money(ask(mine.key, "0")) == usd("1", "0")
    assert await kit.money(ask(theirs.key, "0")) == usd("0", "0.9")


@pytest.mark.parametrize("again", ["0.3", "0.7", "1"])
async def test_reserving_again_replaces_what_was_set_aside(kit: Kit, again: str) -> None:
    store = kit.holder()
    (key,) = await taken(store, requests(1))
    await store.reserve([ask(key, "0.7")])
    assert await store.reserve([ask(key, again)]) == [(GRANTED, Decimal(1))]
    assert await kit.money(ask(key, "0")) == usd("0", again)


async def test_reserving_twice_in_one_batch_is_reserving_again(kit: Kit) -> None:
    store = kit.holder()
    a, b = await taken(store, requests(2))
    assert await grants(store, ask(a, "0.7"), ask(b, "0.3"), ask(a, "0.6")) == [GRANTED] * 3
    assert await kit.money(ask(a, "0")) == usd("0", "0.9")


async def test_who_asks_for_too_much_again_has_nothing_set_aside(kit: Kit) -> None:
    store = kit.holder()
    a, b = await taken(store, requests(2))
    await store.reserve([ask(a, "0.5"), ask(b, "0.4")])
    assert await grants(store, ask(a, "0.7")) == [WAIT]
    assert await kit.money(ask(a, "0")) == usd("0", "0.4")
    assert await grants(store, ask(a, "2")) == [DENIED]
    assert await kit.money(ask(a, "0")) == usd("0", "0.4")


async def test_money_is_exact(kit: Kit) -> None:
    store = kit.holder()
    a, b, c, d = await taken(store, requests(4))
    asks = [ask(a, "0.1", "0.3"), ask(b, "0.2", "0.3"), ask(c, "1e-20", "0.3")]
    assert await grants(store, *asks) == [GRANTED, GRANTED, WAIT]
    await spend(store, a, "0.1")
    await spend(store, b, "0.1999999999999999999999999")
    assert await kit.money(asks[0]) == usd("0.2999999999999999999999999", "0")
    assert await grants(store, ask(d, "1e-25", "0.3")) == [GRANTED]


async def test_what_costs_nothing_is_granted_whatever_is_spent(kit: Kit) -> None:
    """A call cost more than it could; a free one would wait for nobody's end otherwise."""
    store = kit.holder()
    a, b = await taken(store, requests(2))
    await store.reserve([ask(a, "0.5")])
    await spend(store, a, "1.5")
    assert await grants(store, ask(b, "0")) == [GRANTED]
    assert await store.reserve([ask(b, "0.01")]) == [(DENIED, NOTHING)]


# What a record settles.


@pytest.mark.parametrize("cost", [None, "0", "0.2", "0.6", "0.9"])
async def test_an_end_is_charged_and_gives_back_what_was_set_aside(
    kit: Kit, cost: str | None
) -> None:
    store = kit.holder()
    a, b = await taken(store, requests(2))
    await store.reserve([ask(a, "0.6"), ask(b, "0.1")])
    await spend(store, a, cost)
    assert await kit.money(ask(a, "0")) == usd(cost or "0", "0.1")


async def test_an_end_is_charged_once(kit: Kit) -> None:
    mine, theirs = kit.holder(), kit.holder()
    (key,) = await taken(mine, requests(1))
    await mine.reserve([ask(key, "0.6")])
    await spend(theirs, key, "0.2")
    await spend(mine, key, "0.3")
    assert await kit.money(ask(key, "0")) == usd("0.2", "0")


async def test_ends_of_one_write_are_charged_together(kit: Kit) -> None:
    store = kit.holder()
    held = await taken(store, [*requests(3), *requests(2, "other"), *requests(1)])
    asks = [ask(key, "0.2") for key in held[:5]]
    await store.reserve(asks)
    costs = ["0.1", None, "0.15", "0.01", "0.02", "7"]
    await store.record(
        [
            end(key, cost_usd=None if cost is None else Decimal(cost))
            for key, cost in zip(held, costs, strict=True)
        ]
    )
    assert await kit.money(asks[0]) == usd("0.25", "0")  # the last one has no budget
    assert await kit.money(asks[4]) == usd("0.03", "0")


async def test_what_was_denied_and_has_ended_returns_nothing(kit: Kit) -> None:
    store = kit.holder()
    a, b = await taken(store, requests(2))
    await store.reserve([ask(a, "0.6"), ask(b, "1.5")])
    await spend(store, b, None)
    assert await kit.money(ask(a, "0")) == usd("0", "0.6")


async def test_what_is_set_aside_outlives_its_claim(kit: Kit) -> None:
    """The call may have been made."""
    store = kit.holder()
    a, b = await taken(store, requests(2))
    await store.reserve([ask(a, "0.6")])
    await store.release([a], unknown=True)
    assert await grants(store, ask(b, "0.5")) == [WAIT]
    assert await take(kit.holder()) == [a]
    assert await grants(store, ask(a, "0.6")) == [GRANTED]


async def test_nothing_is_set_aside_for_what_has_ended(kit: Kit) -> None:
    """Its former holder does not know yet; and nobody would give the money back."""
    mine, theirs = kit.holder(), kit.holder()
    a, b = await taken(mine, requests(2))
    await spend(theirs, a, "0.2")
    assert await grants(mine, ask(a, "0.6"), ask(b, "0.3")) == [WAIT, GRANTED]
    await spend(mine, a, "0.6")
    assert await kit.money(ask(b, "0")) == usd("0", "0.3")
    await spend(mine, b, None)
    assert await kit.money(ask(b, "0")) == usd("0", "0")


async def test_a_later_request_changes_the_limit(kit: Kit) -> None:
    store = kit.holder()
    a, b, c = await taken(store, requests(3))
    assert await grants(store, ask(a, "0.9", "1")) == [GRANTED]
    assert await store.reserve([ask(b, "0.5", "3")]) == [(GRANTED, Decimal("2.1"))]
    assert await grants(store, ask(c, "0.5", "1.2")) == [WAIT]
    assert await grants(store, ask(c, "0.5", "0.4")) == [DENIED]


# Tight budgets.


async def test_those_of_a_tight_budget_stay_until_a_call_has_ended(kit: Kit) -> None:
    store, others = kit.holder(), [request("other"), request()]
    items = requests(3)
    a, b, c = await taken(store, items)
    assert await grants(store, ask(a, "0.6"), ask(b, "0.6"), ask(c, "0.7")) == [GRANTED, WAIT, WAIT]
    await store.release([b, c], unknown=False)
    assert await take(kit.holder()) == []
    assert await store.lanes() != []
    await store.accept(others)  # what has not asked yet may ask
    assert set(await take(store)) == set(keys(others))
    await spend(store, a, "0.1")
    assert await take(store) == [b, c]


async def test_those_of_a_tight_budget_do_not_take_the_places_of_others(kit: Kit) -> None:
    store = kit.holder()
    a, *waiting = await taken(store, requests(6))
    await store.reserve([ask(key, "0.9") for key in (a, *waiting)])
    await store.release(waiting, unknown=False)
    last = request()
    await store.accept([last])
    assert await take(store, 1) == [last.key]


async def test_a_tight_budget_lets_those_in_for_whom_it_has_money_set_aside(kit: Kit) -> None:
    store = kit.holder()
    a, b = await taken(store, requests(2))
    assert await grants(store, ask(a, "0.6"), ask(b, "0.6")) == [GRANTED, WAIT]
    await store.release([a, b], unknown=False)
    assert await take(store) == [a]


async def test_a_tight_budget_is_tight_for_its_tenant_only(kit: Kit) -> None:
    store = kit.holder()
    a, b, c = await taken(store, [request(), request(), request("other")])
    await grants(store, ask(a, "0.6"), ask(b, "0.6"), ask(c, "0.6"))
    await store.release([b, c], unknown=False)
    assert await take(store) == [c]


async def test_what_ended_of_another_budget_does_not_help(kit: Kit) -> None:
    store = kit.holder()
    a, b, c = await taken(store, requests(3))
    await grants(store, ask(a, "0.6"), ask(b, "0.6"), ask(c, "0.6", budget_id=SECOND))
    await store.release([b], unknown=False)
    await spend(store, c, "0.1")
    assert await take(store) == []


async def test_those_of_a_tight_budget_can_be_cancelled(kit: Kit) -> None:
    store, items = kit.holder(), requests(2)
    a, b = await taken(store, items)
    await grants(store, ask(a, "0.6"), ask(b, "0.6"))
    await store.release([b], unknown=False)
    await store.cancel("tenant", [items[0].parent_id])
    assert keys(await store.claim_ended(5, 60)) == [b]


# Several at once.


async def test_holders_at_once_never_overdraw(kit: Kit) -> None:
    """Every call costs what was set aside for it or less; some end while others ask."""
    holders = [kit.holder() for _ in range(6)]
    held = await taken(holders[0], [*requests(90), *requests(30, "other")])
    spent: dict[str, Decimal] = {"tenant": NOTHING, "other": NOTHING}

    async def overdrawn(of: Ask) -> bool:
        return sum(await kit.money(of), NOTHING) > of.budget.limit_usd

    async def work(store: CallStore, rng: random.Random, mine: list[Key]) -> None:
        while mine:
            some, mine = mine[:3], mine[3:]
            asks = [ask(key, f"0.{rng.randint(1, 20):02}", "1.5") for key in some]
            rng.shuffle(asks)
            answers = await grants(store, *asks)
            assert not await overdrawn(asks[0])
            for each, grant in zip(asks, answers, strict=True):
                cost = each.usd * rng.choice([NOTHING, Decimal("0.5"), Decimal(1)])
                if grant is GRANTED:
                    await store.record([end(each.key, cost_usd=cost)])
                    spent[each.key.tenant_id] += cost
            assert not await overdrawn(asks[0])

    rng = random.Random(1)
    rng.shuffle(held)
    shares = [held[n::6] for n in range(6)]
    await asyncio.gather(
        *(
            work(store, random.Random(n), mine)
            for n, (store, mine) in enumerate(zip(holders, shares, strict=True))
        )
    )
    for tenant, sum_of_costs in spent.items():
        of = next(ask(key, "0", "1.5") for key in held if key.tenant_id == tenant)
        assert await kit.money(of) == (sum_of_costs, NOTHING)
        assert sum_of_costs <= of.budget.limit_usd


async def test_holders_with_the_same_budgets_do_not_entangle(kit: Kit) -> None:
    """Each asks and settles for many budgets in one write, in an order of its own."""
    budgets = [UUID(int=n) for n in range(1, 9)]
    holders = [kit.holder() for _ in range(5)]
    held = await taken(holders[0], requests(400))

    async def work(store: CallStore, rng: random.Random, mine: list[Key]) -> None:
        while mine:
            some, mine = mine[:8], mine[8:]
            rng.shuffle(budgets)
            asks = [ask(key, "1", "1000", of) for key, of in zip(some, budgets, strict=True)]
            assert await grants(store, *asks) == [GRANTED] * 8
            rng.shuffle(some)
            await store.record([end(key, cost_usd=Decimal("0.5")) for key in some])

    shares = [held[n::5] for n in range(5)]
    await asyncio.gather(
        *(
            work(store, random.Random(n), mine)
            for n, (store, mine) in enumerate(zip(holders, shares, strict=True))
        )
    )
    for budget in budgets:
        assert await kit.money(ask(held[0], "0", "0", budget)) == usd("25", "0")
