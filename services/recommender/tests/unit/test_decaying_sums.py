"""Sums are what they are by definition, in whatever order and however often events arrive."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.decay import EPOCH, NOTHING, added, moved, weight, worth
from recommender.domain.models import Kind
from recommender.domain.tallies import ENGAGED, Tally, counted
from services.recommender.tests.kits import DAY, NOW

HALF = timedelta(days=14)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2026, 11, 4)).map(
    lambda at: at.replace(tzinfo=NOW.tzinfo)
)
recent = st.integers(0, 60 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
did = st.tuples(st.sampled_from(list(Kind)), recent)


def summed(times: list[datetime]) -> float:
    return list(accumulate([NOTHING, *(weight(at, HALF) for at in times)], added))[-1]


@given(st.lists(recent, max_size=30))
def test_a_sum_is_what_its_events_are_worth_now(times: list[datetime]) -> None:
    direct = sum(0.5 ** ((NOW - at) / HALF) for at in times)
    assert worth(summed(times), NOW, HALF) == pytest.approx(direct, rel=1e-9)


@given(st.lists(moments, max_size=30), st.randoms())
def test_the_order_of_arrival_does_not_matter(times: list[datetime], rng: object) -> None:
    shuffled = sorted(times, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert summed(times) == pytest.approx(summed(shuffled), abs=1e-9)


def test_an_event_counts_one_now_and_half_after_a_half_life() -> None:
    log_sum = summed([NOW])
    assert worth(log_sum, NOW, HALF) == pytest.approx(1)
    assert worth(log_sum, NOW + HALF, HALF) == pytest.approx(0.5)
    assert worth(log_sum, NOW + 200 * 365 * DAY, HALF) == pytest.approx(0, abs=1e-100)


def test_an_empty_sum_is_nothing() -> None:
    assert worth(NOTHING, NOW, HALF) == 0
    assert added(NOTHING, NOTHING) == NOTHING
    assert added(NOTHING, 3.5) == added(3.5, NOTHING) == 3.5


def test_sums_hold_times_far_from_the_epoch() -> None:
    early, late = EPOCH - 50 * 365 * DAY, EPOCH + 180 * 365 * DAY
    assert math.isfinite(summed([early] * 3))
    assert worth(summed([early, late, late]), late, HALF) == pytest.approx(2)


def test_an_event_later_than_now_is_worth_no_more_than_a_float_holds() -> None:
    assert math.isfinite(worth(weight(NOW + 180 * 365 * DAY, HALF), NOW, HALF))


@given(st.lists(moments, min_size=1, max_size=10))
def test_an_event_that_moves_on_ends_where_it_moved_to(times: list[datetime]) -> None:
    log_sum, last = NOTHING, NOTHING
    for at in sorted(times):
        log_sum = added(log_sum, moved(weight(at, HALF), last))
        last = weight(at, HALF)
    assert log_sum == pytest.approx(weight(max(times), HALF), abs=1e-6)


def test_an_event_that_does_not_move_adds_nothing() -> None:
    assert moved(5.0, 5.0) == NOTHING


def tallied(events: list[tuple[Kind, datetime]]) -> Tally:
    """What one person did with one campaign."""
    tally, engaged_at = Tally(), None
    for kind, at in events:
        tally = counted(tally, kind, at, engaged_at, HALF)
        if kind in ENGAGED:
            engaged_at = max(at, engaged_at or at)
    return tally


@given(st.lists(did, max_size=12), st.randoms())
def test_a_tally_does_not_depend_on_the_order(
    events: list[tuple[Kind, datetime]], rng: object
) -> None:
    shuffled = sorted(events, key=lambda _: rng.random())  # type: ignore[attr-defined]
    one, other = tallied(events), tallied(shuffled)
    for name in ("impressions", "clicks", "conversions", "dismissals", "people"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6)


@given(st.lists(did, min_size=1, max_size=12))
def test_one_person_is_one_person(events: list[tuple[Kind, datetime]]) -> None:
    people = worth(tallied(events).people, NOW, HALF)
    engaged = [at for kind, at in events if kind in ENGAGED]
    wanted = 0.5 ** ((NOW - max(engaged)) / HALF) if engaged else 0
    assert people == pytest.approx(wanted, rel=1e-6)
