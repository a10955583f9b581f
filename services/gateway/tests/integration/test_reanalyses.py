"""Analysing stored answers anew: other brands, a newer matcher, and no call to a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from contracts.topics import COMPLETION_REQUESTED, REANALYSIS_REQUESTED
from services.gateway.tests.calling_api import RUNS, Api, problem
from services.gateway.tests.feeding import Feed, analyzed, answered, asked, found, owed
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
SMALL: dict[str, Any] = {"prompts": ["Which?"], "models": ["openai/gpt-5"], "samples": 2}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def again(api: Api, run_id: str, **body: Any) -> dict[str, Any]:
    response = await api.call("POST", f"{RUNS}/{run_id}/reanalyses", json=body)
    assert response.status_code == 202, response.text
    return dict(response.json())


async def get(api: Api, run_id: str, part: str, **params: Any) -> dict[str, Any]:
    return dict((await api.call("GET", f"{RUNS}/{run_id}{part}", params=params)).json())


async def analysed(api: Api) -> tuple[str, list[Any], list[str]]:
    """A run that has ended, its calls and its brands."""
    run_id = (await api.start(**SMALL)).json()["run_id"]
    calls = await asked(api, run_id)
    brands = [brand["brand_id"] for brand in (await get(api, run_id, ""))["brands"]]
    events = [analyzed(call, [found(brands[0], 2)]) for call in calls]
    await Feed(api.kit).tell(api.tenant_id, *map(answered, calls), *events)
    return run_id, calls, brands


async def test_other_brands_are_another_revision(api: Api) -> None:
    run_id, calls, brands = await analysed(api)
    requested = len(await owed(api, COMPLETION_REQUESTED))
    accepted = await again(api, run_id, brands=[brands[0], {"name": "Obsidian", "own": True}])
    assert accepted["revision"] == 2
    new = accepted["brands"][1]
    (event,) = await owed(api, REANALYSIS_REQUESTED)
    assert (str(event.run_id), event.revision) == (run_id, 2)
    assert [str(one.brand_id) for one in event.brands] == [brands[0], new["brand_id"]]
    assert len(await owed(api, COMPLETION_REQUESTED)) == requested
    run = await get(api, run_id, "")
    assert (run["revision"], run["brands"]) == (2, accepted["brands"])

    fresh = await get(api, run_id, "/report")
    assert (fresh["analysis"]["analyzed"], fresh["analysis"]["answers"]) == (0, 2)
    assert fresh["groups"] == []
    page = await get(api, run_id, "/answers")
    assert {(item["state"], item["text"]) for item in page["items"]} == {
        ("answered", "It is Notion.")
    }

    findings = [found(new["brand_id"], 3)]
    events = [analyzed(call, findings, revision=2, analyzer_version="test-2") for call in calls]
    await Feed(api.kit).tell(api.tenant_id, *events)
    fresh = await get(api, run_id, "/report")
    assert fresh["analysis"] == {
        "revision": 2,
        "latest_revision": 2,
        "answers": 2,
        "analyzed": 2,
        "analyzer_versions": ["test-2"],
    }
    assert [brand["name"] for brand in fresh["brands"]] == ["Notion", "Obsidian"]
    assert [one["metrics"]["visibility_rate"]["value"] for one in fresh["groups"][0]["brands"]] == [
        0.0,
        1.0,
    ]


async def test_the_revision_before_stays_as_it_was(api: Api) -> None:
    run_id, calls, brands = await analysed(api)
    before = await get(api, run_id, "/report"), await get(api, run_id, "/answers")
    await again(api, run_id, brands=[{"name": "Obsidian"}])
    await Feed(api.kit).tell(api.tenant_id, *(analyzed(call, revision=2) for call in calls))
    report = await get(api, run_id, "/report", revision=1)
    assert report["analysis"] == {**before[0]["analysis"], "latest_revision": 2}
    assert (report["groups"], report["brands"]) == (before[0]["groups"], before[0]["brands"])
    assert await get(api, run_id, "/answers", revision=1) == before[1]
    run = await get(api, run_id, "")
    assert (run["state"], run["progress"]["analyzed"]) == ("completed", 2)
    assert brands[0] in [one["brand_id"] for one in report["brands"]]


async def test_without_brands_the_same_are_looked_for_anew(api: Api) -> None:
    run_id, _, _ = await analysed(api)
    brands = (await get(api, run_id, ""))["brands"]
    assert (await again(api, run_id))["brands"] == brands
    assert (await again(api, run_id, brands=None))["revision"] == 3
    assert [event.revision for event in await owed(api, REANALYSIS_REQUESTED)] == [2, 3]


async def test_at_once_each_has_its_own_number(api: Api) -> None:
    run_id, _, _ = await analysed(api)
    made = await asyncio.gather(*(again(api, run_id) for _ in range(4)))
    assert sorted(one["revision"] for one in made) == [2, 3, 4, 5]
    assert sorted(one.revision for one in await owed(api, REANALYSIS_REQUESTED)) == [2, 3, 4, 5]


async def test_answers_may_arrive_meanwhile(api: Api) -> None:
    run_id = (await api.start(**SMALL)).json()["run_id"]
    calls, feed = await asked(api, run_id), Feed(api.kit)
    await feed.tell(api.tenant_id, answered(calls[0]), analyzed(calls[0]))
    await asyncio.gather(
        again(api, run_id),
        feed.tell(api.tenant_id, answered(calls[1]), analyzed(calls[1], revision=1)),
        feed.tell(api.tenant_id, analyzed(calls[0], revision=2)),
    )
    await feed.tell(api.tenant_id, analyzed(calls[1], revision=2))
    run = await get(api, run_id, "")
    assert (run["state"], run["revision"]) == ("completed", 2)
    for revision in (1, 2):
        report = await get(api, run_id, "/report", revision=revision)
        assert report["analysis"]["analyzed"] == 2


async def test_brands_must_be_told_apart_and_be_mine(api: Api) -> None:
    run_id, _, brands = await analysed(api)
    path = f"{RUNS}/{run_id}/reanalyses"
    twice = {"brands": [brands[0], {"name": "NOTION"}]}
    problem(await api.call("POST", path, json=twice), 422, "invalid-run")
    problem(await api.call("POST", path, json={"brands": [str(uuid4())]}), 404, "not-found")
    problem(await api.call("POST", path, json={"brands": []}), 422, "invalid-request")
    assert (await get(api, run_id, ""))["revision"] == 1
    assert await owed(api, REANALYSIS_REQUESTED) == []


async def test_another_tenants_run_is_not_analysed(api: Api) -> None:
    run_id, calls, brands = await analysed(api)
    other = await api.another_tenant()
    for target in (run_id, str(uuid4())):
        path = f"{RUNS}/{target}/reanalyses"
        problem(await other.call("POST", path, json={}), 404, "not-found")
    assert (await get(api, run_id, ""))["revision"] == 1
    assert await owed(other, REANALYSIS_REQUESTED) == []
    before = await get(api, run_id, "/report")
    await Feed(api.kit).tell(other.tenant_id, analyzed(calls[0], [found(UUID(brands[1]))]))
    assert await get(api, run_id, "/report") == before
