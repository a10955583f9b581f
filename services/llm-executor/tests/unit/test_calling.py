"""Attempts of one call: when it is tried again, and when it is over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
from contracts import telemetry
from llm_executor import calling
from llm_executor.adapters.memory import FixedProviders, ScriptedProvider
from llm_executor.calling import CallPolicy, attempt_call
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Attempted, Call, Reply, Turn
from runtime import metrics

pytestmark = pytest.mark.asyncio
REPLY = Reply("Notion.", "gpt-5-2026", "id-1", "stop", 3, 2, simulated=False)
HOUR = timedelta(hours=1)


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
    kind: str = "server-error", *, retryable: bool = True, retry_after: float | None = None
) -> CallFailed:
    return CallFailed(kind, f"it said {kind}", retryable=retryable, retry_after=retry_after)


def a_call(model: str) -> Call:
    return Call(model, (Turn("user", "Which app?"),), seed=7)


async def attempted(
    provider: ScriptedProvider,
    *,
    model: str = "acme/gpt-5",
    left: timedelta = HOUR,
    attempts: int = 3,
    timeout: float = 120.0,
    call: Callable[[str], Call] = a_call,
) -> Attempted:
    policy = CallPolicy(attempts, timeout, random.Random(1))
    deadline = datetime.now(UTC) + left
    return await attempt_call(FixedProviders({"acme": provider}), model, call, deadline, policy)


async def test_an_answer_at_once(waits: list[float]) -> None:
    provider = ScriptedProvider(REPLY)
    ended = await attempted(provider, model="acme/meta/llama-4")
    assert (ended.reply, ended.attempts, ended.failure_kind) == (REPLY, 1, None)
    assert provider.calls == [a_call("meta/llama-4")]
    assert waits == []
    assert ended.provider_seconds is not None
    assert ended.last_started is not None


async def test_failures_that_pass_are_tried_again(waits: list[float]) -> None:
    provider = ScriptedProvider(failed("rate-limited"), failed("timed-out"), REPLY)
    ended = await attempted(provider)
    assert (ended.reply, ended.attempts) == (REPLY, 3)
    assert len(waits) == 2
    assert len(provider.calls) == 3


async def test_attempts_run_out(waits: list[float]) -> None:
    provider = ScriptedProvider(failed("timed-out"), failed("timed-out"), failed("overloaded"))
    ended = await attempted(provider)
    assert (ended.reply, ended.attempts) == (None, 3)
    assert (ended.failure_kind, ended.failure_message) == ("overloaded", "it said overloaded")
    assert len(waits) == 2


async def test_a_failure_for_good_is_not_tried_again(waits: list[float]) -> None:
    provider = ScriptedProvider(failed("auth", retryable=False), REPLY)
    ended = await attempted(provider)
    assert (ended.failure_kind, ended.attempts) == ("auth", 1)
    assert waits == []


async def test_a_failure_for_good_ends_the_attempts() -> None:
    provider = ScriptedProvider(failed(), failed("unknown-model", retryable=False), REPLY)
    ended = await attempted(provider)
    assert (ended.failure_kind, ended.attempts) == ("unknown-model", 2)


async def test_the_providers_own_wait_is_obeyed(waits: list[float]) -> None:
    provider = ScriptedProvider(failed(retry_after=20), failed(retry_after=0), REPLY)
    assert (await attempted(provider)).reply == REPLY
    first, second = waits
    assert 20 <= first <= 22
    assert second == 0


async def test_waits_are_bounded_and_grow(waits: list[float]) -> None:
    provider = ScriptedProvider(*[failed() for _ in range(9)], REPLY)
    await attempted(provider, attempts=10)
    bounds = [min(30.0, 0.5 * 2.0**attempt) for attempt in range(1, 10)]
    assert all(wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert max(waits[4:]) > 8


async def test_a_deadline_that_has_passed_makes_no_call() -> None:
    provider = ScriptedProvider(REPLY)
    ended = await attempted(provider, left=timedelta(seconds=-1))
    assert (ended.failure_kind, ended.attempts, provider.calls) == ("deadline-passed", 0, [])
    assert (ended.last_started, ended.provider_seconds) == (None, None)


async def test_no_wait_goes_beyond_the_deadline(waits: list[float]) -> None:
    provider = ScriptedProvider(failed("rate-limited", retry_after=60), REPLY)
    ended = await attempted(provider, left=timedelta(seconds=30))
    assert (ended.failure_kind, ended.attempts) == ("rate-limited", 1)
    assert waits == []


async def test_a_deadline_that_passes_between_attempts_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def oversleep(_: float) -> None:
        monkeypatch.setattr(calling, "datetime", _Later)

    monkeypatch.setattr(asyncio, "sleep", oversleep)
    provider = ScriptedProvider(failed("overloaded"), REPLY)
    ended = await attempted(provider)
    assert (ended.failure_kind, ended.attempts) == ("deadline-passed", 1)


class _Later(datetime):
    """The time in two hours."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time() + 2 * HOUR.total_seconds(), tz)


@pytest.mark.parametrize(
    ("left", "timeout", "expected"),
    [(HOUR, 120.0, 120.0), (timedelta(seconds=5), 120.0, 5.0), (timedelta(seconds=5), 2.0, 2.0)],
)
async def test_an_attempt_takes_no_longer_than_its_time_and_the_deadline(
    left: timedelta, timeout: float, expected: float
) -> None:
    provider = _Timed(REPLY)
    await attempted(provider, left=left, timeout=timeout)
    assert provider.timeout == pytest.approx(expected, abs=0.5)


class _Timed(ScriptedProvider):
    """Keeps the time it was given."""

    timeout = 0.0

    async def complete(self, call: Call, timeout: float) -> Reply:
        self.timeout = timeout
        return await super().complete(call, timeout)


async def test_an_unknown_provider_is_a_failure() -> None:
    ended = await attempted(ScriptedProvider(), model="nobody/gpt-5")
    assert (ended.failure_kind, ended.attempts, ended.simulated) == ("unknown-provider", 0, False)


async def test_a_defect_is_no_failure_of_the_call() -> None:
    def broken(_: str) -> Call:
        raise LookupError("a defect of ours")

    with pytest.raises(LookupError, match="ours"):
        await attempted(ScriptedProvider(REPLY), call=broken)


async def test_what_a_simulator_fails_is_simulated_too() -> None:
    provider = ScriptedProvider(failed("auth", retryable=False))
    provider.simulated = True
    assert (await attempted(provider)).simulated


async def test_every_attempt_is_counted_by_its_outcome() -> None:
    def count(outcome: str) -> float:
        labels = {"service": "llm-executor", "provider": "acme", "outcome": outcome}
        return metrics.value(telemetry.PROVIDER_CALLS, **labels)

    before = count("timed-out"), count("answered")
    await attempted(ScriptedProvider(failed("timed-out"), failed("timed-out"), REPLY))
    assert (count("timed-out"), count("answered")) == (before[0] + 2, before[1] + 1)


async def test_tokens_are_counted_as_the_provider_says() -> None:
    def count(direction: str) -> float:
        labels = {"service": "llm-executor", "provider": "acme", "direction": direction}
        return metrics.value(telemetry.TOKENS, **labels)

    before = count("input"), count("output")
    await attempted(ScriptedProvider(REPLY))
    assert (count("input"), count("output")) == (before[0] + 3, before[1] + 2)
