"""Runs, reports and keys over HTTP, on each backend."""

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
from contracts.events.completion import Budget, CompletionBatchCancelled, CompletionRequested
from contracts.events.visibility import VisibilityRunStarted
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_REQUESTED,
    VISIBILITY_RUN_STARTED,
)
from gateway.domain.models import AnalyzedAnswer, FinishedCompletion
from services.gateway.tests.calling_api import RUNS, Api, a_request, assert_marked, problem
from services.gateway.tests.kits import ENDED, Kit, PostgresKit

pytestmark = pytest.mark.asyncio


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
    assert run["prompts"] == a_request()["prompts"]
    assert run["brands"] == ["Notion", "光珈琲"]


async def test_a_report_counts_answers_beside_their_denominator(api: Api) -> None:
    started = (await api.start(prompts=["Which?"], models=["openai/gpt-5"], samples=2)).json()
    await end(api, started["run_id"])
    report = (await api.call("GET", started["links"]["report"])).json()
    assert (report["state"], report["simulated"]) == ("completed_with_errors", True)
    first, second = report["brands"]
    assert (first["name"], first["answers"], first["named_in"], first["mentions"]) == (
        "Notion",
        1,
        1,
        3,
    )
    assert (second["answers"], second["named_in"], second["mentions"]) == (1, 0, 0)
    assert first["models"] == [
        {"model": "openai/gpt-5", "answers": 1, "named_in": 1, "mentions": 3}
    ]
    assert report["failures"] == [
        {
            "model": "openai/gpt-5",
            "outcome": "failed",
            "kind": "auth",
            "count": 1,
            "example": "no key",
        }
    ]
    assert report["cost"] == {"usd": "0.00125", "unpriced_calls": 1, "budget_usd": None}


async def end(api: Api, run_id: str) -> None:
    """One answer that names the first brand three times, and one failure."""
    (row,) = await events(api, VISIBILITY_RUN_STARTED.name)
    brand = VisibilityRunStarted.model_validate_json(row.payload).brands[0].brand_id
    one, two = [UUID(row.key) for row in await events(api, COMPLETION_REQUESTED.name)]
    tenant_id, run = api.tenant_id, UUID(run_id)
    async with api.kit.store.transaction() as transaction:
        repository = api.kit.bind(transaction)
        await repository.note_finished(
            [
                FinishedCompletion(
                    tenant_id, run, one, None, None, simulated=True, cost_usd=Decimal("0.00125")
                ),
                FinishedCompletion(
                    tenant_id, run, two, "auth", "no key", simulated=False, cost_known=False
                ),
            ]
        )
        await repository.note_analyzed(
            [AnalyzedAnswer(tenant_id, run, one, ((brand, 3),), simulated=True)]
        )
        await repository.close_runs([run], ENDED)


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
    started = (await api.start(prompts=["Which?"], models=["openai/gpt-5"], samples=2)).json()
    await api.call("POST", f"{started['links']['run']}/cancel")
    ids = [UUID(row.key) for row in await events(api, COMPLETION_REQUESTED.name)]
    run = UUID(started["run_id"])
    async with api.kit.store.transaction() as transaction:
        repository = api.kit.bind(transaction)
        await repository.note_finished(
            [
                FinishedCompletion(
                    api.tenant_id, run, one, "cancelled", "it was", simulated=False, not_run=True
                )
                for one in ids
            ]
        )
        await repository.close_runs([run], ENDED)
    report = (await api.call("GET", started["links"]["report"])).json()
    assert (report["state"], report["progress"]["not_run"]) == ("cancelled", 2)
    assert [(item["outcome"], item["count"]) for item in report["failures"]] == [("not_run", 2)]


async def test_cancelling_a_run_that_has_ended_changes_nothing(api: Api) -> None:
    started = (await api.start(prompts=["Which?"], models=["openai/gpt-5"], samples=2)).json()
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
    for path in links.values():
        assert (await api.call("GET", path)).status_code == 200
        problem(await other.call("GET", path), 404, "not-found")


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


async def test_without_an_idempotency_key_a_repeated_body_is_another_run(api: Api) -> None:
    first, second = await api.start(), await api.start()
    assert first.json()["run_id"] != second.json()["run_id"]
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 2


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "tab\tinside"])
async def test_an_unusable_idempotency_key_is_refused(api: Api, key: str) -> None:
    problem(await api.start({"Idempotency-Key": key}), 422, "invalid-request")


async def test_equal_requests_at_once_are_one_run(postgres_kit: PostgresKit) -> None:
    api = await Api.over(postgres_kit)
    calls = [api.start({"Idempotency-Key": "order-1"}) for _ in range(4)]
    responses: list[httpx2.Response] = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {202}
    assert len({response.content for response in responses}) == 1
    assert len(await events(api, VISIBILITY_RUN_STARTED.name)) == 1


async def test_a_new_key_works_and_is_shown_once(api: Api) -> None:
    made = await api.call("POST", "/v1/keys", json={"name": " nightly "})
    body = made.json()
    assert (made.status_code, body["name"]) == (201, "nightly")
    assert body["secret"].startswith(body["prefix"])
    mine = {"Authorization": f"Bearer {body['secret']}"}
    listed: list[dict[str, Any]] = (await api.call("GET", "/v1/keys", mine)).json()
    assert body["key_id"] in [key["key_id"] for key in listed]
    assert body["secret"] not in str(listed)
    assert {"name", "prefix", "key_id", "created_at", "revoked_at"} == listed[0].keys()


async def test_a_revoked_key_is_refused(api: Api) -> None:
    made = (await api.call("POST", "/v1/keys", json={"name": "nightly"})).json()
    gone = await api.call("DELETE", f"/v1/keys/{made['key_id']}")
    assert gone.status_code == 200
    assert gone.json()["revoked_at"] is not None
    mine = {"Authorization": f"Bearer {made['secret']}"}
    refused = problem(await api.call("GET", "/v1/keys", mine), 401, "unauthorized")
    assert "revoked" in refused["title"]
    assert made["secret"] not in str(refused)


async def test_another_tenants_key_cannot_be_revoked_or_seen(api: Api) -> None:
    made = (await api.call("POST", "/v1/keys", json={"name": "nightly"})).json()
    other, mine = await api.another_tenant(), {"Authorization": f"Bearer {made['secret']}"}
    problem(await other.call("DELETE", f"/v1/keys/{made['key_id']}"), 404, "not-found")
    assert made["key_id"] not in (await other.call("GET", "/v1/keys")).text
    assert (await api.call("GET", "/v1/keys", mine)).status_code == 200
