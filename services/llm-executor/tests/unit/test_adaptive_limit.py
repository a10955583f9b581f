"""How many calls at once: simulated providers, in virtual time, that always have work to do."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.domain.limits import AdaptiveLimit

Accepts = Callable[[float, random.Random], bool]
SERVICE_SECONDS = 0.2
AT_ONCE = 0.005  # seconds until a rejection, a round trip
MOST = 512


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Seen:
    """Answers, rejections and seconds times limit since the warm-up."""

    seconds: float
    answered: int = 0
    rejected: int = 0
    area: float = 0.0

    @property
    def mean_limit(self) -> float:
        return self.area / self.seconds

    @property
    def goodput(self) -> float:
        return self.answered / self.seconds

    @property
    def share(self) -> float:
        return self.rejected / (self.answered + self.rejected)


class Saturated:
    """As many calls as the limit allows, all the time; ``rejects_in`` None: as late as answers."""

    def __init__(
        self,
        accepts: Accepts,
        *,
        most: int = MOST,
        start: int | None = None,
        rejects_in: float | None = None,
        demand: int = MOST,
        seed: int = 1,
    ) -> None:
        self.clock = Clock()
        self.limit = AdaptiveLimit(most, start, self.clock)
        self.accepts = accepts
        self.demand = demand
        self._rejects_in = rejects_in
        self._rng = random.Random(seed)
        self._calls: list[tuple[float, int, int, bool]] = []
        self._number = 0
        self.accepted = 0  # of the calls at once

    def run(self, seconds: float) -> Seen:
        seen = Seen(seconds)
        until = self.clock.now + seconds
        while self.clock.now < until:
            while self.limit.calling < min(self.limit.limit, self.demand):
                self._begin()
            end, _, cohort, accepted = heapq.heappop(self._calls)
            seen.area += self.limit.limit * (end - self.clock.now)
            self.accepted -= accepted
            seen.answered += accepted
            seen.rejected += not accepted
            self.clock.now = end
            self.limit.ended(cohort, rejected=not accepted)
        return seen

    def seconds_to(self, reached: Callable[[int], bool], within: float) -> float:
        """Virtual seconds until the limit is as wanted."""
        began = self.clock.now
        while not reached(self.limit.limit):
            assert self.clock.now - began < within, f"still {self.limit.limit}"
            self.run(0.1)
        return self.clock.now - began

    def _begin(self) -> None:
        accepted = self.accepts(self.clock.now, self._rng)
        seconds = SERVICE_SECONDS * self._rng.uniform(0.75, 1.25)
        if not accepted and self._rejects_in is not None:
            seconds = self._rejects_in
        self._number += 1
        self.accepted += accepted
        call = (self.clock.now + seconds, self._number, self.limit.started(), accepted)
        heapq.heappush(self._calls, call)


def at_random(share: float) -> Accepts:
    return lambda _, rng: rng.random() >= share


def per_second(quota: float) -> Accepts:
    """A bucket that holds a tenth of a second."""
    level, at = quota / 10, 0.0

    def accepts(now: float, _: random.Random) -> bool:
        nonlocal level, at
        level, at = min(quota / 10, level + (now - at) * quota), now
        level -= (accepted := level >= 1)
        return accepted

    return accepts


def per_calendar_second(quota: int) -> Accepts:
    """So many in each second of the clock, then none until it ends."""
    second, taken = -1, 0

    def accepts(now: float, _: random.Random) -> bool:
        nonlocal second, taken
        if int(now) != second:
            second, taken = int(now), 0
        taken += 1
        return taken <= quota

    return accepts


def everything(_: float, __: random.Random) -> bool:
    return True


def nothing(_: float, __: random.Random) -> bool:
    return False


@pytest.mark.parametrize("rejects_in", [None, AT_ONCE])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("most", [8, 64, MOST])
def test_random_rejections_do_not_lower_the_limit(
    most: int, share: float, rejects_in: float | None
) -> None:
    calls = Saturated(at_random(share), most=most, rejects_in=rejects_in)
    assert calls.run(60).mean_limit >= 0.9 * most


@pytest.mark.parametrize("rejects_in", [None, 0.05])
@pytest.mark.parametrize("quota", [50, 100, 400])
@pytest.mark.parametrize("kind", [per_second, per_calendar_second])
def test_a_quota_per_second_is_used_and_kept(
    kind: Callable[[int], Accepts], quota: int, rejects_in: float | None
) -> None:
    calls = Saturated(kind(quota), rejects_in=rejects_in)
    calls.run(30)
    seen = calls.run(120)
    assert seen.goodput >= 0.85 * quota
    assert seen.share < 0.15


def test_a_quota_of_a_thousand_is_used_though_rejections_come_at_once() -> None:
    calls = Saturated(per_second(1000), rejects_in=AT_ONCE)
    calls.run(30)
    seen = calls.run(60)
    assert seen.goodput >= 850
    assert seen.share < 0.15


@pytest.mark.parametrize("rejects_in", [None, AT_ONCE])
@pytest.mark.parametrize("quota", [30, 200])
def test_a_quota_of_calls_at_once_is_used_and_kept(quota: int, rejects_in: float | None) -> None:
    calls = Saturated(everything, rejects_in=rejects_in)

    def accepts(_: float, __: random.Random) -> bool:
        return calls.accepted < quota

    calls.accepts = accepts
    calls.run(20)
    seen = calls.run(100)
    assert seen.goodput >= 0.85 * quota / SERVICE_SECONDS
    assert seen.share < 0.15


def test_random_rejections_on_top_of_a_quota_are_told_from_it() -> None:
    quota = per_second(100)
    calls = Saturated(lambda now, rng: rng.random() >= 0.2 and quota(now, rng))
    calls.run(30)
    seen = calls.run(120)
    assert seen.goodput >= 85
    assert seen.share < 0.35


def test_a_lifted_quota_is_found() -> None:
    calls = Saturated(per_second(100))
    calls.run(60)
    assert calls.limit.limit < 40
    calls.accepts = everything
    calls.seconds_to(lambda limit: limit == MOST, within=90)


def test_a_lowered_quota_is_found() -> None:
    calls = Saturated(per_second(400))
    calls.run(60)
    calls.accepts = per_second(50)
    calls.run(30)
    seen = calls.run(60)
    assert seen.goodput >= 0.85 * 50
    assert seen.share < 0.15


def test_a_provider_that_rejects_everything_is_asked_by_one_call_until_it_is_back() -> None:
    calls = Saturated(nothing)
    calls.seconds_to(lambda limit: limit == 1, within=60)
    assert calls.run(60).mean_limit == pytest.approx(1, abs=0.01)
    calls.accepts = everything
    calls.seconds_to(lambda limit: limit == MOST, within=60)


def test_rejections_that_stop_are_forgotten() -> None:
    calls = Saturated(at_random(0.4), most=64)
    calls.run(30)
    assert calls.limit.floor > 0.3
    calls.accepts = everything
    calls.run(60)
    assert calls.limit.floor < 0.05


def test_a_low_start_is_left_by_doubling() -> None:
    calls = Saturated(everything, start=16)
    assert calls.limit.limit == 16
    calls.seconds_to(lambda limit: limit == MOST, within=15)


def test_a_limit_that_is_not_in_use_is_lowered_below_what_is() -> None:
    calls = Saturated(nothing, demand=10)
    calls.seconds_to(lambda limit: limit != MOST, within=10)
    assert calls.limit.limit < 10


def test_a_limit_that_is_not_in_use_does_not_grow() -> None:
    calls = Saturated(everything, start=40, demand=10)
    calls.run(30)
    assert calls.limit.limit == 40


def test_calls_that_began_before_a_change_do_not_judge_it() -> None:
    clock = Clock()
    limit = AdaptiveLimit(100, clock=clock)
    first = [limit.started() for _ in range(100)]
    clock.now = 3
    second = [limit.started() for _ in range(200)]
    for cohort in first:
        limit.ended(cohort, rejected=True)
    lowered = limit.limit
    assert 1 < lowered < 100
    clock.now = 6
    for cohort in second:
        limit.ended(cohort, rejected=True)
    assert limit.limit == lowered
    third = [limit.started() for _ in range(30)]
    clock.now = 9
    for cohort in third:
        limit.ended(cohort, rejected=True)
    assert limit.limit < lowered


def test_calls_that_tell_nothing_are_left_out() -> None:
    clock = Clock()
    limit = AdaptiveLimit(20, clock=clock)
    told = [limit.started() for _ in range(20)]
    for _ in range(200):
        limit.dropped(limit.started())
    clock.now = 3
    for cohort in told:
        limit.ended(cohort, rejected=True)
    assert limit.limit < 20  # dropped ones neither dilute the share nor fill the cohort
    assert limit.calling == 0


STEPS = st.lists(st.sampled_from(["begin", "answer", "reject", "drop", "second"]), max_size=300)


@given(st.integers(1, 40), st.none() | st.integers(-5, 100), STEPS, st.integers(1, 60))
def test_any_sequence_of_ends_keeps_the_limit_between_one_and_the_most(
    most: int, start: int | None, steps: list[str], burst: int
) -> None:
    clock = Clock()
    limit = AdaptiveLimit(most, start, clock)
    open_calls: list[int] = []
    for step in steps:
        if step == "begin":
            open_calls += [limit.started() for _ in range(burst)]
        elif step == "second":
            clock.now += 1
        elif step == "drop" and open_calls:
            limit.dropped(open_calls.pop(0))
        else:
            for cohort in open_calls[:burst]:
                limit.ended(cohort, rejected=step == "reject")
            del open_calls[:burst]
        assert 1 <= limit.limit <= most
        assert 0 <= limit.floor <= 1
        assert limit.calling == len(open_calls)


def test_a_most_below_one_is_one() -> None:
    assert AdaptiveLimit(0).limit == 1
