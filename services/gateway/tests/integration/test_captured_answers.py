"""Answers of producers outside: whose they are, where they go, and analyses that come first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.errors import Permanent
from contracts.envelope import OUTSIDE
from contracts.events.visibility import AnswerCaptured
from contracts.ids import captured_run_id
from contracts.topics import ANSWER_CAPTURED, VISIBILITY_RUN_STARTED
from gateway.translation import captured_answer
from services.gateway.tests.calling_api import RUNS, Api
from services.gateway.tests.feeding import (
    AT,
    Feed,
    a_capture,
    analyzed_capture,
    asked,
    delivered,
    found,
    owed,
    record_of,
)
from services.gateway.tests.importing import opened, run_of
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def tell(feed: Feed, tenant_id: str, *captures: AnswerCaptured) -> None:
    await feed.apply([delivered(record_of(tenant_id, item, source=OUTSIDE)) for item in captures])


async def test_answers_without_an_import_join_the_collection_of_their_month(api: Api) -> None:
    brand = (await api.call("PUT", "/v1/brands", json={"name": "Notion"})).json()
    feed = Feed(api.kit)
    captures = [a_capture(prompt=prompt) for prompt in ("Which app?", "which APP?", "Another?")]
    await tell(feed, api.tenant_id, *captures[:2])
    await tell(feed, api.tenant_id, captures[2])
    run_id = captured_run_id(api.tenant_id, AT)
    run = await run_of(api, run_id)
    assert (run["kind"], run["name"], run["brands"]) == ("imported", "captured 2026-11", [brand])
    assert run["progress"]["expected"] == 3
    assert len(run["prompts"]) == 2
    (started,) = await owed(api, VISIBILITY_RUN_STARTED)
    assert (started.run_id, started.expected_completions) == (run_id, 0)


async def test_a_bare_record_is_taken_in_once(api: Api) -> None:
    capture = a_capture(tenant_id=api.tenant_id)
    record = record_of(api.tenant_id, capture, headers=())
    feed = Feed(api.kit)
    for _ in range(2):
        await feed.apply([delivered(record), delivered(replace(record, offset=1))])
    run = await run_of(api, captured_run_id(api.tenant_id, AT))
    assert run["progress"]["expected"] == 1


async def test_an_answer_for_another_tenants_import_is_refused_for_good(api: Api) -> None:
    body, other = await opened(api), await api.another_tenant()
    before = await run_of(api, body["run_id"])
    run_id = (await api.start()).json()["run_id"]
    feed = Feed(api.kit)
    for target, tenant_id in (
        (body["run_id"], other.tenant_id),
        (str(uuid4()), api.tenant_id),
        (run_id, api.tenant_id),  # a run that asks its models itself
    ):
        with pytest.raises(Permanent, match=f"has no import {target}"):
            await tell(feed, tenant_id, a_capture(run_id=target))
    assert await run_of(api, body["run_id"]) == before
    assert (await run_of(api, run_id))["progress"]["expected"] == 12


async def test_an_id_that_another_tenant_has_used_is_refused_for_good(api: Api) -> None:
    other, feed = await api.another_tenant(), Feed(api.kit)
    capture = a_capture()
    await tell(feed, api.tenant_id, capture)
    with pytest.raises(Permanent, match="make ids at random"):
        await tell(feed, other.tenant_id, capture)
    call = (await asked(api, (await api.start()).json()["run_id"]))[0]
    with pytest.raises(Permanent, match="make ids at random"):
        await tell(feed, other.tenant_id, a_capture(answer_id=call.completion_id))
    two = a_capture()
    with pytest.raises(Permanent, match="make ids at random"):
        await feed.apply(
            [delivered(record_of(each.tenant_id, two, source=OUTSIDE)) for each in (api, other)]
        )
    assert (await other.call("GET", RUNS)).json()["items"] == []


async def test_an_answer_that_is_there_is_not_taken_into_another_collection(api: Api) -> None:
    feed, capture = Feed(api.kit), a_capture()
    await tell(feed, api.tenant_id, capture)
    later = capture.model_copy(update={"captured_at": AT.replace(month=12)})
    await tell(feed, api.tenant_id, later)
    assert len((await api.call("GET", RUNS)).json()["items"]) == 1


async def test_answers_of_the_gateway_itself_are_stored_already(api: Api) -> None:
    await opened(api)
    (capture,) = await owed(api, ANSWER_CAPTURED)
    record = record_of(api.tenant_id, capture, source="gateway")
    await Feed(api.kit).apply([delivered(record)])
    assert len((await api.call("GET", RUNS)).json()["items"]) == 1


@pytest.mark.parametrize("batched", [True, False])
async def test_an_analysis_may_come_before_its_answer(api: Api, batched: bool) -> None:
    body, feed = await opened(api, {"id": "first"}), Feed(api.kit)
    run_id = UUID(body["run_id"])
    capture, brand = a_capture(run_id=run_id, simulated=True), uuid4()
    early = analyzed_capture(capture, [found(brand, 2, sentiment=0.5)])
    await feed.tell(api.tenant_id, early)
    assert (await run_of(api, run_id))["progress"]["expected"] == 1
    if batched:
        again = early.model_copy(update={"revision": 2})
        await feed.tell(api.tenant_id, early, again)
    await tell(feed, api.tenant_id, capture)
    run = await run_of(api, run_id)
    assert (run["progress"]["expected"], run["progress"]["analyzed"]) == (2, 1)
    assert run["simulated"]
    page = (await api.call("GET", body["links"]["answers"], params={"state": "analyzed"})).json()
    (finding,) = page["items"][0]["findings"]
    assert (finding["brand_id"], finding["mentions"], finding["sentiment"]) == (str(brand), 2, 0.5)
    kept = await api.kit.pool.fetchval("SELECT count(*) FROM early_analyses")
    assert kept == 0


async def test_an_analysis_and_its_answer_may_come_at_once(api: Api) -> None:
    run_id = UUID((await opened(api, {"id": "first"}))["run_id"])
    feed = Feed(api.kit)
    captures = [a_capture(run_id=run_id) for _ in range(8)]
    await asyncio.gather(
        *(tell(feed, api.tenant_id, capture) for capture in captures),
        *(feed.tell(api.tenant_id, analyzed_capture(capture)) for capture in captures),
    )
    progress = (await run_of(api, run_id))["progress"]
    assert (progress["expected"], progress["analyzed"]) == (9, 8)


async def test_an_analysis_waits_for_an_answer_that_is_being_stored(api: Api) -> None:
    run_id = UUID((await opened(api, {"id": "first"}))["run_id"])
    capture = a_capture(run_id=run_id)
    item: Any = delivered(record_of(api.tenant_id, capture))
    async with api.kit.store.transaction() as transaction:
        repository = api.kit.bind(transaction)
        await repository.add_captured([captured_answer(item)], AT)
        assert not await repository.take_early([capture.answer_id])
        analysis = asyncio.create_task(Feed(api.kit).tell(api.tenant_id, analyzed_capture(capture)))
        done, _ = await asyncio.wait({analysis}, timeout=0.2)
        assert not done
    await analysis
    progress = (await run_of(api, run_id))["progress"]
    assert (progress["expected"], progress["analyzed"]) == (2, 1)


async def test_an_early_analysis_of_another_tenant_is_not_kept(api: Api) -> None:
    run_id, other = UUID((await opened(api))["run_id"]), await api.another_tenant()
    capture = a_capture(run_id=run_id)
    feed = Feed(api.kit)
    await feed.tell(other.tenant_id, analyzed_capture(capture))
    assert await api.kit.pool.fetchval("SELECT count(*) FROM early_analyses") == 0
    await tell(feed, api.tenant_id, capture)
    assert (await run_of(api, run_id))["progress"]["analyzed"] == 0


async def test_whatever_text_an_event_has_is_stored_as_it_is(api: Api) -> None:
    text = "literally \\u0000, \\ufffd and \x01"
    capture = a_capture(text=f"{text}\x00", prompt="a\x00b", tags=("x\x00",), locale="d\x00")
    feed = Feed(api.kit)
    await tell(feed, api.tenant_id, capture)
    run = await run_of(api, captured_run_id(api.tenant_id, AT))
    (answer,) = (await api.call("GET", f"{RUNS}/{run['run_id']}/answers")).json()["items"]
    assert answer["text"] == f"{text}\ufffd"
    assert (answer["prompt"], answer["tags"]) == ("a\ufffdb", ["x\ufffd"])
