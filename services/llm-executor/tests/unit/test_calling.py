"""Attempts of one call: when it is tried again, at which model, and when it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from contracts import telemetry
from llm_executor.adapters.breaker import PurgatoryBreaker
from llm_executor.adapters.memory import FixedProviders, ScriptedProvider
from llm_executor.calling.caller import Caller, CallPolicy, Plan
from llm_executor.calling.lanes import Lanes
from llm_executor.calling.progress import Interrupted, Progress, Watch
from llm_executor.domain.errors import KINDS, CallFailed
from llm_executor.domain.models import Call, LaneLimits, ModelFacts, ModelPrice, Reply, Tokens, Turn
from llm_executor.domain.ports import Complaint, OnText
from runtime import metrics

pytestmark = pytest.mark.asyncio
REPLY = Reply("Notion.", "gpt-5-2026", "id-1", "stop", Tokens(3, 2), simulated=False)
HOUR = timedelta(hours=1)
MINUTES = timedelta(minutes=5)
PRICE = ModelPrice("v1", Decimal("0.000001"), Decimal("0.00001"), Decimal("0.0000001"))
CALL = Call("?", (Turn("user", "Which app?"),), seed=7)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which pass at once."""
    passed: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        passed.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return passed


def failed(
    kind: str = "server-error", *, retry_after: float | None = None, billed: bool = False
) -> CallFailed:
    return CallFailed(kind, f"it said {kind}", retry_after=retry_after, billed=billed)


class Bench:
    """A real caller with real lanes over scripted providers."""

    def __init__(
        self,
        providers: Mapping[str, ScriptedProvider],
        *,
        facts: Mapping[str, ModelFacts] | None = None,
        attempts: int = 3,
        timeout: float = 120.0,
        limits: LaneLimits | None = None,
    ) -> None:
        configured = FixedProviders(providers, facts, limits)
        self.lanes = Lanes(configured, lambda name: PurgatoryBreaker(name, failures=5))
        policy = CallPolicy(attempts, timeout, random.Random(1))
        self.caller = Caller(configured, self.lanes, policy)
        self.progress = Progress()
        self.watch = Watch()

    async def answer(
        self,
        *models: str,
        left: timedelta = HOUR,
        call: Call = CALL,
        complaint: Complaint | None = None,
        on_text: Callable[[str, int, bool], OnText] | None = None,
    ) -> Reply:
        names = models or ("acme/gpt-5",)
        plan = Plan(names, call, datetime.now(UTC) + left, complaint, on_text)
        seat = self.lanes.of(names[0]).book()
        try:
            return await self.caller.answer(plan, seat, self.progress, self.watch)
        finally:
            counted = [lane.booked + lane.waiting + lane.calling for lane in self.lanes.all()]
            assert not any(counted)  # no seat is left behind, however it ends


async def fails(bench: Bench, *models: str, left: timedelta = HOUR) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await bench.answer(*models, left=left)
    return caught.value


def scripted(*script: Reply | CallFailed, **options: object) -> tuple[ScriptedProvider, Bench]:
    provider = ScriptedProvider(*script)
    return provider, Bench({"acme": provider}, **options)  # type: ignore[arg-type]


async def test_an_answer_at_once(waits: list[float]) -> None:
    provider, bench = scripted(REPLY)
    assert await bench.answer("acme/meta/llama-4") == REPLY
    assert [call.model for call in provider.calls] == ["meta/llama-4"]
    assert provider.calls[0].turns == CALL.turns
    assert waits == []
    assert (bench.progress.attempts, bench.progress.model_called) == (1, "acme/meta/llama-4")
    assert bench.progress.provider_seconds is not None
    assert bench.progress.last_started is not None


async def test_failures_that_pass_are_tried_again(waits: list[float]) -> None:
    provider, bench = scripted(failed("rate-limited"), failed("timed-out"), REPLY)
    assert await bench.answer() == REPLY
    assert (bench.progress.attempts, len(waits), len(provider.calls)) == (3, 2, 3)


