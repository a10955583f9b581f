"""Campaigns over HTTP, and those of producers outside."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from bus.errors import Unavailable
from contracts.events.marketing import CampaignChanged
from contracts.topics import CAMPAIGN_CHANGED
from devkit.embedded import EmbeddedRedis
from httpx2 import Response
from services.gateway.tests.accounts import READ, WRITE, holder
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import AS_OF, Replica, a_campaign, owed, replica

pytestmark = pytest.mark.asyncio
PATH = "/v1/campaigns"
FULL: dict[str, Any] = {
    "title": "Espresso week",
    "text": "Twenty percent off. ☕",
    "intents": ["espresso_machine", "pricing"],
    "starts_at": "2026-11-01T00:00:00Z",
    "ends_at": "2026-12-01T00:00:00Z",
    "budget": "paused",
    "excluded_users": ["u-staff", "梅"],
    "excluded_intents": ["cancel_order"],
    "frequency_cap": {"impressions": 3, "hours": 24.0},
}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        yield made


async def put(api: Api, campaign_id: str, headers: Any = None, **body: Any) -> Response:
    path = f"{PATH}/{quote(campaign_id, safe='')}"
    return await api.call("PUT", path, headers, json={"title": "T"} | body)


async def listed(api: Api, **params: Any) -> list[str]:
    body = (await api.call("GET", PATH, params=params)).json()
    return [item["campaign_id"] for item in body["items"]]


@pytest.mark.parametrize(
    "campaign_id", ["espresso-week", "梅-tea", "a/b c", "a\nb", "%2F", "events", "x" * 200]
)
async def test_a_campaign_is_kept_as_it_is_given(api: Api, campaign_id: str) -> None:
    path = f"{PATH}/{quote(campaign_id, safe='')}"
    before = datetime.now(UTC)
    made = await api.call("PUT", path, json=FULL)
    assert made.status_code == 201, made.text
    body = made.json()
    changed_at = datetime.fromisoformat(body.pop("changed_at"))
    assert body == FULL | {"campaign_id": campaign_id}
    assert before <= changed_at <= datetime.now(UTC)
    again = await api.call("PUT", path, json=FULL)
    assert again.status_code == 200
    assert datetime.fromisoformat(again.json()["changed_at"]) > changed_at
    assert (await api.call("GET", path)).json() == again.json()


async def test_a_change_is_told_on(api: Api) -> None:
    view = (await put(api, "espresso-week", **FULL)).json()
    (event,) = await owed(api, CAMPAIGN_CHANGED)
    assert event == CampaignChanged.model_validate(view)
    (row,) = await api.kit.owed(api.tenant_id)
    assert (row.key, row.envelope.subject) == (f"{api.tenant_id}/espresso-week", "espresso-week")


async def test_what_is_left_out_is_as_if_it_had_never_been_said(api: Api) -> None:
    await put(api, "c", **FULL)
    view = (await put(api, "c")).json()
    del view["changed_at"]
    assert view == {
        "campaign_id": "c",
        "title": "T",
        "text": "",
        "intents": [],
        "starts_at": None,
        "ends_at": None,
        "budget": "active",
        "excluded_users": [],
        "excluded_intents": [],
        "frequency_cap": None,
    }


async def test_what_is_named_twice_counts_once(api: Api) -> None:
    view = (await put(api, "c", excluded_users=["u", "u"], intents=["a", "b", "a"])).json()
    assert (view["excluded_users"], view["intents"]) == (["u"], ["a", "b"])


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": " "},
        {"title": "x" * 301},
        {"title": "a\x00b"},
        {"text": "a\x00b"},
        {"intents": ["x"] * 101},
        {"intents": [""]},
        {"budget": "spent"},
        {"starts_at": "2026-11-01"},
        {"excluded_users": [" u"]},
        {"frequency_cap": {"impressions": 0, "hours": 1}},
        {"frequency_cap": {"impressions": 1, "hours": 0}},
        {"frequency_cap": {"impressions": 1}},
        {"deleted": True},
        {"changed_at": "2026-11-01T00:00:00Z"},
        {"tenant_id": "another"},
    ],
)
async def test_a_malformed_campaign_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem(await put(api, "c", **body), 422, "invalid-request")
    assert await listed(api) == []


async def test_a_campaign_that_ends_before_it_starts_is_refused(api: Api) -> None:
    body = {"starts_at": FULL["ends_at"], "ends_at": FULL["starts_at"]}
    problem(await put(api, "c", **body), 422, "invalid-campaign")
    problem(await put(api, "c", **dict.fromkeys(body, FULL["ends_at"])), 422, "invalid-campaign")


@pytest.mark.parametrize("campaign_id", [" c", "c ", "c\n", "\x00", "x" * 201])
async def test_an_id_that_cannot_be_is_refused(api: Api, campaign_id: str) -> None:
    problem(await put(api, campaign_id), 422, "invalid-request")


async def test_campaigns_are_listed_in_pages(api: Api) -> None:
    names = ["a", "B", "c/d", "é", "梅", "Z"]
    for name in names:
        await put(api, name)
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.call("GET", PATH, params=params)).json()
        found += [item["campaign_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == sorted(names, key=str.encode)
    problem(await api.call("GET", PATH, params={"cursor": "x"}), 422, "invalid-cursor")


async def test_a_deleted_campaign_is_gone_and_told_on(api: Api) -> None:
    await put(api, "c", **FULL)
    gone = await api.call("DELETE", f"{PATH}/c")
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await api.call("GET", f"{PATH}/c"), 404, "not-found")
    problem(await api.call("DELETE", f"{PATH}/c"), 404, "not-found")
    assert await listed(api) == []
    made, deleted = await owed(api, CAMPAIGN_CHANGED)
    assert deleted == made.model_copy(update={"deleted": True, "changed_at": deleted.changed_at})
    assert deleted.changed_at > made.changed_at
    assert (await put(api, "c")).status_code == 201
    assert await listed(api) == ["c"]


async def test_a_campaign_that_was_never_there_cannot_be_deleted(api: Api) -> None:
    problem(await api.call("DELETE", f"{PATH}/c"), 404, "not-found")
    assert await api.kit.owed(api.tenant_id) == []


async def test_a_repeated_key_gets_the_first_answer(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = await put(api, "c", key)
    again = await put(api, "c", key)
    assert (again.status_code, again.content) == (201, first.content)
    problem(await put(api, "c", key, title="Other"), 409, "idempotency-conflict")
    problem(await put(api, "d", key), 409, "idempotency-conflict")
    gone = {"Idempotency-Key": "gone"}
    for _ in range(2):
        assert (await api.call("DELETE", f"{PATH}/c", gone)).status_code == 204
    assert len(await owed(api, CAMPAIGN_CHANGED)) == 2


async def test_of_campaigns_made_at_once_one_is_first(api: Api) -> None:
    answers = await asyncio.gather(*(put(api, "c", title=str(n)) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    events = await owed(api, CAMPAIGN_CHANGED)
    assert len({event.changed_at for event in events}) == 6
    last = max(events, key=lambda event: event.changed_at)
    assert (await api.call("GET", f"{PATH}/c")).json()["title"] == last.title


async def test_another_tenants_campaigns_are_not_there(api: Api) -> None:
    other = await api.another_tenant()
    await put(api, "c", title="Mine")
    problem(await other.call("GET", f"{PATH}/c"), 404, "not-found")
    problem(await other.call("DELETE", f"{PATH}/c"), 404, "not-found")
    assert (await put(other, "c", title="Theirs")).status_code == 201
    assert (await api.call("GET", f"{PATH}/c")).json()["title"] == "Mine"
    await other.call("DELETE", f"{PATH}/c")
    assert await listed(api) == ["c"]


async def test_each_route_needs_its_scope(api: Api) -> None:
    reader, writer = await holder(api, scopes=READ), await holder(api, scopes=WRITE)
    for method, path in (("GET", PATH), ("GET", f"{PATH}/c")):
        assert (await writer.call(method, path)).status_code == 403
        assert (await reader.call(method, path)).status_code in {200, 404}
    for method, body in (("PUT", {"title": "T"}), ("DELETE", None)):
        assert (await reader.call(method, f"{PATH}/c", json=body)).status_code == 403
        assert (await writer.call(method, f"{PATH}/c", json=body)).status_code in {201, 204}


async def test_the_examples_are_accepted(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for example in document["components"]["schemas"]["CampaignIn"]["examples"]:
        assert (await put(api, "c", **example)).status_code in {200, 201}


async def test_campaigns_of_producers_outside_are_taken_in(one: Replica) -> None:
    await one.tell(a_campaign("c", title="Out\x00side", text="\x00"), a_campaign("d"))
    assert await listed(one.api) == ["c", "d"]
    view = (await one.api.call("GET", f"{PATH}/c")).json()
    assert (view["title"], view["text"]) == ("Out\ufffdside", "\ufffd")
    assert datetime.fromisoformat(view["changed_at"]) == AS_OF
    await one.tell(a_campaign("c", AS_OF + timedelta(seconds=1), deleted=True))
    assert await listed(one.api) == ["d"]
    assert await one.kit.owed(one.api.tenant_id) == []


async def test_the_gateways_own_changes_are_not_taken_in_again(one: Replica) -> None:
    await put(one.api, "c", title="Mine")
    (event,) = await owed(one.api, CAMPAIGN_CHANGED)
    stale = event.model_copy(
        update={"title": "Stale", "changed_at": event.changed_at + timedelta(days=1)}
    )
    await one.tell(stale, source="gateway")
    assert (await one.api.call("GET", f"{PATH}/c")).json()["title"] == "Mine"


async def test_a_command_is_the_latest_word_whatever_clocks_say(one: Replica) -> None:
    future = datetime(2199, 1, 1, tzinfo=UTC)
    await one.tell(a_campaign("c", future, title="From the future"))
    view = (await put(one.api, "c", title="Now")).json()
    assert datetime.fromisoformat(view["changed_at"]) == future + timedelta(microseconds=1)
    await one.tell(a_campaign("c", future, title="From the future"))
    assert (await one.api.call("GET", f"{PATH}/c")).json()["title"] == "Now"
    assert (await one.api.call("DELETE", f"{PATH}/c")).status_code == 204
    (_, deleted) = await owed(one.api, CAMPAIGN_CHANGED)
    assert deleted.changed_at == future + timedelta(microseconds=2)


async def test_without_a_redis_campaigns_wait_and_are_kept(
    kit: Kit, api: Api, tmp_path: Any
) -> None:
    async with replica(kit, EmbeddedRedis(None, tmp_path / "nobody.sock")) as one:  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            await one.tell(a_campaign("c"))
        assert await listed(one.api) == ["c"]


@pytest.mark.parametrize("seed", range(8))
async def test_in_any_order_and_told_again_the_last_change_holds(one: Replica, seed: int) -> None:
    order = random.Random(seed)
    events = [
        a_campaign(name, AS_OF + timedelta(seconds=n), title=f"{n}", deleted=order.random() < 0.3)
        for name in ("c", "d", "e")
        for n in order.sample(range(10), 3)
    ]
    last = {event.campaign_id: event for event in sorted(events, key=lambda one: one.changed_at)}
    told = events * 2
    order.shuffle(told)
    while told:
        batch = [told.pop() for _ in range(min(len(told), order.randint(1, 4)))]
        await one.tell(*batch)
    found = await one.kit.campaigns.of_tenant(one.api.tenant_id, 10, None)
    assert {item.campaign_id: item.title for item in found} == {
        name: event.title for name, event in last.items() if not event.deleted
    }
