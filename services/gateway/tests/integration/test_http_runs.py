"""Visibility runs over HTTP: what is accepted, owed to the log, shown and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
from bus.outbox import OutboxRow
from contracts.events.completion import (
    Budget,
    CompletionBatchCancelled,
    CompletionRequested,
    Cost,
)
from contracts.events.visibility import VisibilityRunStarted
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_REQUESTED,
    VISIBILITY_RUN_STARTED,
)
from services.gateway.tests.calling_api import RUNS, Api, a_request, assert_marked, problem
from services.gateway.tests.feeding import Feed, analyzed, answered, asked, failed
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
SMALL: dict[str, Any] = {"prompts": ["Which?"], "models": ["openai/gpt-5"], "samples": 2}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def events(api: Api, topic: str) -> list[OutboxRow]:
    return [row for row in await api.kit.owed(api.tenant_id) if row.topic == topic]


async def test_a_run_is_accepted_with_its_location(api: Api) -> None:
    response = await api.start()
    body = response.json()
    assert response.status_code == 202
    assert (body["state"], body["expected_completions"]) == ("running", 12)
    assert response.headers["location"] == f"{RUNS}/{body['run_id']}" == body["links"]["run"]
    assert body["links"]["report"] == f"{RUNS}/{body['run_id']}/report"
    assert_marked(response)


async def test_a_run_owes_its_events_to_the_log(api: Api) -> None:
    body = (await api.start()).json()
    (row,) = await events(api, VISIBILITY_RUN_STARTED.name)
    started = VisibilityRunStarted.model_validate_json(row.payload)
    assert str(started.run_id) == row.key == body["run_id"]
    assert [(brand.name, brand.aliases) for brand in started.brands] == [
        ("Notion", ("Notion.so",)),
        ("光珈琲", ()),
    ]
    rows = await events(api, COMPLETION_REQUESTED.name)
    requests = [CompletionRequested.model_validate_json(row.payload) for row in rows]
    asked = {
        (request.messages[0].content, request.model, request.origin.sample) for request in requests
    }
    assert asked == {
        (text, model, sample)
        for text in a_request()["prompts"]
        for model in a_request()["models"]
        for sample in range(3)
    }
    assert len({request.completion_id for request in requests}) == len(rows) == 12
    assert {row.envelope.correlation_id for row in rows} == {body["run_id"]}
    assert {row.envelope.tenant_id for row in rows} == {api.tenant_id}


async def test_a_run_is_shown_while_it_runs(api: Api) -> None:
    started = (await api.start()).json()
    run = (await api.call("GET", started["links"]["run"])).json()
    assert run["progress"] == {
        "expected": 12,
        "waiting": 12,
        "answered": 0,
        "analyzed": 0,
        "failed": 0,
        "not_run": 0,
    }
    assert run["cost"] == {"usd": "0", "unpriced_calls": 0, "budget_usd": None}
    assert run["cancelled_at"] is None
    assert (run["state"], run["samples"], run["finished_at"]) == ("running", 3, None)
    assert run["models"] == a_request()["models"]
    assert [prompt["text"] for prompt in run["prompts"]] == a_request()["prompts"]
    assert [(brand["name"], brand["aliases"]) for brand in run["brands"]] == [
        ("Notion", ["Notion.so"]),
        ("光珈琲", []),
    ]


async def end(api: Api, run_id: str) -> None:
    """One answer, and one failure."""
    one, two = await asked(api, run_id)
    await Feed(api.kit).tell(
        api.tenant_id,
        answered(one, simulated=True),
        failed(two, "auth", cost=Cost(usd=None, unknown="no price")),
        analyzed(one),
    )


async def test_a_run_shows_its_counts_and_costs(api: Api) -> None:
    started = (await api.start(**SMALL)).json()
    await end(api, started["run_id"])
    run = (await api.call("GET", started["links"]["run"])).json()
    assert (run["state"], run["simulated"]) == ("completed_with_errors", True)
    assert run["progress"] == {
        "expected": 2,
        "waiting": 0,
        "answered": 0,
        "analyzed": 1,
        "failed": 1,
        "not_run": 0,
    }
    assert run["cost"] == {"usd": "0.00125", "unpriced_calls": 1, "budget_usd": None}


async def test_a_budget_goes_with_every_call(api: Api) -> None:
    started = (await api.start(budget_usd="2.50")).json()
    rows = await events(api, COMPLETION_REQUESTED.name)
    requests = [CompletionRequested.model_validate_json(row.payload) for row in rows]
    budgets = {request.budget for request in requests}
    assert budgets == {Budget(budget_id=UUID(started["run_id"]), limit_usd=Decimal("2.50"))}
    assert {request.fallbacks for request in requests} == {()}
    run = (await api.call("GET", started["links"]["run"])).json()
    assert run["cost"]["budget_usd"] == "2.50"


@pytest.mark.parametrize("budget", ["-1", "much", "1e-9", 0.1234567])
async def test_an_unusable_budget_is_refused(api: Api, budget: object) -> None:
    problem(await api.start(budget_usd=budget), 422, "invalid-request")


async def test_a_cancelled_run_owes_one_cancellation(api: Api) -> None:
    started = (await api.start()).json()
    path = f"{started['links']['run']}/cancel"
    first = await api.call("POST", path)
    assert first.status_code == 202
    assert first.json()["cancelled_at"] is not None
    assert first.json()["state"] == "running"  # until its calls have ended
    again = await api.call("POST", path)
    assert again.json()["cancelled_at"] == first.json()["cancelled_at"]
    (row,) = await events(api, COMPLETION_BATCH_CANCELLED.name)
    event = CompletionBatchCancelled.model_validate_json(row.payload)
    assert str(event.parent_id) == row.key == started["run_id"]
    assert row.envelope.tenant_id == api.tenant_id


async def test_a_cancelled_run_ends_when_its_calls_have(api: Api) -> None:
    started = (await api.start(**SMALL)).json()
    await api.call("POST", f"{started['links']['run']}/cancel")
    calls = await asked(api, started["run_id"])
    stopped = [failed(call, "cancelled", outcome="not_run") for call in calls]
    await Feed(api.kit).tell(api.tenant_id, *stopped)
    report = (await api.call("GET", started["links"]["report"])).json()
    assert (report["state"], report["progress"]["not_run"]) == ("cancelled", 2)
    assert [(item["outcome"], item["count"]) for item in report["failures"]] == [("not_run", 2)]


async def test_cancelling_a_run_that_has_ended_changes_nothing(api: Api) -> None:
    started = (await api.start(**SMALL)).json()
    await end(api, started["run_id"])
    answer = await api.call("POST", f"{started['links']['run']}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "completed_with_errors")
    assert answer.json()["cancelled_at"] is None
    assert await events(api, COMPLETION_BATCH_CANCELLED.name) == []


async def test_another_tenants_run_cannot_be_cancelled(api: Api) -> None:
    links, other = (await api.start()).json()["links"], await api.another_tenant()
    problem(await other.call("POST", f"{links['run']}/cancel"), 404, "not-found")
    assert (await api.call("GET", links["run"])).json()["cancelled_at"] is None
    assert await events(api, COMPLETION_BATCH_CANCELLED.name) == []


async def test_another_tenants_run_is_not_there(api: Api) -> None:
    links, other = (await api.start()).json()["links"], await api.another_tenant()
    for name, path in links.items():
        problem(await other.call("GET", path), 404, "not-found")
        if name != "events":  # it would go on as long as the run
            assert (await api.call("GET", path)).status_code == 200


async def test_an_unknown_run_is_not_there(api: Api) -> None:
    problem(await api.call("GET", f"{RUNS}/{uuid4()}"), 404, "not-found")
    problem(await api.call("GET", f"{RUNS}/{uuid4()}/report"), 404, "not-found")
    problem(await api.call("GET", f"{RUNS}/not-an-id"), 422, "invalid-request")


async def test_an_idempotency_key_gives_the_first_answer_again(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first, again = await api.start(headers), await api.start(headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1
    assert len(await events(api, COMPLETION_REQUESTED.name)) == 12


async def test_an_idempotency_key_covers_what_is_asked_not_its_spelling(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = await api.start(headers, samples=1)
    swapped = dict(reversed(a_request(samples=1).items()))
    assert (await api.call("POST", RUNS, headers, json=swapped)).content == first.content
    del swapped["samples"]  # 1 is its default
    assert (await api.call("POST", RUNS, headers, json=swapped)).content == first.content


async def test_an_idempotency_key_with_another_body_is_a_conflict(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    await api.start(headers)
    problem(await api.start(headers, samples=2), 409, "idempotency-conflict")
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1


async def test_idempotency_keys_of_tenants_are_apart(api: Api) -> None:
    headers, other = {"Idempotency-Key": "order-1"}, await api.another_tenant()
    mine, theirs = await api.start(headers), await other.start(headers, samples=1)
    assert theirs.status_code == 202
    assert theirs.json()["run_id"] != mine.json()["run_id"]


async def test_the_same_input_while_a_run_goes_on_is_that_run(api: Api) -> None:
    first, again = await api.start(), await api.start(name="another name")
    assert (first.status_code, again.status_code) == (202, 200)
    assert (first.json()["deduplicated"], again.json()["deduplicated"]) == (False, True)
    assert again.json()["run_id"] == first.json()["run_id"]
    assert again.json()["input_hash"] == first.json()["input_hash"]
    assert again.headers["location"] == first.headers["location"]
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1
    other = await api.start(samples=1)
    assert other.status_code == 202
    assert other.json()["input_hash"] != first.json()["input_hash"]


async def test_the_same_input_in_another_order_and_spelling_is_the_same_run(api: Api) -> None:
    first = await api.start()
    body = a_request()
    turned = {
        "brands": [{"name": "光珈琲"}, {"name": "NOTION", "aliases": ["notion.SO"]}],
        "prompts": [{"text": body["prompts"][1].upper()}, body["prompts"][0]],
        "models": body["models"][::-1],
    }
    assert (await api.start(**turned)).json()["run_id"] == first.json()["run_id"]


async def test_the_same_input_after_a_run_is_a_new_run_unless_told_otherwise(api: Api) -> None:
    first = (await api.start(**SMALL)).json()
    await end(api, first["run_id"])
    earlier = await api.start(**SMALL, deduplicate=True)
    assert (earlier.status_code, earlier.json()["deduplicated"]) == (200, True)
    assert earlier.json()["run_id"] == first["run_id"]
    assert earlier.json()["state"] == "completed_with_errors"
    second = await api.start(**SMALL)
    assert second.status_code == 202
    assert second.json()["run_id"] != first["run_id"]
    newest = await api.start(**SMALL, deduplicate=True)
    assert newest.json()["run_id"] == second.json()["run_id"]


@pytest.mark.parametrize("deduplicate", [True, False])
async def test_a_run_that_failed_or_was_cancelled_is_no_answer(api: Api, deduplicate: bool) -> None:
    first = (await api.start(**SMALL)).json()
    await Feed(api.kit).tell(api.tenant_id, *map(failed, await asked(api, first["run_id"])))
    second = await api.start(**SMALL, deduplicate=deduplicate)
    assert second.status_code == 202
    await api.call("POST", f"{second.json()['links']['run']}/cancel")
    third = await api.start(**SMALL, deduplicate=deduplicate)
    assert third.status_code == 202
    assert len({first["run_id"], second.json()["run_id"], third.json()["run_id"]}) == 3


async def test_another_tenants_run_of_the_same_input_is_not_mine(api: Api) -> None:
    other = await api.another_tenant()
    mine, theirs = await api.start(deduplicate=True), await other.start(deduplicate=True)
    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert mine.json()["run_id"] != theirs.json()["run_id"]


async def test_of_equal_requests_at_once_one_is_a_run(api: Api) -> None:
    for brand in a_request()["brands"]:  # else those who make the brands wait for each other
        await api.call("PUT", "/v1/brands", json=brand)
    responses = await asyncio.gather(*(api.start() for _ in range(4)))
    assert sorted(response.status_code for response in responses) == [200, 200, 200, 202]
    assert len({response.json()["run_id"] for response in responses}) == 1
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1
    assert len(await events(api, COMPLETION_REQUESTED.name)) == 12


async def test_runs_that_share_new_brands_and_prompts_do_not_wait_in_a_circle(api: Api) -> None:
    names = [{"name": f"brand {n}"} for n in range(30)]
    texts = [f"question {n}" for n in range(30)]
    calls = [
        api.start(
            brands=names[::step], prompts=texts[::step], samples=1, name=f"{n}", temperature=n
        )
        for n, step in enumerate((1, -1, 1))
    ]
    assert [one.status_code for one in await asyncio.gather(*calls)] == [202, 202, 202]


async def test_a_prompt_may_say_who_asks_and_where(api: Api) -> None:
    prompt = {"text": "Which?", "tags": ["b", "a", "b"], "locale": "de-AT", "persona": "a cook"}
    body: dict[str, Any] = {"prompts": [prompt], "models": ["openai/gpt-5"], "samples": 1}
    started = (await api.start(**body, system_prompt="Be brief.", temperature=0.5)).json()
    (call,) = await asked(api, started["run_id"])
    assert [(one.role, one.content) for one in call.messages] == [
        (
            "system",
            "Be brief.\n\nThe person who asks: a cook\n\nAnswer for a reader of the locale de-AT.",
        ),
        ("user", "Which?"),
    ]
    assert (call.temperature, call.stream) == (0.5, False)
    run = (await api.call("GET", started["links"]["run"])).json()
    (shown,) = run["prompts"]
    assert shown == {**prompt, "tags": ["b", "a"], "prompt_id": str(call.origin.item_id)}
    assert (run["system_prompt"], run["temperature"]) == ("Be brief.", 0.5)


async def test_a_run_may_be_streamed(api: Api) -> None:
    started = (await api.start(**SMALL, stream=True)).json()
    assert all(call.stream for call in await asked(api, started["run_id"]))
    assert (await api.call("GET", started["links"]["run"])).json()["stream"] is True


async def test_prompts_are_shared_by_runs(api: Api) -> None:
    first = (await api.start(prompts=["Which app?"])).json()
    again = {"text": "which  APP?", "tags": ["again"]}
    second = (await api.start(prompts=[again, "And which tool?"])).json()
    (one,) = (await api.call("GET", first["links"]["run"])).json()["prompts"]
    same, _ = (await api.call("GET", second["links"]["run"])).json()["prompts"]
    assert same["prompt_id"] == one["prompt_id"]
    assert (one["tags"], same["tags"]) == ([], ["again"])
    found = (await api.call("GET", "/v1/prompts", params={"limit": 1})).json()
    more = (await api.call("GET", "/v1/prompts", params={"cursor": found["next_cursor"]})).json()
    texts = [prompt["text"] for prompt in (*found["items"], *more["items"])]
    assert sorted(texts) == ["And which tool?", "Which app?"]
    assert more["next_cursor"] is None
    other = await api.another_tenant()
    assert (await other.call("GET", "/v1/prompts")).json()["items"] == []


async def test_prompts_of_another_tenant_have_other_ids(api: Api) -> None:
    other = await api.another_tenant()
    ids = set()
    for one in (api, other):
        started = (await one.start(prompts=["Which app?"])).json()
        (prompt,) = (await one.call("GET", started["links"]["run"])).json()["prompts"]
        ids.add(prompt["prompt_id"])
    assert len(ids) == 2


async def test_runs_are_listed_newest_first_page_by_page(api: Api) -> None:
    started = [(await api.start(samples=n + 1)).json()["run_id"] for n in range(5)]
    other = await api.another_tenant()
    await other.start()
    found: list[str] = []
    cursor: str | None = None
    page: dict[str, Any] = {}
    for _ in range(3):
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.call("GET", RUNS, params=params)).json()
        found += [run["run_id"] for run in page["items"]]
        cursor = page["next_cursor"]
    assert found == started[::-1]
    assert cursor is None
    assert page["items"][0]["progress"]["expected"] == 4


async def test_a_cursor_of_one_tenant_shows_nothing_of_it_to_another(api: Api) -> None:
    for n in range(3):
        await api.start(samples=n + 1)
    cursor = (await api.call("GET", RUNS, params={"limit": 1})).json()["next_cursor"]
    other = await api.another_tenant()
    page = (await other.call("GET", RUNS, params={"cursor": cursor})).json()
    assert page == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "tab\tinside"])
async def test_an_unusable_idempotency_key_is_refused(api: Api, key: str) -> None:
    problem(await api.start({"Idempotency-Key": key}), 422, "invalid-request")


async def test_equal_requests_at_once_are_one_run(kit: Kit) -> None:
    api = await Api.over(kit)
    calls = [api.start({"Idempotency-Key": "order-1"}) for _ in range(4)]
    responses: list[httpx2.Response] = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {202}
    assert len({response.content for response in responses}) == 1
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1
