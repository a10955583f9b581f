"""Recommendations over HTTP: who sees what, where it comes from, and what is no longer shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from contracts.telemetry import RECOMMENDATIONS_READ
from contracts.topics import CAMPAIGN_CHANGED
from devkit.embedded import EmbeddedRedis
from gateway.schemas.recommendations import BatchView, RecommendationsView
from runtime.metrics import value
from services.gateway.tests.accounts import READ, WRITE, holder
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit, redis_on
from services.gateway.tests.marketing import (
    AS_OF,
    Replica,
    a_campaign,
    forgotten_list,
    ids,
    owed,
    own_list,
    popular_list,
    recommended,
    replica,
)

pytestmark = pytest.mark.asyncio
PATH = "/v1/recommendations"
LATER = AS_OF + timedelta(hours=1)


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        await made.complete()
        yield made


def read(source: str) -> float:
    return value(RECOMMENDATIONS_READ, service="gateway", source=source)


async def batch(api: Api, *user_ids: str, **more: Any) -> list[dict[str, Any]]:
    response = await api.call("POST", f"{PATH}:batch", json={"user_ids": list(user_ids), **more})
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


@pytest.mark.parametrize("source", ["personal", "intent", "popular"])
async def test_a_user_sees_the_own_list_and_where_it_comes_from(one: Replica, source: str) -> None:
    before = read(source)
    await one.tell(popular_list(1, "p"), own_list("u", 1, "a", "b", source=source))
    shown = await one.shown("u")
    assert (ids(shown), shown["source"], shown["cold"]) == (["a", "b"], source, False)
    assert read(source) == before + 1


async def test_who_is_not_known_sees_the_popular_ones(one: Replica) -> None:
    shown = await one.shown("u")
    assert (shown["items"], shown["source"], shown["cold"], shown["as_of"]) == (
        [],
        "popular",
        True,
        None,
    )
    await one.tell(popular_list(1, "p", "q"))
    shown = await one.shown("u")
    assert (ids(shown), shown["source"], shown["cold"]) == (["p", "q"], "popular", True)
    assert shown["user_id"] == "u"
    assert datetime.fromisoformat(shown["as_of"]) == AS_OF


async def test_who_was_forgotten_is_not_known(one: Replica) -> None:
    await one.tell(popular_list(1, "p"), own_list("u", 1, "a"), forgotten_list("u", 2))
    shown = await one.shown("u")
    assert (ids(shown), shown["cold"]) == (["p"], True)


async def test_five_are_shown_unless_asked_otherwise(one: Replica) -> None:
    await one.tell(own_list("u", 1, *(f"c{n}" for n in range(30))))
    for limit, count in ((None, 5), (1, 1), (20, 20)):
        params: dict[str, Any] = {} if limit is None else {"limit": limit}
        assert ids(await one.shown("u", **params)) == [f"c{n}" for n in range(count)]
    for wrong in ("0", "21", "-1", "x"):
        answer = await one.api.call("GET", f"{PATH}/u", params={"limit": wrong})
        problem(answer, 422, "invalid-request")


async def test_what_has_ended_makes_room_for_the_next(one: Replica) -> None:
    past, future = datetime(2026, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)
    items = (recommended("a", ends_at=past), recommended("b", ends_at=future), recommended("c"))
    await one.tell(own_list("u", 1, items=items))
    assert ids(await one.shown("u", limit=2)) == ["b", "c"]


async def test_a_campaign_that_is_no_longer_active_is_not_shown(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a", "b", "c", "d"), popular_list(1, "d", "e"))
    await one.tell(
        a_campaign("a", budget="paused"),
        a_campaign("b", budget="exhausted"),
        a_campaign("d", deleted=True),
    )
    assert ids(await one.shown("u")) == ["c"]
    assert ids(await one.shown("v")) == ["e"]
    await one.tell(a_campaign("a", LATER))
    assert ids(await one.shown("u")) == ["a", "c"]


async def test_what_the_api_changed_counts_once_it_was_told(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a", "b"))
    await one.api.call("PUT", "/v1/campaigns/a", json={"title": "A"})
    await one.api.call("DELETE", "/v1/campaigns/a")
    await one.tell(*await owed(one.api, CAMPAIGN_CHANGED), source="gateway")
    assert ids(await one.shown("u")) == ["b"]


async def test_who_is_excluded_is_not_shown_it_known_or_not(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a", "b"), popular_list(1, "a", "b"))
    await one.tell(a_campaign("a", excluded_users=("u", "v")))
    for user_id, seen in (("u", ["b"]), ("v", ["b"]), ("w", ["a", "b"])):
        assert ids(await one.shown(user_id)) == seen


@pytest.mark.parametrize(
    "user_id", ["u 1", "a/b", "a/b/events/x", "a\nb", "梅", "a:b", "100%", "%2F", "x" * 200]
)
async def test_ids_may_be_any_text(one: Replica, user_id: str) -> None:
    await one.tell(own_list(user_id, 1, "a"))
    shown = await one.shown(quote(user_id, safe=""))
    assert (shown["user_id"], ids(shown)) == (user_id, ["a"])


@pytest.mark.parametrize("user_id", ["%20u", "u%00", "u%0A", "x" * 201])
async def test_an_id_that_cannot_be_is_refused(one: Replica, user_id: str) -> None:
    problem(await one.api.call("GET", f"{PATH}/{user_id}"), 422, "invalid-request")


async def test_one_tenants_users_and_campaigns_are_not_anothers(one: Replica) -> None:
    other = await one.api.another_tenant()
    await one.tell(own_list("u", 1, "a", "b"), popular_list(1, "p"))
    await one.tell(own_list("u", 9, "c", "d"), popular_list(9, "q"), tenant_id=other.tenant_id)
    await one.tell(
        a_campaign("a", deleted=True),
        a_campaign("d", deleted=True, excluded_users=("v",)),
        a_campaign("q", excluded_users=("v",)),
    )
    for api, user_id, seen in (
        (one.api, "u", ["b"]),
        (other, "u", ["c", "d"]),
        (one.api, "v", ["p"]),
        (other, "v", ["q"]),
    ):
        assert ids(await one.shown(user_id, api)) == seen
    await one.tell(forgotten_list("u", 10), tenant_id=other.tenant_id)
    assert ids(await one.shown("u")) == ["b"]
    assert [item["user_id"] for item in await batch(other, "u", "v")] == ["u", "v"]
    assert [ids(item) for item in await batch(other, "u", "v")] == [["q"], ["q"]]


async def test_many_users_are_shown_in_the_order_asked_for(one: Replica) -> None:
    await one.tell(
        *(own_list(f"u{n}", 1, f"a{n}", f"b{n}") for n in range(499)), popular_list(1, "p")
    )
    users = [f"u{n}" for n in reversed(range(499))] + ["unknown"]
    before = read("personal"), read("popular")
    items = await batch(one.api, *users, limit=1)
    assert [item["user_id"] for item in items] == users
    assert [ids(item) for item in items] == [[f"a{n}"] for n in reversed(range(499))] + [["p"]]
    assert (read("personal"), read("popular")) == (before[0] + 499, before[1] + 1)
    assert [ids(item) for item in await batch(one.api, "u1", "u1")] == [["a1", "b1"]] * 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_ids": []},
        {"user_ids": ["u"] * 501},
        {"user_ids": [" u"]},
        {"user_ids": "u"},
        {"user_ids": ["u"], "limit": 21},
        {"user_ids": ["u"], "users": []},
    ],
)
async def test_a_malformed_batch_is_refused(one: Replica, body: dict[str, Any]) -> None:
    problem(await one.api.call("POST", f"{PATH}:batch", json=body), 422, "invalid-request")


async def test_one_round_trip_serves_a_user(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a"))
    await one.shown("u")
    before = await one.raw.info("commandstats")
    await one.shown("u")
    await batch(one.api, "u", "v")
    after = await one.raw.info("commandstats")
    calls = {
        name: stats["calls"] - before.get(name, {"calls": 0})["calls"]
        for name, stats in after.items()
        if stats["calls"] != before.get(name, {"calls": 0})["calls"]
    }
    assert calls == {"cmdstat_mget": 2, "cmdstat_info": 1}


async def test_what_is_not_ready_is_told_so(one: Replica) -> None:
    before = read("unready")
    await one.raw.delete("rec-ready:2")
    answers = [
        await one.api.call("GET", f"{PATH}/u"),
        await one.api.call("GET", f"{PATH}/u/events"),
        await one.api.call("POST", f"{PATH}:batch", json={"user_ids": ["u", "v"]}),
    ]
    for answer in answers:
        assert "rebuilt" in problem(answer, 503, "read-model-unready")["title"]
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["limelight-source"] == "unready"
    assert read("unready") == before + 3


async def test_without_a_redis_it_is_told_so(kit: Kit, tmp_path: Path) -> None:
    redis = await redis_on(tmp_path / "redis")
    async with replica(kit, redis) as one:
        await one.complete()
        await one.tell(own_list("u", 1, "a"))
        await redis.stop()
        answer = await one.api.call("GET", f"{PATH}/u")
        assert "reached" in problem(answer, 503, "read-model-unready")["title"]
        assert answer.headers["limelight-source"] == "unready"
        redis = await redis_on(tmp_path / "redis")
        assert ids(await one.shown("u")) == ["a"]
    await redis.stop()


async def test_each_route_needs_a_key_that_reads(one: Replica) -> None:
    reader, writer = await holder(one.api, scopes=READ), await holder(one.api, scopes=WRITE)
    calls: list[tuple[str, str, Any]] = [
        ("GET", f"{PATH}/u", None),
        ("POST", f"{PATH}:batch", {"user_ids": ["u"]}),
    ]
    for method, path, body in calls:
        assert (await writer.call(method, path, json=body)).status_code == 403
        assert (await reader.call(method, path, json=body)).status_code == 200
        assert (await one.api.http.request(method, path, json=body)).status_code == 401
    assert (await writer.call("GET", f"{PATH}/u/events")).status_code == 403


async def test_pages_elsewhere_may_read_the_source(kit: Kit, redis: EmbeddedRedis) -> None:
    async with replica(kit, redis, cors_origins=("https://shop.example",)) as one:
        await one.complete()
        answer = await one.api.call("GET", f"{PATH}/u", {"Origin": "https://shop.example"})
        assert "Limelight-Source" in answer.headers["access-control-expose-headers"]


async def test_the_answers_are_as_described(one: Replica) -> None:
    await one.tell(own_list("u", 1, "a"))
    for user_id in ("u", "unknown"):
        RecommendationsView.model_validate(await one.shown(user_id))
    BatchView.model_validate({"items": await batch(one.api, "u", "unknown")})
