"""Requests and tokens per minute, and pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.domain.limits import BURST_SECONDS, PAUSE_CAP_SECONDS, Pause, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 1e6  # a machine that is up for days: floats are coarser there

    def __call__(self) -> float:
        return self.now


def test_it_is_full_at_first_and_refills_by_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(600, clock)
    assert bucket.available() == 10 == bucket.capacity
    bucket.take(10)
    assert bucket.seconds_until(5) == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.available() == pytest.approx(5)
    clock.now += 60
    assert bucket.available() == 10


def test_a_slow_one_holds_one() -> None:
    clock = Clock()
    bucket = TokenBucket(1, clock)
    assert bucket.whole() == 1
    bucket.take(1)
    assert bucket.whole() == 0
    assert bucket.seconds_until(1) == pytest.approx(60)


def test_more_than_it_holds_may_be_taken_when_it_is_full_and_is_waited_for_afterwards() -> None:
    clock = Clock()
    bucket = TokenBucket(600, clock)
    assert bucket.seconds_until(1000) == 0
    bucket.take(1000)
    assert bucket.available() == -990
    assert bucket.whole() == 0
    assert bucket.seconds_until(1) == pytest.approx(99.1)
    assert bucket.seconds_until(1000) == pytest.approx(100)


def test_what_was_not_used_comes_back_and_overflows() -> None:
    bucket = TokenBucket(600, Clock())
    bucket.take(8)
    bucket.give_back(5)
    assert bucket.available() == pytest.approx(7)
    bucket.give_back(50)
    assert bucket.available() == 10


@given(st.floats(1, 1e6), st.floats(0, 1e7))
def test_after_the_wait_it_may_be_taken(per_minute: float, n: float) -> None:
    clock = Clock()
    bucket = TokenBucket(per_minute, clock)
    bucket.take(3 * n + 5)
    clock.now += bucket.seconds_until(n)
    assert bucket.seconds_until(n) == 0


TAKES = st.lists(st.tuples(st.floats(0, 1.5), st.floats(0, 20)), max_size=80)


@given(st.integers(1, 6000), TAKES)
def test_no_minute_sees_more_than_the_quota_and_the_burst(
    per_minute: int, takes: list[tuple[float, float]]
) -> None:
    clock = Clock()
    bucket = TokenBucket(per_minute, clock)
    taken: list[tuple[float, float]] = []
    for share, pause in takes:
        n = share * bucket.capacity
        clock.now += pause + bucket.seconds_until(n)
        bucket.take(n)
        taken.append((clock.now, n))
    over = max(0.0, max((n for _, n in taken), default=0) - bucket.capacity)
    bound = per_minute + bucket.capacity + over + 0.1  # one that it cannot hold may go beyond
    for begin, _ in taken:
        assert sum(n for at, n in taken if begin <= at < begin + 60) <= bound


def test_the_burst_is_a_second_of_the_rate() -> None:
    assert TokenBucket(120_000, Clock()).capacity == 2000 * BURST_SECONDS


def test_most_calls_must_be_rejected_for_a_pause() -> None:
    clock = Clock()
    pause = Pause(clock)
    pause.note(rejected=True, recent=1)
    pause.ask(10, floor=0)
    assert pause.left() == 0
    for _ in range(20):
        pause.note(rejected=True, recent=1)
    pause.ask(None, floor=0)
    assert pause.left() == 0
    pause.ask(10, floor=0)
    assert pause.left() == 10
    clock.now += 10
    assert pause.left() == 0


def test_a_pause_is_never_cut_short_and_has_a_cap() -> None:
    pause = Pause(Clock())
    for _ in range(40):
        pause.note(rejected=True, recent=1)
    pause.ask(1e9, floor=0)
    pause.ask(1, floor=0)
    assert pause.left() == PAUSE_CAP_SECONDS


def test_what_is_rejected_whatever_the_load_does_not_pause() -> None:
    pause = Pause(Clock())
    for number in range(300):
        pause.note(rejected=number % 5 < 3, recent=100)
    pause.ask(10, floor=0.6)
    assert pause.left() == 0
    pause.ask(10, floor=0)
    assert pause.left() == 10


def test_old_outcomes_fade() -> None:
    pause = Pause(Clock())
    for rejected in [True] * 100 + [False] * 20:
        pause.note(rejected=rejected, recent=1)
    pause.ask(10, floor=0)
    assert pause.left() == 0
