"""Reports over HTTP: groups, denominators, revisions, surfaces, and reports that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from gateway.domain.metrics import METRICS
from gateway.domain.readings import CachedReport, Findings
from services.gateway.tests.calling_api import RUNS, Api, ports_of, problem
from services.gateway.tests.feeding import (
    Feed,
    a_capture,
    analyzed,
    analyzed_capture,
    answered,
    asked,
    delivered,
    failed,
    found,
    record_of,
)
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
TAGGED: dict[str, Any] = {
    "prompts": [
        {"text": "Which?", "tags": ["a", "b"]},
        {"text": "And which?", "tags": ["b"]},
        "Or?",
    ],
    "models": ["openai/gpt-5", "openai/gpt-5-mini"],
    "samples": 1,
}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def report_of(api: Api, run_id: str, **params: Any) -> dict[str, Any]:
    response = await api.call("GET", f"{RUNS}/{run_id}/report", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def brands_of(api: Api, run_id: str) -> list[str]:
    run = (await api.call("GET", f"{RUNS}/{run_id}")).json()
    return [brand["brand_id"] for brand in run["brands"]]


def rate(report: dict[str, Any], metric: str = "visibility_rate", brand: int = 0) -> Any:
    """Numerator and denominator over all answers of the first surface."""
    estimate = report["groups"][0]["brands"][brand]["metrics"][metric]
    return estimate["numerator"], estimate["denominator"]


async def test_a_report_has_groups_by_surface_model_and_tag(api: Api) -> None:
    run_id = (await api.start(**TAGGED)).json()["run_id"]
    calls = await asked(api, run_id)
    first, _ = await brands_of(api, run_id)
    events = [analyzed(call, [found(first)] if n % 2 else []) for n, call in enumerate(calls)]
    await Feed(api.kit).tell(api.tenant_id, *map(answered, calls), *events)
    report = await report_of(api, run_id)
    answers = {(group["model"], group["tag"]): group["answers"] for group in report["groups"]}
    first_model, second_model = TAGGED["models"]
    assert answers == {
        (None, None): 6,
        (first_model, None): 3,
        (second_model, None): 3,
        (None, "a"): 2,
        (None, "b"): 4,
        (first_model, "a"): 1,
        (second_model, "a"): 1,
        (first_model, "b"): 2,
        (second_model, "b"): 2,
    }
    assert len(report["groups"]) == len(answers)
    assert next(iter(answers)) == (None, None)
    assert {group["surface"] for group in report["groups"]} == {"api"}
    assert rate(report) == (3, 6)
    estimate = report["groups"][0]["brands"][0]["metrics"]["visibility_rate"]
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert estimate["method"]
    assert report["groups"][0]["brands"][0]["metrics"].keys() == {
        one.id for one in METRICS if one.id != "informative_rate"
    }


async def test_failed_calls_are_in_no_denominator(api: Api) -> None:
    run_id = (await api.start(**TAGGED)).json()["run_id"]
    one, two, *rest = await asked(api, run_id)
    first, _ = await brands_of(api, run_id)
    await Feed(api.kit).tell(
        api.tenant_id,
        answered(one),
        analyzed(one, [found(first)]),
        failed(two, "budget", outcome="not_run"),
        *(failed(call, "auth") for call in rest),
    )
    report = await report_of(api, run_id)
    assert report["state"] == "completed_with_errors"
    for group in report["groups"]:
        for brand in group["brands"]:
            assert brand["metrics"]["visibility_rate"]["denominator"] == 1
    assert sum(item["count"] for item in report["failures"]) == 5
    assert {(item["outcome"], item["kind"]) for item in report["failures"]} == {
        ("not_run", "budget"),
        ("failed", "auth"),
    }


async def test_a_run_without_an_answer_has_a_report_without_groups(api: Api) -> None:
    run_id = (await api.start(**TAGGED)).json()["run_id"]
    report = await report_of(api, run_id)
    assert (report["groups"], report["analysis"]["analyzed"]) == ([], 0)
    await Feed(api.kit).tell(api.tenant_id, *map(failed, await asked(api, run_id)))
    report = await report_of(api, run_id)
    assert (report["state"], report["groups"]) == ("failed", [])


async def test_surfaces_are_apart_unless_asked_for_together(api: Api) -> None:
    brand = (await api.call("PUT", "/v1/brands", json={"name": "Notion"})).json()["brand_id"]
    captures = [a_capture(surface=surface) for surface in ("app", "import", "app")]
    feed = Feed(api.kit)
    await feed.apply([delivered(record_of(api.tenant_id, one)) for one in captures])
    ((run_id),) = [run["run_id"] for run in (await api.call("GET", RUNS)).json()["items"]]
    await feed.tell(
        api.tenant_id,
        *(
            analyzed_capture(one.model_copy(update={"run_id": UUID(run_id)}), [found(brand)])
            for one in captures
        ),
    )
    apart, pooled = await report_of(api, run_id), await report_of(api, run_id, pool_surfaces=True)
    tops = [(g["surface"], g["answers"]) for g in apart["groups"] if g["model"] is None]
    assert tops == [("app", 2), ("import", 1)]
    tops = [(g["surface"], g["answers"]) for g in pooled["groups"] if g["model"] is None]
    assert tops == [("all", 3)]
    assert apart["kind"] == "imported"
    assert await report_of(api, run_id) == apart


async def ended(api: Api) -> tuple[str, Any, str]:
    """A run of one call that has ended, the call, and the first brand."""
    body: dict[str, Any] = {"prompts": ["Which?"], "models": ["openai/gpt-5"], "samples": 1}
    run_id = (await api.start(**body)).json()["run_id"]
    (call,) = await asked(api, run_id)
    first, _ = await brands_of(api, run_id)
    await Feed(api.kit).tell(api.tenant_id, answered(call), analyzed(call, [found(first)]))
    return run_id, call, first


class Counting:
    """A reader that counts how often a report is made anew."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.made = inner, 0
        self.hold: asyncio.Event | None = None
        self.read = asyncio.Event()

    async def findings(self, *asked: Any) -> Findings | None:
        self.made += 1
        found_: Findings | None = await self.inner.findings(*asked)
        self.read.set()
        if self.hold is not None:
            await self.hold.wait()
        return found_

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def test_a_report_of_an_ended_run_is_made_once(kit: Kit) -> None:
    reader: Any = Counting(kit.runs)
    api = await Api.over(kit, replace(ports_of(kit), runs=reader))
    run_id, call, first = await ended(api)
    one = await report_of(api, run_id)
    assert await report_of(api, run_id) == one
    assert reader.made == 1
    await report_of(api, run_id, pool_surfaces=True)
    assert reader.made == 2
    again = analyzed(call, [found(first, 5)], analyzer_version="test-2")
    await Feed(kit).tell(api.tenant_id, again)
    other = await report_of(api, run_id)
    assert reader.made == 3
    assert rate(one, "share_of_voice_by_mentions") == (1, 1)
    assert rate(other, "share_of_voice_by_mentions") == (5, 5)
    assert other["analysis"]["analyzer_versions"] == ["test-2"]
    await api.http.aclose()