async def test_attempts_run_out(waits: list[float]) -> None:
    _, bench = scripted(failed("timed-out"), failed("timed-out"), failed("overloaded"))
    failure = await fails(bench)
    assert (failure.kind, str(failure)) == ("overloaded", "it said overloaded")
    assert (bench.progress.attempts, len(waits)) == (3, 2)


FINAL = sorted(kind for kind, (retryable, _, _) in KINDS.items() if not retryable)


@pytest.mark.parametrize("kind", FINAL)
async def test_a_failure_for_good_is_not_tried_again(kind: str, waits: list[float]) -> None:
    _, bench = scripted(failed(), failed(kind), REPLY)
    assert (await fails(bench)).kind == kind
    assert (bench.progress.attempts, len(waits)) == (2, 1)


async def test_the_providers_own_wait_is_obeyed(waits: list[float]) -> None:
    _, bench = scripted(failed(retry_after=20), failed(retry_after=0), REPLY)
    assert await bench.answer() == REPLY
    first, second = waits
    assert 20 <= first <= 22
    assert second == 0


async def test_waits_are_bounded_and_grow(waits: list[float]) -> None:
    script = [failed("rate-limited") for _ in range(9)]
    _, bench = scripted(*script, REPLY, attempts=10)
    await bench.answer()
    bounds = [min(30.0, 0.5 * 2.0**attempt) for attempt in range(1, 10)]
    assert all(wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert max(waits[4:]) > 8


async def test_a_deadline_that_has_passed_makes_no_call() -> None:
    provider, bench = scripted(REPLY)
    failure = await fails(bench, left=timedelta(seconds=-1))
    assert (failure.kind, bench.progress.attempts, provider.calls) == ("deadline-passed", 0, [])
    assert (bench.progress.last_started, bench.progress.provider_seconds) == (None, None)


async def test_no_wait_goes_beyond_the_deadline(waits: list[float]) -> None:
    _, bench = scripted(failed("rate-limited", retry_after=60), REPLY)
    assert (await fails(bench, left=timedelta(seconds=30))).kind == "rate-limited"
    assert waits == []


async def test_a_seat_is_not_waited_for_beyond_the_deadline() -> None:
    provider, bench = scripted(REPLY, limits=LaneLimits(concurrency=1))
    other = bench.lanes.of("acme/gpt-5").book()
    await other.take(1, or_refuse=False)
    seat = bench.lanes.of("acme/gpt-5").book()
    plan = Plan(("acme/gpt-5",), CALL, datetime.now(UTC) + timedelta(seconds=0.05))
    with pytest.raises(CallFailed) as caught:
        await bench.caller.answer(plan, seat, bench.progress, bench.watch)
    assert (caught.value.kind, provider.calls) == ("deadline-passed", [])
    other.close()


@pytest.mark.parametrize(
    ("left", "timeout", "expected"),
    [(HOUR, 120.0, 120.0), (MINUTES, 1200.0, 300.0), (MINUTES, 120.0, 120.0)],
)
async def test_an_attempt_takes_no_longer_than_its_time_and_the_deadline(
    left: timedelta, timeout: float, expected: float
) -> None:
    given: list[float] = []

    class Timed(ScriptedProvider):
        async def complete(
            self, call: Call, timeout: float, on_text: OnText | None = None
        ) -> Reply:
            given.append(timeout)
            return await super().complete(call, timeout, on_text)

    await Bench({"acme": Timed(REPLY)}, timeout=timeout).answer(left=left)
    (seconds,) = given
    assert expected - 60 < seconds <= expected


async def test_an_unknown_provider_is_a_failure() -> None:
    _, bench = scripted(REPLY)
    assert (await fails(bench, "nobody/gpt-5")).kind == "unknown-provider"
    assert (bench.progress.attempts, bench.progress.simulated) == (0, False)


async def test_a_defect_is_no_failure_of_the_call() -> None:
    class Broken(ScriptedProvider):
        async def complete(
            self, call: Call, timeout: float, on_text: OnText | None = None
        ) -> Reply:
            raise LookupError("a defect of ours")

    with pytest.raises(LookupError, match="ours"):
        await Bench({"acme": Broken()}).answer()


async def test_what_a_simulator_fails_is_simulated_too() -> None:
    provider, bench = scripted(failed("auth"))
    provider.simulated = True
    await fails(bench)
    assert bench.progress.simulated


async def test_another_model_takes_over() -> None:
    first, second = ScriptedProvider(failed("overloaded"), failed()), ScriptedProvider(REPLY)
    bench = Bench({"acme": first, "other": second}, attempts=2)
    assert await bench.answer("acme/gpt-5", "other/claude") == REPLY
    (left,) = bench.progress.given_up
    assert (left.model, left.attempts, left.failure_kind) == ("acme/gpt-5", 2, "server-error")
    assert (bench.progress.attempts, bench.progress.model_called) == (3, "other/claude")


async def test_the_last_model_tells_the_failure() -> None:
    first, second = ScriptedProvider(failed("auth")), ScriptedProvider(failed("out-of-credit"))
    bench = Bench({"acme": first, "other": second})
    assert (await fails(bench, "acme/gpt-5", "other/claude")).kind == "out-of-credit"
    assert [left.failure_kind for left in bench.progress.given_up] == ["auth"]


@pytest.mark.parametrize("kind", ["bad-request", "content-filtered"])
async def test_what_no_model_would_answer_is_not_asked_elsewhere(kind: str) -> None:
    second = ScriptedProvider(REPLY)
    bench = Bench({"acme": ScriptedProvider(failed(kind)), "other": second})
    assert (await fails(bench, "acme/gpt-5", "other/claude")).kind == kind
    assert second.calls == []


async def test_an_open_breaker_sends_on_at_once_and_holds_nobody_without_another_model() -> None:
    script = [failed() for _ in range(5)]
    first, second = ScriptedProvider(*script), ScriptedProvider(REPLY)
    bench = Bench({"acme": first, "other": second}, attempts=5)
    await fails(bench)  # five failures in a row open it
    assert await bench.answer("acme/gpt-5", "other/claude") == REPLY
    assert len(first.calls) == 5
    assert [left.failure_kind for left in bench.progress.given_up] == ["breaker-open"]
    failure = await fails(bench, left=timedelta(seconds=0.05))
    assert (failure.kind, len(first.calls)) == ("deadline-passed", 5)


async def test_a_prompt_that_cannot_fit_costs_nothing() -> None:
    facts = {"acme/gpt-5": ModelFacts(context_tokens=1)}
    provider, bench = scripted(REPLY, facts=facts)
    failure = await fails(bench)
    assert (failure.kind, provider.calls) == ("context-too-long", [])
    assert "at least 2 tokens, acme/gpt-5 takes 1" in str(failure)


def complain_of(*bad: str) -> Complaint:
    return lambda text: "not that" if text in bad else None


async def test_an_answer_that_violates_its_schema_is_asked_for_once_more() -> None:
    bad = Reply("{}", "gpt-5", "id-0", "stop", Tokens(5, 1), simulated=False)
    provider, bench = scripted(bad, REPLY)
    assert await bench.answer(complaint=complain_of("{}")) == REPLY
    said, asked = provider.calls[1].turns[-2:]
    assert (said.role, said.content, asked.role) == ("assistant", "{}", "user")
    assert "not that" in asked.content
    assert (bench.progress.attempts, bench.progress.repairs) == (2, 1)
    assert bench.progress.tokens == Tokens(8, 3)


async def test_there_is_one_round_of_repair() -> None:
    bad = Reply("{}", "gpt-5", "id-0", "stop", Tokens(5, 1), simulated=False)
    provider, bench = scripted(bad, bad, REPLY)
    with pytest.raises(CallFailed) as caught:
        await bench.answer(complaint=complain_of("{}"))
    assert caught.value.kind == "schema-violated"
    assert "not that" in str(caught.value)
    assert len(provider.calls) == 2


async def test_money_and_tokens_are_added_up_over_models_and_attempts() -> None:
    facts = {"acme/gpt-5": ModelFacts(price=PRICE), "other/claude": ModelFacts(price=PRICE)}
    bad = Reply("{}", "gpt-5", "id", "stop", Tokens(100, 10, cached=40), simulated=False)
    first = ScriptedProvider(bad, failed("timed-out", billed=True), bad)
    second = ScriptedProvider(REPLY)
    bench = Bench({"acme": first, "other": second}, facts=facts)
    complaint = complain_of("{}")
    assert await bench.answer("acme/gpt-5", "other/claude", complaint=complaint) == REPLY
    one = Decimal("0.00006") + Decimal("0.000004") + Decimal("0.0001")
    assert bench.progress.cost_usd == 2 * one + Decimal("0.000003") + Decimal("0.00002")
    assert (bench.progress.price_version, bench.progress.complete) == ("v1", False)
    assert bench.progress.tokens == Tokens(203, 22, cached=80)


async def test_what_the_provider_says_it_costs_is_what_it_costs() -> None:
    told = Reply(
        "x", "m", "i", "stop", Tokens(3, 2), simulated=False, cost_usd=Decimal("0.0000001")
    )
    _, bench = scripted(told, facts={"acme/gpt-5": ModelFacts(price=PRICE)})
    await bench.answer()
    assert bench.progress.cost_usd == Decimal("0.0000001")
    assert bench.progress.price_version == "reported-by-provider"


async def test_an_unknown_price_is_said() -> None:
    _, bench = scripted(REPLY)
    await bench.answer()
    assert bench.progress.cost_usd is None
    assert "acme/gpt-5" in str(bench.progress.cost_unknown)
    assert "LIMELIGHT_PROVIDERS_FILE" in str(bench.progress.cost_unknown)


async def test_a_cancelled_completion_makes_no_further_attempt() -> None:
    class Cancelling(ScriptedProvider):
        async def complete(
            self, call: Call, timeout: float, on_text: OnText | None = None
        ) -> Reply:
            bench.watch.cancel()  # while the call is made: it is not cut
            return await super().complete(call, timeout, on_text)

    cancelling = Cancelling(failed(), REPLY)
    bench = Bench({"acme": cancelling})
    with pytest.raises(Interrupted):
        await bench.answer()
    assert len(cancelling.calls) == 1


async def test_pieces_are_handed_on_with_their_attempt() -> None:
    _, bench = scripted(failed(), Reply("a b", "m", "i", "stop", None, simulated=False))
    pieces: list[tuple[str, int, bool, str]] = []

    def watch(model: str, attempt: int, simulated: bool) -> OnText:
        return lambda text: pieces.append((model, attempt, simulated, text))

    await bench.answer(on_text=watch)
    assert pieces == [("acme/gpt-5", 2, False, "a"), ("acme/gpt-5", 2, False, "b")]


async def test_every_attempt_is_counted_by_its_outcome() -> None:
    def count(outcome: str) -> float:
        labels = {"service": "llm-executor", "provider": "acme", "outcome": outcome}
        return metrics.value(telemetry.PROVIDER_CALLS, **labels)

    before = count("timed-out"), count("answered")
    _, bench = scripted(failed("timed-out"), failed("timed-out"), REPLY)
    await bench.answer()
    assert (count("timed-out"), count("answered")) == (before[0] + 2, before[1] + 1)


async def test_tokens_are_counted_as_the_provider_says() -> None:
    def count(direction: str) -> float:
        labels = {"service": "llm-executor", "provider": "acme", "direction": direction}
        return metrics.value(telemetry.TOKENS, **labels)

    before = {name: count(name) for name in ("input", "output", "cached", "reasoning")}
    reply = Reply("x", "m", "i", "stop", Tokens(9, 7, cached=4, reasoning=5), simulated=False)
    _, bench = scripted(reply)
    await bench.answer()
    after = {name: count(name) - before[name] for name in before}
    assert after == {"input": 9, "output": 7, "cached": 4, "reasoning": 5}
