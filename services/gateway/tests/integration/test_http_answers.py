"""The single answers of a run: what was found in them, failures in their place, filters, pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from contracts.events.visibility import AnswerCaptured, Citation, Mention
from gateway.domain.readings import AnswerFilter
from services.gateway.tests.calling_api import RUNS, Api, problem
from services.gateway.tests.feeding import (
    Feed,
    a_capture,
    analyzed,
    answered,
    asked,
    delivered,
    failed,
    found,
    record_of,
)
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


class Told:
    """A run of two prompts by two models, two samples each, that has been told of."""

    def __init__(self, api: Api, started: dict[str, Any], calls: list[Any]) -> None:
        self.api, self.path = api, started["links"]["answers"]
        self.run_id, self.calls = started["run_id"], calls

    @classmethod
    async def of(cls, api: Api) -> Told:
        started = (await api.start(samples=2)).json()
        made = cls(api, started, await asked(api, started["run_id"]))
        first, second = [UUID(brand) for brand in await made.brands()]
        one, two, three, four, five, six, *_ = made.calls
        await Feed(api.kit).tell(
            api.tenant_id,
            *map(answered, (one, two, three, four)),
            failed(five, "timed-out"),
            failed(six, "budget", outcome="not_run"),
            analyzed(one, [found(first, recommended=True), found(second, cited=True, rank=2)]),
            analyzed(two, [found(first, denied=True)]),
            analyzed(three, [found(second, 0, link_only=True)]),
        )
        return made

    async def brands(self) -> list[str]:
        run = (await self.api.call("GET", f"{RUNS}/{self.run_id}")).json()
        return [brand["brand_id"] for brand in run["brands"]]

    async def get(self, **params: Any) -> dict[str, Any]:
        response = await self.api.call("GET", self.path, params=params)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def places(self, **params: Any) -> list[int]:
        """Which calls the answers are to, by their order in the run."""
        ids = [str(call.completion_id) for call in self.calls]
        items = (await self.get(**params))["items"]
        return sorted(ids.index(item["completion_id"]) for item in items)


async def test_an_answer_is_shown_with_what_was_found_in_it(api: Api) -> None:
    started = (await api.start(samples=1, models=["openai/gpt-5"], prompts=["Which?"])).json()
    (call,) = await asked(api, started["run_id"])
    brand = uuid4()
    mention = Mention(
        brand_id=brand, start=0, end=6, text="Not\x00on", rule="whole-word", alias="N"
    )
    citation = Citation(url="https://a.example/\x00", domain="a.example", owner="third-party")
    finding = found(brand, rank=1, list_rank=2, sentiment=-0.25, position_adjusted_words=0.125)
    event = analyzed(call, [finding], mentions=(mention,), citations=(citation,))
    await Feed(api.kit).tell(api.tenant_id, answered(call, "It is\x00 Notion."), event)
    (item,) = (await api.call("GET", started["links"]["answers"])).json()["items"]
    assert item["text"] == "It is\ufffd Notion."
    assert item["findings"] == [finding.model_dump(mode="json")]
    assert (item["mentions"][0]["text"], item["mentions"][0]["end"]) == ("Not\ufffdon", 6)
    assert item["citations"][0]["url"] == "https://a.example/\ufffd"
    assert (item["state"], item["analyzer_version"], item["surface"]) == (
        "analyzed",
        "test-1",
        "api",
    )
    assert (item["prompt"], item["model"], item["sample"]) == ("Which?", "openai/gpt-5", 0)
    assert (item["cost_usd"], item["failure"]) == ("0.00125", None)


async def test_a_failure_is_shown_with_its_cause(api: Api) -> None:
    told = await Told.of(api)
    (item,) = (await told.get(state="failed"))["items"]
    assert item["failure"] == {"kind": "timed-out", "message": "it said timed-out"}
    assert (item["text"], item["findings"], item["analyzer_version"]) == (None, [], None)


async def test_answers_are_filtered(api: Api) -> None:
    told = await Told.of(api)
    first, second = await told.brands()
    assert await told.places() == list(range(8))
    assert await told.places(state="analyzed") == [0, 1, 2]
    assert await told.places(state="answered") == [3]
    assert await told.places(state="failed") == [4]
    assert await told.places(state="not_run") == [5]
    assert await told.places(state="waiting") == [6, 7]
    assert await told.places(brand_id=first) == [0, 1]
    assert await told.places(brand_id=second) == [0, 2]
    assert await told.places(brand_id=second, outcome="named") == [0]
    assert await told.places(brand_id=second, outcome="link-only") == [2]
    assert await told.places(outcome="recommended") == [0]
    assert await told.places(outcome="denied") == [1]
    assert await told.places(outcome="cited") == [0]
    assert await told.places(outcome="cited", brand_id=first) == []
    assert await told.places(brand_id=str(uuid4())) == []
    model = told.calls[0].model
    assert await told.places(model=model) == [
        n for n, call in enumerate(told.calls) if call.model == model
    ]
    prompt_id = told.calls[0].origin.item_id
    assert await told.places(prompt_id=str(prompt_id), model=model) == [0, 1]
    assert await told.places(surface="app") == []
    assert await told.places(surface="api", model="nobody/nothing") == []


async def test_answers_come_page_by_page(api: Api) -> None:
    told, found_, params = await Told.of(api), [], {"limit": "3"}
    page: dict[str, Any] = {}
    for size in (3, 3, 2):
        page = await told.get(**params)
        assert len(page["items"]) == size
        found_ += [item["completion_id"] for item in page["items"]]
        params["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    assert found_ == sorted(str(call.completion_id) for call in told.calls)


async def test_ids_at_both_ends_are_shown_once(api: Api) -> None:
    low, high = a_capture(answer_id=UUID(int=0)), a_capture(answer_id=UUID(int=(1 << 128) - 1))
    middle, feed = a_capture(), Feed(api.kit)

    async def tell(capture: AnswerCaptured) -> None:
        await feed.apply([delivered(record_of(api.tenant_id, capture))])

    for capture in (high, low, middle):
        await tell(capture)
    (run,) = (await api.call("GET", RUNS)).json()["items"]
    params, seen = {"limit": "1"}, []
    page: dict[str, Any] = {}
    for _ in range(3):
        page = (await api.call("GET", f"{RUNS}/{run['run_id']}/answers", params=params)).json()
        seen += [item["completion_id"] for item in page["items"]]
        params["cursor"] = page["next_cursor"]
    assert seen == [str(capture.answer_id) for capture in (low, middle, high)]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["YWJj", "x", "WyJhIl0"])
async def test_a_wrong_cursor_is_refused(api: Api, cursor: str) -> None:
    told = await Told.of(api)
    problem(await api.call("GET", told.path, params={"cursor": cursor}), 422, "invalid-cursor")


async def test_a_revision_that_is_not_there_is_not_shown(api: Api) -> None:
    told = await Told.of(api)
    refused = await api.call("GET", told.path, params={"revision": 2})
    assert "the latest is 1" in problem(refused, 404, "not-found")["hint"]
    assert (await told.get(revision=1))["revision"] == 1


@pytest.mark.parametrize(
    "params",
    [
        {"state": "lost"},
        {"outcome": "x"},
        {"limit": 0},
        {"limit": 501},
        {"revision": 0},
        {"revision": 2**31},
        {"brand_id": "x"},
        {"model": "a\x00"},
    ],
)
async def test_a_wrong_filter_is_refused(api: Api, params: dict[str, Any]) -> None:
    path = (await api.start()).json()["links"]["answers"]
    problem(await api.call("GET", path, params=params), 422, "invalid-request")


async def test_the_reader_itself_shows_answers_to_their_tenant_only(api: Api) -> None:
    told, other = await Told.of(api), await api.another_tenant()
    wanted, run_id = AnswerFilter(revision=1, limit=10), UUID(told.run_id)
    assert len(await api.kit.runs.answers(api.tenant_id, run_id, wanted)) == 8
    assert await api.kit.runs.answers(other.tenant_id, run_id, wanted) == []


async def test_another_tenants_cursor_shows_its_answers_to_nobody(api: Api) -> None:
    told, other = await Told.of(api), await api.another_tenant()
    cursor = (await told.get(limit=1))["next_cursor"]
    problem(await other.call("GET", told.path, params={"cursor": cursor}), 404, "not-found")
    theirs = await Told.of(other)
    mine = {item["completion_id"] for item in (await told.get())["items"]}
    seen = {item["completion_id"] for item in (await theirs.get(cursor=cursor))["items"]}
    assert not mine & seen
