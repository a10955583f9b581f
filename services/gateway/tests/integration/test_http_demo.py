"""What anyone can see and ask without a key, and how little that is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
from devkit.embedded import EmbeddedRedis
from gateway.adapters.redis import RedisRateLimiter
from gateway.api import create_app
from gateway.domain.access import Tier
from gateway.domain.limits import Demo, Limits, RatePolicy
from gateway.domain.ports import RateLimiter
from services.gateway.tests.accounts import NOBODY, holder
from services.gateway.tests.calling_api import RUNS, Api, ports_of, problem
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
DEMO = "/demo/visibility/runs"
MODELS = ("simulator/large", "simulator/small")


def a_request(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "brands": [{"name": "Notion"}, {"name": "Roam Research", "aliases": ["Roam"]}],
        "prompts": [f"Which app? {uuid4()}"],
        "samples": 3,
    }
    return body | changes


async def visiting(kit: Kit, demo: Demo, limiter: RateLimiter | None = None) -> Api:
    anonymous = RatePolicy("anonymous", 1, 3600, strict=True)  # of no concern to visitors
    limits = Limits(demo=demo, anonymous=anonymous)
    ports = replace(ports_of(kit, limiter), limits=limits)
    if demo.tenant_id is not None:
        await kit.users.ensure_tenant(demo.tenant_id, Tier.FREE)
    api = await Api.over(kit, ports)
    return api if demo.tenant_id is None else replace(api, tenant_id=demo.tenant_id)


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    """Calls of a visitor; its tenant is a new demo tenant."""
    made = await visiting(kit, Demo(f"demo-{uuid4()}", MODELS, Decimal("0.02")))
    yield made
    await made.http.aclose()


async def started(api: Api, **changes: Any) -> dict[str, Any]:
    response = await api.http.post(DEMO, json=a_request(**changes))
    assert response.status_code == 202, response.text
    return dict(response.json())


async def finish(api: Api, run_id: str) -> None:
    await api.kit.pool.execute(
        "UPDATE runs SET state = 'completed', finished_at = now() WHERE run_id = $1", UUID(run_id)
    )


async def test_a_visitor_starts_a_small_run_and_follows_it(api: Api) -> None:
    response = await api.http.post(DEMO, json=a_request())
    accepted = response.json()
    assert response.status_code == 202
    base = f"{DEMO}/{accepted['run_id']}"
    assert accepted["links"] == {"run": base, "report": f"{base}/report"}
    assert response.headers["location"] == base
    assert accepted["expected_completions"] == 3
    run = (await api.http.get(base)).json()
    assert (run["state"], run["models"]) == ("running", ["simulator/large"])
    assert run["cost"]["budget_usd"] == "0.02"
    report = await api.http.get(f"{base}/report")
    assert report.status_code == 200
    assert report.json()["run_id"] == accepted["run_id"]
    owed = await api.kit.owed(api.tenant_id)
    assert sum(row.topic == "completion.requested.v1" for row in owed) == 3


async def test_finished_runs_are_listed_newest_first(api: Api) -> None:
    runs = [(await started(api))["run_id"] for _ in range(3)]
    for run_id in runs[:2]:
        await finish(api, run_id)
    listed = (await api.http.get(DEMO)).json()
    assert [item["run_id"] for item in listed["items"]] == [runs[1], runs[0]]
    assert listed["models"] == list(MODELS)


async def test_the_same_input_is_asked_once(api: Api) -> None:
    body = a_request()
    first = await api.http.post(DEMO, json=body)
    again = await api.http.post(DEMO, json=body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["run_id"] == first.json()["run_id"]
    assert again.json()["deduplicated"] is True
    assert again.headers["location"] == first.headers["location"]


async def test_the_largest_small_run_is_accepted(api: Api) -> None:
    brands = [{"name": f"brand {n}"} for n in range(3)]
    accepted = await started(
        api, brands=brands, prompts=["x" * 300, "y"], models=list(MODELS), samples=3
    )
    assert accepted["expected_completions"] == 12


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"brands": [{"name": f"brand {n}"} for n in range(4)]}, "invalid-request"),
        ({"brands": []}, "invalid-request"),
        ({"brands": None}, "invalid-request"),
        ({"brands": [str(NOBODY)]}, "invalid-request"),
        ({"brands": [{"name": "A", "domains": ["a.example"]}]}, "invalid-request"),
        ({"prompts": ["one", "two", "three"]}, "invalid-request"),
        ({"prompts": ["x" * 301]}, "invalid-request"),
        ({"samples": 13}, "invalid-request"),
        ({"budget_usd": "100"}, "invalid-request"),
        ({"system_prompt": "obey"}, "invalid-request"),
        ({"prompts": ["one", "two"], "samples": 7}, "invalid-run"),
        ({"models": list(MODELS), "samples": 7}, "invalid-run"),
        ({"brands": [{"name": "A"}, {"name": "a"}]}, "invalid-run"),
    ],
)
async def test_a_larger_run_is_refused(api: Api, changes: dict[str, Any], code: str) -> None:
    problem(await api.http.post(DEMO, json=a_request(**changes)), 422, code)
    assert await api.kit.owed(api.tenant_id) == []


@pytest.mark.parametrize("models", [["openai/gpt-5"], [MODELS[0], "openai/gpt-5"]])
async def test_other_models_are_not_asked(api: Api, models: list[str]) -> None:
    body = problem(await api.http.post(DEMO, json=a_request(models=models)), 403, "forbidden")
    assert "openai/gpt-5" in body["title"]
    assert MODELS[1] in body["hint"]


async def test_without_models_nothing_is_asked(kit: Kit) -> None:
    api = await visiting(kit, Demo(f"demo-{uuid4()}"))
    body = problem(await api.http.post(DEMO, json=a_request()), 403, "forbidden")
    assert "DEMO_MODELS" in body["hint"]
    assert (await api.http.get(DEMO)).status_code == 200
    await api.http.aclose()


async def test_without_a_tenant_there_is_no_demo(kit: Kit) -> None:
    api = await visiting(kit, Demo(models=MODELS))
    for response in (
        await api.http.get(DEMO),
        await api.http.get(f"{DEMO}/{NOBODY}"),
        await api.http.post(DEMO, json=a_request()),
    ):
        assert "DEMO_TENANT" in problem(response, 403, "forbidden")["hint"]
    await api.http.aclose()


async def test_other_tenants_runs_are_not_there(api: Api) -> None:
    other = await api.another_tenant()
    mine = await other.start()
    assert mine.status_code == 202, mine.text
    run_id = mine.json()["run_id"]
    await finish(other, run_id)
    for path in (f"{DEMO}/{run_id}", f"{DEMO}/{run_id}/report", f"{DEMO}/{NOBODY}"):
        problem(await api.http.get(path), 404, "not-found")
    assert (await api.http.get(DEMO)).json()["items"] == []


async def test_a_visitor_reaches_nothing_else(api: Api) -> None:
    run_id = (await started(api))["run_id"]
    for method, path in (
        ("GET", f"{RUNS}/{run_id}"),
        ("POST", f"{RUNS}/{run_id}/cancel"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/usage"),
    ):
        problem(await api.http.request(method, path), 401, "unauthorized")
    for method, path in (("POST", f"{DEMO}/{run_id}/cancel"), ("GET", f"{DEMO}/{run_id}/answers")):
        problem(await api.http.request(method, path), 404, "http")
    problem(await api.http.delete(f"{DEMO}/{run_id}"), 405, "http")


async def test_imported_answers_are_not_for_everyone(api: Api) -> None:
    run_id = (await started(api))["run_id"]
    await finish(api, run_id)
    await api.kit.pool.execute("UPDATE runs SET kind = 'imported' WHERE run_id = $1", UUID(run_id))
    for path in (f"{DEMO}/{run_id}", f"{DEMO}/{run_id}/report"):
        problem(await api.http.get(path), 404, "not-found")
    assert (await api.http.get(DEMO)).json()["items"] == []


def strict(runs: int = 100) -> Demo:
    return Demo(
        f"demo-{uuid4()}",
        MODELS,
        requests=RatePolicy("demo", 3, 3600, strict=True),
        runs=RatePolicy("demo-runs", runs, 3600, strict=True),
    )


async def from_address(api: Api, peer: str, method: str = "GET", **given: Any) -> httpx2.Response:
    app = api.http._transport.app  # type: ignore[attr-defined]
    transport = httpx2.ASGITransport(app=app, client=(peer, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.request(method, DEMO, **given)


@pytest.mark.parametrize("redis_up", [True, False])
async def test_an_address_has_few_requests(
    kit: Kit, redis: EmbeddedRedis, tmp_path: Path, redis_up: bool
) -> None:
    url = redis.url if redis_up else f"unix://{tmp_path / 'nobody.sock'}"
    api = await visiting(kit, strict(), RedisRateLimiter(url))
    forged = {"X-Forwarded-For": "198.51.100.1"}
    answers = [await from_address(api, "203.0.113.1", headers=forged) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    problem(answers[-1], 429, "rate-limited")
    assert answers[-1].headers["ratelimit-policy"] == '"demo";q=3;w=3600'
    assert answers[-1].headers["retry-after"]
    assert (await from_address(api, "203.0.113.2")).status_code == 200
    mine = {"Authorization": f"Bearer {(await holder(api)).secret}"}  # is of no use here
    assert (await from_address(api, "203.0.113.1", headers=mine)).status_code == 429
    await api.http.aclose()


async def test_all_visitors_together_have_few_runs(kit: Kit, redis: EmbeddedRedis) -> None:
    api = await visiting(kit, strict(runs=2), RedisRateLimiter(redis.url))
    answers = [
        await from_address(api, f"203.0.113.{n}", "POST", json=a_request()) for n in range(3)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["ratelimit-policy"] == '"demo-runs";q=2;w=3600'
    assert (await from_address(api, "203.0.113.9")).status_code == 200
    await api.http.aclose()


async def test_the_example_is_accepted_and_no_key_is_asked_for(api: Api) -> None:
    document = create_app(ports_of(api.kit)).openapi()
    (example,) = document["components"]["schemas"]["DemoRunRequest"]["examples"]
    assert (await api.http.post(DEMO, json=example)).status_code == 202
    for path in (DEMO, f"{DEMO}/{{run_id}}", f"{DEMO}/{{run_id}}/report"):
        for operation in document["paths"][path].values():
            assert "security" not in operation
            assert {"403", "429"} <= operation["responses"].keys()
