"""What events do to runs, in whatever order, number and company they come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from contracts.events.base import Event
from contracts.events.completion import CompletionRequested
from gateway.domain.models import AnalyzedAnswer, StoredResponse
from services.gateway.tests.calling_api import Api
from services.gateway.tests.feeding import Feed, analyzed, answered, asked, failed, found
from services.gateway.tests.kits import ENDED, Kit, a_tenant, planned_run

pytestmark = pytest.mark.asyncio
BOTH = ["openai/gpt-5", "simulator/sim-large"]


class Ran:
    """A stored run of one prompt, what events tell of it, and how it is shown."""

    def __init__(self, api: Api, run_id: str, calls: list[CompletionRequested]) -> None:
        self.api, self.feed, self.run_id = api, Feed(api.kit), run_id
        self.calls = sorted(calls, key=lambda call: (call.model, call.origin.sample))

    @classmethod
    async def of(cls, api: Api, *, samples: int = 2, models: list[str] = BOTH) -> Ran:
        body: dict[str, Any] = {
            "prompts": [f"Which app? {uuid4()}"],
            "models": models,
            "samples": samples,
        }
        run_id = (await api.start(**body)).json()["run_id"]
        return cls(api, run_id, await asked(api, run_id))

    async def tell(self, *events: Event, tenant_id: str | None = None) -> None:
        await self.feed.tell(tenant_id or self.api.tenant_id, *events)

    async def shown(self) -> dict[str, Any]:
        path = f"/v1/visibility/runs/{self.run_id}"
        return dict((await self.api.call("GET", path)).json())

    async def counts(self) -> dict[str, int]:
        progress = (await self.shown())["progress"]
        return {state: n for state, n in progress.items() if n and state != "expected"}

    async def report(self) -> dict[str, Any]:
        path = f"/v1/visibility/runs/{self.run_id}/report"
        return dict((await self.api.call("GET", path)).json())

    async def brands(self) -> list[str]:
        return [brand["brand_id"] for brand in (await self.shown())["brands"]]

    async def named(self) -> list[tuple[str | None, float, list[tuple[float, float]]]]:
        """By model: its analysed answers, and of each brand how many name it, and how often."""
        return [
            (
                group["model"],
                group["answers"],
                [
                    (
                        brand["metrics"]["visibility_rate"]["numerator"],
                        brand["metrics"]["share_of_voice_by_mentions"]["numerator"],
                    )
                    for brand in group["brands"]
                ],
            )
            for group in (await self.report())["groups"]
            if group["tag"] is None and group["model"] is not None
        ]


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def test_a_new_run_waits_for_all_its_completions(api: Api) -> None:
    ran = await Ran.of(api)
    assert await ran.counts() == {"waiting": 4}
    shown = await ran.shown()
    assert (shown["state"], shown["simulated"]) == ("running", False)
    report = await ran.report()
    assert (report["failures"], report["groups"]) == ([], [])


async def test_ends_and_analyses_are_counted_by_model(api: Api) -> None:
    ran = await Ran.of(api)
    one, two, three, four = ran.calls
    first, second = await ran.brands()
    await ran.tell(*map(answered, (one, two, three)))
    assert await ran.counts() == {"waiting": 1, "answered": 3}
    await ran.tell(
        analyzed(one, [found(first, 2), found(second, 1)]),
        analyzed(two, [found(first, 3)]),
        analyzed(three, [found(second, 4)]),
    )
    assert await ran.counts() == {"waiting": 1, "analyzed": 3}
    assert await ran.named() == [(BOTH[0], 2, [(2, 5), (1, 1)]), (BOTH[1], 1, [(0, 0), (1, 4)])]
    assert (await ran.shown())["state"] == "running"
    await ran.tell(answered(four), analyzed(four))
    assert (await ran.shown())["state"] == "completed"


async def test_the_last_completion_gives_the_run_its_final_state(api: Api) -> None:
    ran = await Ran.of(api, samples=1)
    first, last = ran.calls
    await ran.tell(answered(first), answered(last), analyzed(first))
    assert (await ran.shown())["finished_at"] is None
    await ran.tell(analyzed(last))
    shown = await ran.shown()
    assert shown["state"] == "completed"
    assert shown["finished_at"] is not None


async def test_a_final_state_keeps_its_time(api: Api) -> None:
    ran = await Ran.of(api, samples=1)
    events = [*map(answered, ran.calls), *map(analyzed, ran.calls)]
    await ran.tell(*events)
    before = await ran.shown(), await ran.report()
    await ran.tell(*events)
    assert (await ran.shown(), await ran.report()) == before


async def test_failures_are_counted_by_kind_and_in_no_denominator(api: Api) -> None:
    ran = await Ran.of(api)
    one, two, three, four = ran.calls
    first, _ = await ran.brands()
    await ran.tell(
        failed(one, "timed-out"),
        answered(two),
        failed(three),
        failed(four),
        analyzed(two, [found(first)]),
    )
    assert await ran.counts() == {"analyzed": 1, "failed": 3}
    report = await ran.report()
    assert report["failures"] == [
        {
            "model": model,
            "outcome": "failed",
            "kind": kind,
            "count": count,
            "example": f"it said {kind}",
        }
        for model, kind, count in ((BOTH[0], "timed-out", 1), (BOTH[1], "auth", 2))
    ]
    rates = [
        brand["metrics"]["visibility_rate"]["denominator"]
        for group in report["groups"]
        for brand in group["brands"]
    ]
    assert rates
    assert set(rates) == {1}
    assert report["state"] == "completed_with_errors"


async def test_a_run_of_failures_has_failed(api: Api) -> None:
    ran = await Ran.of(api)
    await ran.tell(*map(failed, ran.calls))
    assert (await ran.shown())["state"] == "failed"


async def test_an_analysis_may_come_before_the_end(api: Api) -> None:
    ran = await Ran.of(api, samples=1)
    await ran.tell(*map(analyzed, ran.calls))
    early = await ran.report()
    assert await ran.counts() == {"analyzed": 2}
    one, two = ran.calls
    await ran.tell(answered(one))
    assert early["state"] == (await ran.report())["state"] == "running"
    await ran.tell(answered(two))
    late = await ran.report()
    assert (late["state"], late["progress"]) == ("completed", early["progress"])
    assert late["groups"] == early["groups"]
    assert Decimal(late["cost"]["usd"]) > 0  # final is what it will stay
    answers = await api.call("GET", f"/v1/visibility/runs/{ran.run_id}/answers")
    assert [item["text"] for item in answers.json()["items"]] == ["It is Notion."] * 2


@pytest.mark.parametrize("by_analysis", [True, False])
async def test_one_simulated_answer_marks_the_run(api: Api, by_analysis: bool) -> None:
    ran = await Ran.of(api)
    one, two, *_ = ran.calls
    await ran.tell(answered(one), analyzed(one))
    assert not (await ran.shown())["simulated"]
    marked = analyzed(two, simulated=True) if by_analysis else answered(two, simulated=True)
    await ran.tell(marked)
    assert (await ran.shown())["simulated"]
    await ran.tell(answered(two), analyzed(two))
    assert (await ran.shown())["simulated"]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_with_repetitions_gives_the_same_report(api: Api, seed: int) -> None:
    ran = await Ran.of(api, samples=3)
    first, second = await ran.brands()
    ends: list[Event] = [
        failed(call, "timed-out") if at == 4 else answered(call, simulated=at == 2)
        for at, call in enumerate(ran.calls)
    ]
    answers: list[Event] = [
        analyzed(call, [found(first, at), found(second, 1)], simulated=at == 2)
        for at, call in enumerate(ran.calls)
        if at != 4
    ]
    rng = random.Random(seed)
    events = [*ends, *answers, *rng.sample(ends + answers, 4)]
    rng.shuffle(events)
    while events:
        size = rng.randint(1, 4)
        await ran.tell(*events[:size])
        events = events[size:]
    assert await ran.counts() == {"analyzed": 5, "failed": 1}
    shown = await ran.shown()
    assert (shown["state"], shown["simulated"]) == ("completed_with_errors", True)
    assert await ran.named() == [(BOTH[0], 3, [(2, 3), (3, 3)]), (BOTH[1], 2, [(2, 8), (2, 2)])]


async def test_an_event_twice_in_a_batch_counts_once(api: Api) -> None:
    ran = await Ran.of(api, samples=1)
    first, _ = ran.calls
    event, answer = answered(first), analyzed(first, [found((await ran.brands())[0], 2)])
    await ran.tell(event, event, answer, answer)
    assert await ran.counts() == {"waiting": 1, "analyzed": 1}
    assert await ran.named() == [(BOTH[0], 1, [(1, 2), (0, 0)])]


async def test_another_analysis_takes_the_place_of_the_first(api: Api) -> None:
    ran = await Ran.of(api, samples=1)
    call, _ = ran.calls
    first, second = await ran.brands()
    await ran.tell(analyzed(call, [found(first, 2), found(second)]))
    await ran.tell(analyzed(call, [found(first, 5)]))
    assert await ran.named() == [(BOTH[0], 1, [(1, 5), (0, 0)])]
    await ran.tell(analyzed(call, [found(first)]), analyzed(call, [found(second, 7)]))
    assert await ran.named() == [(BOTH[0], 1, [(0, 0), (1, 7)])]


async def everything(ran: Ran) -> Any:
    path = f"/v1/visibility/runs/{ran.run_id}"
    answers = (await ran.api.call("GET", f"{path}/answers")).json()
    moved = await ran.api.kit.runs.moved(UUID(ran.run_id), 0, 100)
    return await ran.shown(), await ran.report(), answers, moved


async def test_events_of_another_tenant_change_nothing(api: Api) -> None:
    ran, tenant_id = await Ran.of(api), await a_tenant(api.kit.keys)
    before = await everything(ran)
    brands = [found(brand) for brand in await ran.brands()]
    await ran.tell(*map(answered, ran.calls), tenant_id=tenant_id)
    await ran.tell(*(analyzed(call, brands) for call in ran.calls), tenant_id=tenant_id)
    assert await everything(ran) == before


async def test_events_that_name_another_run_change_neither(api: Api) -> None:
    ran, other = await Ran.of(api), await Ran.of(await api.another_tenant())
    before = await everything(ran), await everything(other)
    call = ran.calls[0].model_copy(
        update={"origin": ran.calls[0].origin.model_copy(update={"parent_id": UUID(other.run_id)})}
    )
    await other.tell(answered(call), analyzed(call))
    assert (await everything(ran), await everything(other)) == before


async def test_events_of_unknown_runs_are_left_alone(api: Api) -> None:
    ran = await Ran.of(api)
    before = await everything(ran)
    call = ran.calls[0].model_copy(
        update={"origin": ran.calls[0].origin.model_copy(update={"parent_id": uuid4()})}
    )
    await ran.tell(answered(call), analyzed(call))
    assert await everything(ran) == before


async def test_an_answer_is_remembered_per_tenant_and_key(kit: Kit) -> None:
    mine, theirs = await a_tenant(kit.keys), await a_tenant(kit.keys)
    response = StoredResponse("hash", 202, '{"run_id": "…"}')
    async with kit.store.transaction() as transaction:
        repository = kit.bind(transaction)
        assert await repository.remembered(mine, "key") is None
        await repository.remember(mine, "key", response)
    async with kit.store.transaction() as transaction:
        repository = kit.bind(transaction)
        assert await repository.remembered(mine, "key") == response
        assert await repository.remembered(mine, "other") is None
        assert await repository.remembered(theirs, "key") is None


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_transactions_at_once_one_closes_the_run(api: Api, first: int) -> None:
    ran = await Ran.of(api, samples=1)
    await ran.tell(*map(answered, ran.calls))
    both, looked = asyncio.Barrier(2), asyncio.Event()
    run_id = UUID(ran.run_id)

    async def end(index: int) -> None:
        now = ENDED + timedelta(seconds=index)
        answer = AnalyzedAnswer(
            api.tenant_id,
            run_id,
            ran.calls[index].completion_id,
            (),
            simulated=False,
            analyzed_at=now,
        )
        async with api.kit.store.transaction() as transaction:
            repository = api.kit.bind(transaction)
            await repository.note_analyzed([answer])
            await both.wait()  # neither sees what the other has just written
            if index != first:
                await looked.wait()
            await repository.settle({run_id: "{}"}, now)
            looked.set()
            await asyncio.sleep(0.05)  # the second looks before the first has committed

    await asyncio.gather(end(0), end(1))
    shown = await ran.shown()
    assert shown["state"] == "completed"
    last = ENDED + timedelta(seconds=1 - first)
    assert shown["finished_at"] == last.isoformat().replace("+00:00", "Z")


async def test_replicas_do_not_wait_for_each_other_in_a_circle(api: Api) -> None:
    one, two = await Ran.of(api, samples=20), await Ran.of(api, samples=20)
    rng, calls = random.Random(1), [*one.calls, *two.calls]

    async def replica(told: Callable[[CompletionRequested], Event]) -> None:
        for _ in range(5):
            await one.tell(*map(told, rng.sample(calls, len(calls))))

    await asyncio.gather(*(replica(told) for told in (answered, analyzed, answered, analyzed)))
    for ran in (one, two):
        assert await ran.counts() == {"analyzed": 40}
        assert (await ran.shown())["state"] == "completed"


async def test_a_key_in_use_makes_its_second_user_wait(kit: Kit) -> None:
    tenant_id = await a_tenant(kit.keys)
    held, response = asyncio.Event(), StoredResponse("hash", 202, "{}")

    async def first() -> None:
        async with kit.store.transaction() as transaction:
            repository = kit.bind(transaction)
            assert await repository.remembered(tenant_id, "key") is None
            held.set()
            await asyncio.sleep(0.1)
            await repository.remember(tenant_id, "key", response)

    async def second() -> StoredResponse | None:
        await held.wait()
        async with kit.store.transaction() as transaction:
            return await kit.bind(transaction).remembered(tenant_id, "key")

    _, found_ = await asyncio.gather(first(), second())
    assert found_ == response


async def test_a_failed_transaction_leaves_no_run(kit: Kit) -> None:
    run = planned_run(await a_tenant(kit.keys))

    async def fail_after_adding() -> None:
        async with kit.store.transaction() as transaction:
            await kit.bind(transaction).add_run(run, [])
            raise RuntimeError("something fails later")

    with pytest.raises(RuntimeError, match="later"):
        await fail_after_adding()
    assert await kit.runs.status(run.tenant_id, run.run_id) is None
