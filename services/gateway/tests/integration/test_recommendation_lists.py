"""The read model in Redis: whatever order things come in, and how often, the latest holds."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from contracts.events.base import Event
from devkit.embedded import EmbeddedRedis
from gateway.adapters import recommendations
from gateway.domain.errors import ReadModelUnready
from gateway.domain.marketing import NEVER
from gateway.domain.recommendations import Found
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import (
    AS_OF,
    Replica,
    a_campaign,
    forgotten,
    forgotten_list,
    ids,
    own_list,
    popular_list,
    replica,
    version_at,
)

pytestmark = pytest.mark.asyncio
LATER = AS_OF + timedelta(hours=1)


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        await made.complete()
        yield made


async def found(one: Replica, user_id: str, tenant_id: str | None = None) -> Found:
    (only,) = await one.lists.read(tenant_id or one.api.tenant_id, [user_id])
    return only


def campaigns(body: bytes | None) -> list[str] | None:
    return None if body is None else [item["campaign_id"] for item in json.loads(body)["items"]]


async def own(one: Replica, user_id: str, tenant_id: str | None = None) -> list[str] | None:
    return campaigns((await found(one, user_id, tenant_id)).own)


async def state(one: Replica) -> dict[bytes, Any]:
    """Everything that Redis holds but counters of requests."""
    kept: dict[bytes, Any] = {}
    keys: list[Any] = await one.raw.keys("rec*")
    for key in keys:
        kind = await one.raw.type(key)
        read: dict[bytes, Any] = {
            b"string": one.raw.get,
            b"hash": one.raw.hgetall,
            b"set": one.raw.smembers,
        }
        kept[key] = await read[kind](key) if kind in read else await one.raw.zrange(key, 0, -1)
    return kept


async def test_a_higher_version_replaces_a_lower_one(one: Replica) -> None:
    await one.tell(own_list("u", 2, "b"))
    await one.tell(own_list("u", 1, "a"))
    assert await own(one, "u") == ["b"]
    await one.tell(own_list("u", 10, "c"), own_list("u", 9, "d"))
    assert await own(one, "u") == ["c"]
    await one.tell(own_list("u", 10, "e"))
    assert await own(one, "u") == ["c"]


async def test_versions_are_numbers_and_not_texts(one: Replica) -> None:
    for version in (9, 10, 99, 100, version_at(AS_OF), version_at(LATER), 2**62):
        await one.tell(own_list("u", version, str(version)))
        assert await own(one, "u") == [str(version)]
    await one.tell(own_list("u", 10**25, "huge"))
    assert await own(one, "u") == ["huge"]


async def test_the_popular_list_has_versions_too(one: Replica) -> None:
    await one.tell(popular_list(3, "a"), popular_list(2, "b"))
    assert campaigns((await found(one, "u")).popular) == ["a"]
    other = popular_list(4, "c").model_copy(update={"list_id": "popular-this-week"})
    await one.tell(other)
    assert campaigns((await found(one, "u")).popular) == ["a"]


async def test_a_forgotten_user_has_no_list_until_there_is_a_newer_one(one: Replica) -> None:
    await one.tell(own_list("u", 5, "a"))
    await one.tell(forgotten_list("u", 7))
    assert await own(one, "u") is None
    await one.tell(own_list("u", 6, "late"), own_list("u", 7, "late"))
    assert await own(one, "u") is None
    await one.tell(own_list("u", 8, "back"))
    assert await own(one, "u") == ["back"]
    await one.tell(forgotten_list("u", 7), own_list("u", 6, "late"))
    assert await own(one, "u") == ["back"]


async def test_a_user_who_is_to_be_forgotten_has_no_list_of_before(one: Replica) -> None:
    await one.tell(own_list("u", version_at(AS_OF), "a"), own_list("v", version_at(AS_OF), "a"))
    await one.tell(forgotten("u", LATER))
    assert await own(one, "u") is None
    await one.tell(own_list("u", version_at(LATER) - 1, "late"))
    assert await own(one, "u") is None
    await one.tell(own_list("u", version_at(LATER) + 1, "back"))
    await one.tell(forgotten("u", LATER))
    assert await own(one, "u") == ["back"]
    assert await own(one, "v") == ["a"]


async def test_what_remembers_the_forgotten_does_not_name_them_and_ends(one: Replica) -> None:
    await one.tell(own_list("u-remember-me", 1, "a"))
    await one.tell(forgotten_list("u-remember-me", 2), forgotten("u-me-too", AS_OF))
    kept = await state(one)
    assert not any(name in repr(kept) for name in ("remember-me", "me-too"))
    tombstones = [key for key in kept if key.startswith(b"rec-forgotten:")]
    assert len(tombstones) == 2
    for key in tombstones:
        left = await one.raw.ttl(key)
        assert timedelta(days=39) < timedelta(seconds=left) <= timedelta(days=40)


async def test_a_list_names_all_that_its_event_does(one: Replica) -> None:
    await one.complete()
    at = AS_OF + timedelta(days=400)
    item = own_list("u", 1, "a").items[0].model_copy(update={"ends_at": at})
    event = own_list("u", 1, source="intent", items=(item,))
    await one.tell(event)
    shown = await one.shown("u")
    assert shown == {
        "user_id": "u",
        "source": "intent",
        "cold": False,
        "as_of": "2026-11-04T10:00:00Z",
        "ranker_version": "test-1",
        "items": [
            {
                "campaign_id": "a",
                "title": "About a",
                "score": 0.5,
                "source": "personal",
                "reasons": [],
                "ends_at": "2027-12-09T10:00:00Z",
            }
        ],
    }


@pytest.mark.parametrize(
    "change", [{"budget": "paused"}, {"budget": "exhausted"}, {"deleted": True}]
)
async def test_a_campaign_that_is_not_active_is_noted(one: Replica, change: dict[str, Any]) -> None:
    await one.tell(a_campaign("c", **change), a_campaign("梅 tea"))
    assert (await found(one, "u")).windows == {"c": NEVER}
    await one.tell(a_campaign("c", LATER), a_campaign("梅 tea", LATER, **change))
    assert (await found(one, "u")).windows == {"梅 tea": NEVER}
    await one.tell(a_campaign("c", AS_OF + timedelta(seconds=1), **change))
    assert (await found(one, "u")).windows == {"梅 tea": NEVER}


async def test_a_campaign_that_is_ended_early_or_put_off_is_shown_no_more(one: Replica) -> None:
    now = datetime.now(UTC)
    hour, lists = timedelta(hours=1), own_list("u", 1, "a", "b", "c", "d")
    await one.complete()
    await one.tell(lists)
    assert ids(await one.shown("u")) == ["a", "b", "c", "d"]
    await one.tell(
        a_campaign("a", ends_at=now - hour),
        a_campaign("b", starts_at=now + hour),
        a_campaign("c", starts_at=now - hour, ends_at=now + hour),
        a_campaign("d", budget="paused", ends_at=now + hour),
    )
    assert ids(await one.shown("u")) == ["c"]
    await one.tell(
        a_campaign("a", LATER, ends_at=now + hour),
        a_campaign("b", LATER, starts_at=now - hour),
        a_campaign("c", LATER, ends_at=now - hour),
        a_campaign("d", LATER),
    )
    assert ids(await one.shown("u")) == ["a", "b", "d"]
    assert set((await found(one, "u")).windows) == {"a", "c"}


async def test_of_inactive_campaigns_the_latest_are_remembered(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "MOST_LIMITED", 3)
    for n in (4, 0, 3, 1, 2):
        await one.tell(a_campaign(f"c{n}", AS_OF + timedelta(seconds=n), budget="paused"))
    assert set((await found(one, "u")).windows) == {"c2", "c3", "c4"}


async def test_who_is_excluded_is_noted_and_noted_no_more(one: Replica) -> None:
    await one.tell(
        a_campaign("a", excluded_users=("u", "v")),
        a_campaign("ab", excluded_users=("u",)),
        a_campaign("b", excluded_users=("u",)),
    )
    assert (await found(one, "u")).excluded == {"a", "ab", "b"}
    assert (await found(one, "v")).excluded == {"a"}
    await one.tell(a_campaign("a", LATER, excluded_users=("v", "w")))
    assert (await found(one, "u")).excluded == {"ab", "b"}
    assert (await found(one, "w")).excluded == {"a"}
    await one.tell(a_campaign("a", AS_OF + timedelta(seconds=1), excluded_users=("x",)))
    assert (await found(one, "x")).excluded == frozenset()
    for campaign_id in ("a", "ab", "b"):
        event = a_campaign(campaign_id, LATER + timedelta(1), excluded_users=("u",), deleted=True)
        await one.tell(event)
    for user_id in "uvwx":
        assert (await found(one, user_id)).excluded == frozenset()
    assert [key for key in await state(one) if b"exclude" in key] == []


async def test_ten_thousand_may_be_excluded(one: Replica) -> None:
    users = tuple(f"u{n}" for n in range(10_000))
    await one.tell(a_campaign("c", excluded_users=users))
    assert (await found(one, "u9999")).excluded == {"c"}
    await one.tell(a_campaign("c", LATER, excluded_users=users[5000:]))
    assert (await found(one, "u4999")).excluded == frozenset()
    assert (await found(one, "u5000")).excluded == {"c"}


EVERYTHING: list[Event] = [
    *(own_list(user, version, f"c{version}") for user in ("u", "v") for version in (3, 5, 8)),
    forgotten_list("u", 6),
    forgotten("v", datetime(1970, 1, 1, microsecond=7, tzinfo=UTC)),
    forgotten_list("w", 4),
    own_list("w", 2, "c2"),
    *(popular_list(version, f"c{version}") for version in (1, 2, 3)),
    a_campaign("c5", excluded_users=("u", "w")),
    a_campaign("c5", LATER, budget="paused", excluded_users=("v", "w")),
    a_campaign("c8", deleted=True, excluded_users=("u",)),
    a_campaign("c8", LATER, excluded_users=("u",)),
    a_campaign("c2", budget="exhausted"),
]


async def test_any_order_and_any_repetition_ends_in_the_same(one: Replica) -> None:
    order, ends = random.Random(7), []
    for _ in range(30):
        await one.raw.flushall()
        told = EVERYTHING + order.sample(EVERYTHING, 8)
        order.shuffle(told)
        while told:
            size = min(len(told), order.randint(1, 6))
            await one.tell(*(told.pop() for _ in range(size)))
        kept = await state(one)
        # A tombstone that was followed by a newer list may be there or not: that list is newer.
        ends.append({k: v for k, v in kept.items() if not k.startswith(b"rec-forgotten")})
    assert all(end == ends[0] for end in ends)


async def test_lists_are_kept_apart_by_tenant(one: Replica) -> None:
    tenants = ["a", "a:b", "a%3Ab", "a/b", "b", "梅", "a b"]
    users = ["c", "b:c", ":c", "b/c"]
    for tenant_id in tenants:
        for user_id in users:
            await one.tell(own_list(user_id, 1, f"{tenant_id}|{user_id}"), tenant_id=tenant_id)
        await one.tell(popular_list(1, tenant_id), tenant_id=tenant_id)
        await one.tell(
            a_campaign(f"x{tenant_id}", budget="paused", excluded_users=("c",)),
            tenant_id=tenant_id,
        )
    for tenant_id in tenants:
        for user_id in users:
            assert await own(one, user_id, tenant_id) == [f"{tenant_id}|{user_id}"]
        seen = await found(one, "c", tenant_id)
        assert campaigns(seen.popular) == [tenant_id]
        assert set(seen.windows) == seen.excluded == {f"x{tenant_id}"}
    await one.tell(forgotten_list("c", 2), tenant_id="a")
    assert await own(one, "c", "a") is None
    assert await own(one, "c", "b") == ["b|c"]
    assert await own(one, "b:c", "a") == ["a|b:c"]


async def test_without_the_marker_nothing_is_read(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a"))
    await one.raw.delete("rec-ready:2")
    with pytest.raises(ReadModelUnready):
        await found(one, "u")


async def test_many_may_read_at_once(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a"))
    seen = await asyncio.gather(*(own(one, "u") for _ in range(500)))
    assert seen == [["a"]] * 500