async def test_a_report_of_a_running_run_is_of_now(kit: Kit) -> None:
    reader: Any = Counting(kit.runs)
    api = await Api.over(kit, replace(ports_of(kit), runs=reader))
    run_id = (await api.start()).json()["run_id"]
    assert (await report_of(api, run_id))["progress"]["failed"] == 0
    await Feed(kit).tell(api.tenant_id, failed((await asked(api, run_id))[0]))
    assert (await report_of(api, run_id))["progress"]["failed"] == 1
    await api.http.aclose()


async def test_a_report_that_was_made_late_does_not_stay(kit: Kit) -> None:
    reader: Any = Counting(kit.runs)
    api = await Api.over(kit, replace(ports_of(kit), runs=reader))
    run_id, call, first = await ended(api)
    reader.hold = asyncio.Event()
    slow = asyncio.create_task(report_of(api, run_id))
    await reader.read.wait()
    await Feed(kit).tell(api.tenant_id, analyzed(call, [found(first, 5)]))
    hold, reader.hold = reader.hold, None
    fresh = await report_of(api, run_id)
    hold.set()
    assert rate(await slow, "share_of_voice_by_mentions") == (1, 1)
    assert rate(fresh, "share_of_voice_by_mentions") == (5, 5)
    assert await report_of(api, run_id) == fresh
    await api.http.aclose()


async def test_an_older_report_does_not_replace_a_newer_one(kit: Kit) -> None:
    reader: Any = Counting(kit.runs)
    api = await Api.over(kit, replace(ports_of(kit), runs=reader))
    run_id, _, _ = await ended(api)
    fresh = await report_of(api, run_id)
    await kit.runs.cache_report(UUID(run_id), 1, "apart", CachedReport(0, b"old"))
    assert await report_of(api, run_id) == fresh
    assert reader.made == 1
    await api.http.aclose()


async def test_another_tenants_event_voids_no_report(kit: Kit) -> None:
    reader: Any = Counting(kit.runs)
    api = await Api.over(kit, replace(ports_of(kit), runs=reader))
    run_id, call, first = await ended(api)
    one, other = await report_of(api, run_id), await api.another_tenant()
    await Feed(kit).tell(other.tenant_id, analyzed(call, [found(first, 9)]), failed(call))
    assert await report_of(api, run_id) == one
    assert reader.made == 1
    await api.http.aclose()


async def test_a_kept_report_is_shown_to_its_tenant_only(api: Api) -> None:
    (run_id, *_), other = await ended(api), await api.another_tenant()
    await report_of(api, run_id)
    problem(await other.call("GET", f"{RUNS}/{run_id}/report"), 404, "not-found")


@pytest.mark.parametrize("revision", [0, "x", 2**31])
async def test_a_wrong_revision_is_refused(api: Api, revision: object) -> None:
    run_id, *_ = await ended(api)
    path = f"{RUNS}/{run_id}/report?revision={revision}"
    problem(await api.call("GET", path), 422, "invalid-request")
    problem(await api.call("GET", f"{RUNS}/{run_id}/report?revision=2"), 404, "not-found")
