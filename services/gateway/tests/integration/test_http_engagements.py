"""What users did with campaigns, told over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from contracts.events.marketing import EngagementRecorded, LineOf
from contracts.topics import ENGAGEMENT_RECORDED
from httpx2 import Response
from services.gateway.tests.accounts import READ, WRITE, holder
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import NDJSON, owed

pytestmark = pytest.mark.asyncio
PATH = "/v1/engagements"
AT = "2026-11-20T09:00:00Z"
CLICK: dict[str, Any] = {
    "engagement_id": "e-1",
    "user_id": "u-ada",
    "campaign_id": "梅 tea/1",
    "kind": "click",
}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def told(api: Api, body: Any, headers: Any = None, **params: Any) -> Response:
    return await api.call("POST", PATH, headers, json=body, params=params)


async def sent(api: Api, *changes: dict[str, Any], headers: Any = None, **params: Any) -> Response:
    body = "\n".join(json.dumps(CLICK | {"happened_at": AT} | each) for each in changes)
    return await api.call("POST", PATH, NDJSON | (headers or {}), content=body, params=params)


@pytest.mark.parametrize("kind", ["impression", "click", "conversion", "dismissal"])
async def test_an_engagement_is_told_on(api: Api, kind: str) -> None:
    answer = await told(api, CLICK | {"kind": kind, "happened_at": AT})
    (row,) = await api.kit.owed(api.tenant_id)
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "engagement_id": "e-1",
            "user_id": "u-ada",
            "campaign_id": "梅 tea/1",
            "event_id": row.envelope.id,
        },
    )
    assert row.key == "u-ada"
    (event,) = await owed(api, ENGAGEMENT_RECORDED)
    assert event == EngagementRecorded(
        engagement_id="e-1",
        user_id="u-ada",
        campaign_id="梅 tea/1",
        kind=kind,  # type: ignore[arg-type]
        happened_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
    )


async def test_what_has_no_time_happened_now(api: Api) -> None:
    before = datetime.now(UTC)
    await told(api, CLICK)
    (event,) = await owed(api, ENGAGEMENT_RECORDED)
    assert before <= event.happened_at <= datetime.now(UTC)


async def test_without_an_id_what_is_alike_in_all_else_is_the_same(api: Api) -> None:
    bare = {"engagement_id": None}
    for change in ({}, {}, {"kind": "conversion"}, {"user_id": "u-ben"}, {"campaign_id": "c"}):
        await told(api, CLICK | bare | {"happened_at": AT} | change)
    for _ in range(2):
        await told(api, CLICK | bare)
    first, again, *others = [event.engagement_id for event in await owed(api, ENGAGEMENT_RECORDED)]
    assert first == again
    assert len({first, *others}) == 6


async def test_a_generated_id_is_the_same_for_a_repeated_key(api: Api) -> None:
    key, body = {"Idempotency-Key": "k"}, CLICK | {"engagement_id": None}
    first, again = [(await told(api, body, key)).json() for _ in range(2)]
    assert first == again
    assert len(await owed(api, ENGAGEMENT_RECORDED)) == 1


async def test_nothing_of_a_user_is_kept_with_the_key(api: Api) -> None:
    first, again = [(await told(api, CLICK, {"Idempotency-Key": "k"})).json() for _ in range(2)]
    assert first == again
    kept = await api.kit.pool.fetchval(
        "SELECT string_agg(row::text, ' ') FROM idempotent_requests AS row WHERE tenant_id = $1",
        api.tenant_id,
    )
    assert first["event_id"] in kept
    for word in ("e-1", "u-ada", "梅"):
        assert word not in kept


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "share"}, "kind"),
        ({"kind": None}, "kind"),
        ({"campaign_id": ""}, "campaign_id"),
        ({"user_id": "u "}, "user_id"),
        ({"engagement_id": ""}, "engagement_id"),
        ({"happened_at": "2200-01-01T00:00:00Z"}, "happened_at"),
        ({"happened_at": "now"}, "happened_at"),
        ({"score": 1}, "score"),
    ],
)
async def test_what_does_not_fit_is_refused(api: Api, change: dict[str, Any], where: str) -> None:
    refused = problem(await told(api, CLICK | change), 422, "invalid-request")
    assert [error["where"] for error in refused["errors"]] == [f"body.{where}"]
    answer = (await sent(api, change, {})).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert answer["errors"][0]["line"] == 1
    assert answer["errors"][0]["error"].startswith(f"{where}: ")


async def test_a_line_has_to_say_when(api: Api) -> None:
    answer = (await sent(api, {}, {"happened_at": None})).json()
    assert (answer["accepted"], answer["errors"][0]["line"]) == (1, 2)
    refused = problem(await sent(api, {"happened_at": None}), 422, "invalid-import")
    assert "happened_at" in refused["hint"]


async def test_each_line_knows_where_it_was_read(api: Api) -> None:
    await sent(api, {}, {"engagement_id": "e-2"}, file="e.jsonl", first_line=7)
    assert [event.line_of for event in await owed(api, ENGAGEMENT_RECORDED)] == [
        LineOf(file="e.jsonl", line=7),
        LineOf(file="e.jsonl", line=8),
    ]


async def test_another_kind_of_body_is_refused(api: Api) -> None:
    problem(
        await sent(api, {}, headers={"Content-Type": "text/csv"}), 415, "unsupported-media-type"
    )
    problem(await told(api, [CLICK]), 415, "unsupported-media-type")


async def test_telling_needs_a_key_that_writes(api: Api) -> None:
    for scopes, status in ((READ, 403), (WRITE, 202)):
        it = await holder(api, scopes=scopes)
        assert (await it.call("POST", PATH, json=CLICK)).status_code == status


async def test_the_examples_are_accepted(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for example in document["components"]["schemas"]["EngagementIn"]["examples"]:
        assert (await told(api, example)).status_code == 202
