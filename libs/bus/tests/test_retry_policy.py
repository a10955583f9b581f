"""What becomes of a record whose processing failed."""

from __future__ import annotations

import random

import pytest
from bus.errors import LogUnavailable, Permanent, Poison, RecordTooLarge, Transient, Unavailable
from bus.retry import Action, RetryPolicy
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Poison("bad-json", "x"), "bad-json"),
        (Permanent("x"), "permanent"),
        (RecordTooLarge("x"), "permanent"),
    ],
)
@pytest.mark.parametrize("spent", [0, 4])
def test_what_cannot_succeed_is_rejected_at_once(error: Exception, reason: str, spent: int) -> None:
    verdict = RetryPolicy(attempts=5).verdict(error, spent)
    assert (verdict.action, verdict.reason) == (Action.REJECT, reason)


@pytest.mark.parametrize("error", [Unavailable("x"), LogUnavailable("x")])
@pytest.mark.parametrize("spent", [0, 4, 1000])
def test_an_outage_spends_no_attempt(error: Exception, spent: int) -> None:
    assert RetryPolicy(attempts=5).verdict(error, spent).action is Action.WAIT


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Transient("x"), "attempts-exhausted"), (KeyError("x"), "unexpected")],
)
def test_attempts_run_out(error: Exception, reason: str) -> None:
    policy = RetryPolicy(attempts=3)
    actions = [policy.verdict(error, spent).action for spent in range(3)]
    assert actions == [Action.RETRY, Action.RETRY, Action.REJECT]
    assert policy.verdict(error, 2).reason == reason


def test_one_attempt_means_no_second() -> None:
    assert RetryPolicy(attempts=1).verdict(Transient("x"), 0).action is Action.REJECT


@given(spent=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_the_delay_doubles_up_to_its_cap(spent: int, seed: int) -> None:
    policy = RetryPolicy(attempts=20_000, base=0.1, cap=10.0, rng=random.Random(seed))
    assert (
        0 <= policy.verdict(Transient("x"), spent).delay <= min(10.0, 0.1 * 2.0 ** min(spent, 30))
    )


def test_the_delay_is_jittered_over_the_whole_range() -> None:
    policy = RetryPolicy(base=1.0, cap=1.0, rng=random.Random(1))
    delays = [policy.verdict(Transient("x"), 0).delay for _ in range(200)]
    assert min(delays) < 0.1
    assert max(delays) > 0.9


@pytest.mark.parametrize("error_type", [Transient, Unavailable])
def test_the_other_side_may_say_when(error_type: type[Transient]) -> None:
    assert RetryPolicy().verdict(error_type("x", retry_after=42.0), 0).delay == 42.0
