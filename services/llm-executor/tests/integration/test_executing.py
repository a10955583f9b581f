"""A request's way through the executor: turns, budgets, caches, pieces, cancellations, deaths."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from bus.codec import Delivered
from bus.errors import Unavailable
from bus.local import LocalLog
from contracts import telemetry
from contracts.events.base import Event
from contracts.events.completion import (
    Budget,
    CompletionBatchCancelled,
    CompletionChunked,
    CompletionRequested,
    Message,
    Origin,
)
from contracts.topics import COMPLETION_BATCH_CANCELLED, COMPLETION_CHUNKED
from executor_kit import PARENT, REPLY, Executing, delivered, key_of, open_log, requested
from llm_executor.adapters.memory import MemoryCalls, MemoryCallStore, ScriptedProvider
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import (
    Call,
    Finished,
    Key,
    LaneLimits,
    ModelFacts,
    ModelPrice,
    Reply,
    Room,
    Tokens,
)
from llm_executor.domain.ports import OnText
from runtime import metrics

pytestmark = pytest.mark.asyncio
PRICE = ModelPrice("v1", Decimal("0.001"), Decimal("0.01"))
PRICED = {"acme/gpt-5": ModelFacts(price=PRICE)}


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await open_log(tmp_path)
    yield opened
    await opened.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


class Gated(ScriptedProvider):
    """Answers when it is let; keeps how many calls were under way at once, and their order."""

    def __init__(self, *, is_open: bool = False) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()
        self.asked: list[str] = []
        self.at_once = self.most = 0

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        self.asked.append(call.turns[0].content)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        return REPLY

    async def until(self, calls: int) -> None:
        await until(lambda: len(self.asked) >= calls)


def saying(text: str, tenant: str = "acme-inc", **changes: Any) -> Delivered[Event]:
    return requested(tenant, messages=(Message(role="user", content=text),), **changes)


async def test_one_tenants_thousands_do_not_starve_anothers_question(log: LocalLog) -> None:
    provider = Gated()
    limits = LaneLimits(concurrency=8)
    async with Executing(log, {"acme": provider}, limits=limits) as executing:
        many = [saying("of many", "big") for _ in range(3000)]
        await executing.feed(*many)
        await provider.until(8)
        single = saying("the single one", "small")
        await executing.feed(single)
        provider.gate.set()
        await executing.end_of(single)
        before = sum(executing.is_finished(item) for item in many)
    assert before < 100
    assert provider.most <= 8


async def test_tenants_share_by_their_weights(log: LocalLog) -> None:
    provider = Gated()
    limits = LaneLimits(concurrency=40)
    async with Executing(log, {"acme": provider}, limits=limits) as executing:
        await executing.feed(
            *[saying("heavy", "heavy", weight=3) for _ in range(200)],
            *[saying("light", "light", weight=1) for _ in range(200)],
        )
        await provider.until(40)
        await asyncio.sleep(0.05)
        shares = Counter(provider.asked)
        await executing.stop(1.2)
    assert sum(shares.values()) == 40
    assert 28 <= shares["heavy"] <= 32


async def test_interactive_requests_go_before_batches_and_find_a_place(log: LocalLog) -> None:
    provider = Gated()
    executing = Executing(log, {"acme": provider}, window=32)
    async with executing:
        await executing.feed(*[saying("batch") for _ in range(100)])
        await provider.until(30)
        await asyncio.sleep(0.05)
        assert len(provider.asked) == 30  # two places are kept
        await executing.feed(saying("now", priority="interactive"))
        await provider.until(31)
        assert provider.asked[30] == "now"
        provider.gate.set()
        await executing.feed(saying("batch"), last := saying("now", priority="interactive"))
        await executing.end_of(last)


async def test_a_lane_that_stands_does_not_hold_another(log: LocalLog) -> None:
    stuck, free = Gated(), Gated(is_open=True)
    limits = LaneLimits(concurrency=4)
    async with Executing(log, {"stuck": stuck, "free": free}, limits=limits, window=16) as it:
        await it.feed(*[saying("x", model="stuck/m") for _ in range(50)])
        others = [saying("y", model="free/m") for _ in range(20)]
        await it.feed(*others)
        ends = await it.ends_of(others)
        assert stuck.at_once == 4
        stuck.gate.set()
    assert {end.outcome for end in ends} == {"answered"}


async def test_a_lane_full_of_calls_that_wait_to_be_tried_again_does_not_hold_another(
    log: LocalLog,
) -> None:
    later = [CallFailed("server-error", "later", retry_after=600) for _ in range(400)]
    failing, free = ScriptedProvider(*later), Gated(is_open=True)
    async with Executing(log, {"failing": failing, "free": free}, attempts=2, window=4) as it:
        await it.feed(*[saying("x", model="failing/m") for _ in range(100)])
        await until(lambda: len(failing.calls) == 8)  # twice the window, and no more
        await asyncio.sleep(0.05)
        others = [saying("y", model="free/m") for _ in range(20)]
        await it.feed(*others)
        ends = await it.ends_of(others)
    assert {end.outcome for end in ends} == {"answered"}
    assert len(failing.calls) == 8


async def test_a_missing_key_of_one_provider_leaves_the_others_alone(log: LocalLog) -> None:
    broken = ScriptedProvider(*[CallFailed("auth", "set ACME_API_KEY") for _ in range(20)])
    free = Gated(is_open=True)
    items = [saying("x", model=f"{name}/m") for name in ("broken", "free") for _ in range(20)]
    async with Executing(log, {"broken": broken, "free": free}) as executing:
        await executing.feed(*items)
        ends = await executing.ends_of(items)
    outcomes = Counter((end.model, end.outcome) for end in ends)
    assert outcomes == {("broken/m", "failed"): 20, ("free/m", "answered"): 20}


def cancellation(tenant: str = "acme-inc") -> Delivered[Event]:
    event = CompletionBatchCancelled.model_validate(
        {"parent_id": PARENT, "cancelled_at": "2026-11-03T00:00:00Z"}
    )
    return delivered(COMPLETION_BATCH_CANCELLED, event, tenant)


async def test_a_cancelled_run_makes_no_further_calls(log: LocalLog) -> None:
    provider = Gated()
    limits = LaneLimits(concurrency=2)
    async with Executing(log, {"acme": provider}, limits=limits) as executing:
        items = [saying("x") for _ in range(50)]
        await executing.feed(*items)
        await provider.until(2)
        await executing.feed(cancellation())
        await until(lambda: sum(executing.is_finished(item) for item in items) == 48)
        provider.gate.set()
        late = saying("late")  # a request of the run that comes after its cancellation
        await executing.feed(late)
        ends = await executing.ends_of([*items, late])
    outcomes = Counter((end.outcome, end.failure and end.failure.kind) for end in ends)
    # The two that were being made end as they would; nobody pays for an answer to lose it.
    assert outcomes == {("answered", None): 2, ("not_run", "cancelled"): 49}
    assert len(provider.asked) == 2


async def test_a_cancellation_ends_the_wait_for_another_attempt(log: LocalLog) -> None:
    provider = ScriptedProvider(CallFailed("rate-limited", "busy", retry_after=600))
    async with Executing(log, {"acme": provider}, attempts=5) as executing:
        item = saying("x")
        await executing.feed(item)
        await until(lambda: bool(provider.calls))
        await executing.feed(cancellation())
        end = await executing.end_of(item)
    assert end.failure is not None
    assert (end.failure.kind, end.attempts, end.outcome) == ("cancelled", 1, "failed")


async def test_another_tenants_cancellation_cancels_nothing(log: LocalLog) -> None:
    async with Executing(log, {"acme": Gated(is_open=True)}) as executing:
        item = saying("x")
        await executing.feed(cancellation("someone-else"), item)
        assert (await executing.end_of(item)).outcome == "answered"


def budget(limit: str) -> dict[str, Any]:
    return {
        "budget": Budget(budget_id=PARENT, limit_usd=Decimal(limit)),
        "max_output_tokens": 2,
    }


async def test_a_budget_that_runs_out_leaves_the_rest_not_run(log: LocalLog) -> None:
    provider = Gated(is_open=True)
    async with Executing(log, {"acme": provider}, facts=PRICED) as executing:
        items = [saying("x", **budget("0.1")) for _ in range(20)]
        await executing.feed(*items)
        ends = await executing.ends_of(items)
    kinds = Counter(end.failure and end.failure.kind for end in ends)
    spent = sum((end.cost.usd or Decimal(0) for end in ends if end.cost), Decimal(0))
    # A call costs 0.023 and may cost 0.028: four fit into 0.1, whatever the order.
    assert kinds in ({None: 3, "budget": 17}, {None: 4, "budget": 16})
    assert spent <= Decimal("0.1")
    assert len(provider.asked) == kinds[None]
    refused = [end for end in ends if end.failure]
    assert {(end.outcome, end.attempts, end.cost) for end in refused} == {("not_run", 0, None)}
    assert "0.1 USD" in refused[0].failure.message  # type: ignore[union-attr]


async def test_calls_that_fit_one_after_another_wait_for_each_other(log: LocalLog) -> None:
    """Of 0.05 only one call of at most 0.028 can be begun; it costs 0.023, so a second fits."""
    provider = Gated(is_open=True)
    async with Executing(log, {"acme": provider}, facts=PRICED) as executing:
        items = [saying("x", **budget("0.0515")) for _ in range(5)]
        await executing.feed(*items)
        ends = await executing.ends_of(items)
    assert Counter(end.outcome for end in ends) == {"answered": 2, "not_run": 3}
    assert provider.most == 1


async def test_a_budget_without_a_price_is_refused_before_the_call(log: LocalLog) -> None:
    provider = Gated(is_open=True)
    async with Executing(log, {"acme": provider}) as executing:
        item = saying("x", **budget("5"))
        await executing.feed(item)
        end = await executing.end_of(item)
    assert end.failure is not None
    assert (end.failure.kind, provider.asked) == ("price-unknown", [])
    assert "acme/gpt-5" in end.failure.message


async def test_without_a_budget_an_unknown_price_is_said_and_no_zero(log: LocalLog) -> None:
    async with Executing(log, {"acme": Gated(is_open=True)}) as executing:
        item = saying("x")
        await executing.feed(item)
        end = await executing.end_of(item)
    assert end.cost is not None
    assert end.cost.usd is None
    assert "acme/gpt-5" in str(end.cost.unknown)


async def test_an_earlier_answer_is_used_if_asked_for(log: LocalLog) -> None:
    provider = Gated(is_open=True)
    async with Executing(log, {"acme": provider}, facts=PRICED) as executing:
        first = saying("same", cache_seconds=60)
        await executing.feed(first)
        await executing.end_of(first)
        again, other, without, foreign = (
            saying("same", cache_seconds=60),
            saying("same", cache_seconds=60, temperature=0.5),
            saying("same"),
            saying("same", "someone-else", cache_seconds=60),
        )
        await executing.feed(again, other, without, foreign)
        cached, *fresh = await executing.ends_of([again, other, without, foreign])
    assert (cached.from_cache, cached.text, cached.attempts) == (True, REPLY.text, 0)
    assert cached.cost is None
    assert [end.from_cache for end in fresh] == [False] * 3
    assert len(provider.asked) == 4


async def test_pieces_are_published_while_an_answer_is_written(log: LocalLog) -> None:
    words = "one two three"
    reply = dataclasses.replace(REPLY, text=words, first_token_seconds=0.25)
    provider = ScriptedProvider(CallFailed("overloaded", "busy", retry_after=0), reply)
    async with Executing(log, {"acme": provider}, attempts=2) as executing:
        item = saying("x", stream=True)
        await executing.feed(item)
        end = await executing.end_of(item)
        chunks = [CompletionChunked.model_validate_json(each) for each in await _chunks(log)]
    assert "".join(chunk.text for chunk in chunks) == words.replace(" ", "")
    assert {(chunk.attempt, chunk.model_called) for chunk in chunks} == {(2, "acme/gpt-5")}
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.completion_id for chunk in chunks} == {key_of(item).completion_id}
    assert end.first_token_ms == 250


async def _chunks(log: LocalLog) -> list[bytes]:
    ends = await log.end_offsets(COMPLETION_CHUNKED.name)
    records = [each for part, end in ends.items() for each in await log.read(part, 0, end)]
    return [record.value for record in records if record.value is not None]


async def test_nothing_is_published_if_nobody_watches(log: LocalLog) -> None:
    async with Executing(log, {"acme": ScriptedProvider(REPLY)}) as executing:
        item = saying("x")
        await executing.feed(item)
        await executing.end_of(item)
        assert await _chunks(log) == []


SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


async def test_an_answer_satisfies_its_schema_or_is_repaired(log: LocalLog) -> None:
    bad, good = (dataclasses.replace(REPLY, text=text) for text in ('{"name": 1}', '{"name": "a"}'))
    provider = ScriptedProvider(bad, good)
    async with Executing(log, {"acme": provider}) as executing:
        item = saying("x", response_schema=SCHEMA)
        await executing.feed(item)
        end = await executing.end_of(item)
    assert (end.outcome, end.text, end.repairs, end.attempts) == ("answered", good.text, 1, 2)
    assert "name" in provider.calls[1].turns[-1].content


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "https://example.com/other.json"}]
)
async def test_a_schema_that_is_none_is_refused_before_the_call(
    schema: dict[str, Any], log: LocalLog
) -> None:
    provider = ScriptedProvider(REPLY)
    async with Executing(log, {"acme": provider}) as executing:
        item = saying("x", response_schema=schema)
        await executing.feed(item)
        end = await executing.end_of(item)
    assert end.failure is not None
    assert (end.failure.kind, provider.calls) == ("bad-request", [])
    assert "response_schema" in end.failure.message


async def test_a_defect_ends_the_completion_and_is_told(log: LocalLog) -> None:
    class Broken(ScriptedProvider):
        async def complete(
            self, call: Call, timeout: float, on_text: OnText | None = None
        ) -> Reply:
            raise LookupError("secret detail")

    async with Executing(log, {"acme": Broken()}) as executing:
        item = saying("x")
        await executing.feed(item)
        end = await executing.end_of(item)
    assert end.failure is not None
    assert end.failure.kind == "internal-error"
    assert "LookupError" in end.failure.message
    assert "secret" not in end.failure.message


async def test_a_stop_puts_back_what_waits_and_lets_calls_end(log: LocalLog) -> None:
    calls, provider = MemoryCalls(), Gated()
    limits = LaneLimits(concurrency=2)
    executing = Executing(log, {"acme": provider}, limits=limits, calls=calls)
    items = [saying("x") for _ in range(6)]
    async with executing:
        await executing.feed(*items)
        await provider.until(2)
        stopping = asyncio.create_task(executing.stop(60))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        provider.gate.set()
        await stopping
    finished = [item for item in items if executing.is_finished(item)]
    assert len(finished) == 2
    waiting = [calls.entries[key_of(item)] for item in items if item not in finished]
    assert {(entry.owner, entry.unknown) for entry in waiting} == {(None, False)}


async def test_a_call_that_a_stop_cuts_is_unknown_to_the_next(log: LocalLog) -> None:
    calls, item = MemoryCalls(), saying("x")
    executing, provider = _stuck(log, calls)
    async with executing:
        await executing.feed(item)
        await provider.until(1)
        await executing.stop(1.1)
    assert calls.entries[key_of(item)].unknown
    before = metrics.value(telemetry.OUTCOME_UNKNOWN, service="llm-executor")
    async with Executing(log, {"acme": ScriptedProvider(REPLY)}, calls=calls) as second:
        end = await second.end_of(item)
    assert (end.outcome, end.outcome_unknown) == ("answered", True)
    assert metrics.value(telemetry.OUTCOME_UNKNOWN, service="llm-executor") == before + 1


async def test_who_asks_not_to_be_called_twice_gets_a_failure(log: LocalLog) -> None:
    calls, item = MemoryCalls(), saying("x", on_unknown="fail")
    executing, provider = _stuck(log, calls)
    async with executing:
        await executing.feed(item)
        await provider.until(1)
        await executing.stop(1.1)
    fresh = ScriptedProvider(REPLY)
    async with Executing(log, {"acme": fresh}, calls=calls) as second:
        end = await second.end_of(item)
    assert end.failure is not None
    assert (end.outcome, end.failure.kind, fresh.calls) == ("failed", "outcome-unknown", [])


def _stuck(log: LocalLog, calls: MemoryCalls) -> tuple[Executing, Gated]:
    provider = Gated()
    return Executing(log, {"acme": provider}, calls=calls), provider


async def test_what_a_dead_process_held_is_taken_over_and_its_late_answer_is_void(
    log: LocalLog,
) -> None:
    calls, item = MemoryCalls(), saying("x")
    dead = MemoryCallStore(calls)
    survivor = Executing(log, {"acme": ScriptedProvider(REPLY)}, calls=calls)
    await survivor.feed(item)
    assert await dead.claim(Room("acme/gpt-5", 5, 5), -1)
    async with survivor:
        end = await survivor.end_of(item)
    assert end.outcome_unknown
    assert await dead.record([Finished(key_of(item), {}, b"{}", "failed")]) == []
    assert survivor.stored(item) == end


async def test_a_process_that_stood_still_does_not_take_back_what_it_runs(log: LocalLog) -> None:
    provider = Gated()
    async with Executing(log, {"acme": provider}, lease_seconds=0.6) as executing:
        item = saying("slowly")
        await executing.feed(item)
        await provider.until(1)
        for _ in range(3):
            time.sleep(1.0)  # noqa: ASYNC251 - nothing of it runs for longer than its lease
            await executing.dispatcher._look()
            await asyncio.sleep(0.3)
        provider.gate.set()
        end = await executing.end_of(item)
    assert provider.asked == ["slowly"]
    assert not end.outcome_unknown


async def test_a_store_that_is_down_loses_no_answer(log: LocalLog) -> None:
    class Failing(MemoryCallStore):
        down = 0

        async def record(self, finished: Any) -> Any:
            self.down += 1
            if self.down < 3:
                raise Unavailable("the store is down", retry_after=0.01)
            return await super().record(finished)

    calls, provider = MemoryCalls(), ScriptedProvider(REPLY)
    executing = Executing(log, {"acme": provider}, calls=calls, store=Failing(calls))
    async with executing:
        item = saying("x")
        await executing.feed(item)
        assert (await executing.end_of(item)).outcome == "answered"
    assert len(provider.calls) == 1


async def test_a_model_to_fall_back_to_is_used_if_the_request_or_the_configuration_says_so(
    log: LocalLog,
) -> None:
    refused = CallFailed("out-of-credit", "pay")
    facts = {"acme/gpt-5": ModelFacts(fallbacks=("other/claude",))}
    first = ScriptedProvider(*[refused] * 4)
    second = ScriptedProvider(*[dataclasses.replace(REPLY, tokens=Tokens(1, 1))] * 2)
    measured = Origin(kind="visibility", parent_id=uuid4(), item_id=uuid4())
    items = [
        saying("configured"),
        saying("named", fallbacks=("other/claude",)),
        saying("refused", fallbacks=()),
        saying("measured", origin=measured),
    ]
    async with Executing(log, {"acme": first, "other": second}, facts=facts) as executing:
        await executing.feed(*items)
        ends = await executing.ends_of(items)
    assert [end.outcome for end in ends] == ["answered", "answered", "failed", "failed"]
    assert [end.model_called for end in ends][:2] == ["other/claude"] * 2
    assert [tried.failure_kind for tried in ends[0].tried] == ["out-of-credit"]


async def test_a_contract_refuses_what_would_spoil_a_measurement() -> None:
    origin = Origin(kind="visibility", parent_id=uuid4(), item_id=uuid4())
    for spoiling in ({"cache_seconds": 5}, {"fallbacks": ("other/claude",)}):
        with pytest.raises(ValueError, match="sample"):
            saying("x", origin=origin, **spoiling)
    second = Origin(kind="question", parent_id=uuid4(), item_id=uuid4(), sample=1)
    with pytest.raises(ValueError, match="sample"):
        saying("x", origin=second, cache_seconds=5)
    assert isinstance(saying("x", cache_seconds=5).event, CompletionRequested)
    assert Key("a", PARENT) != Key("b", PARENT)
