"""Who may be shown which campaign, and until when not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.eligibility import Barrier, Why, barrier, capped_until, closed, wanted
from recommender.domain.models import Campaign, Facts, FrequencyCap, Intent
from recommender.domain.policy import Policy
from services.recommender.tests.kits import DAY, NOW, affinity, campaign

POLICY = Policy()
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
PLAIN = campaign()


def of(
    shown: Campaign = PLAIN,
    facts: Facts | None = None,
    intents: frozenset[str] = frozenset(),
    now: datetime = NOW,
) -> Barrier | None:
    return barrier(shown, "ada", intents, facts, now, POLICY)


def test_nothing_stands_between_a_user_and_a_plain_campaign() -> None:
    assert of() is None
    assert of(facts=Facts((NOW,), clicked_at=NOW)) is None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"deleted": True}, Barrier(Why.DELETED)),
        ({"budget_active": False}, Barrier(Why.BUDGET)),
        ({"ends_at": NOW}, Barrier(Why.ENDED)),
        ({"ends_at": NOW + TICK}, None),
        ({"starts_at": NOW + DAY}, Barrier(Why.NOT_STARTED, NOW + DAY)),
        ({"starts_at": NOW}, None),
        ({"starts_at": NOW + DAY, "ends_at": NOW - DAY}, Barrier(Why.ENDED)),
        ({"excluded_users": frozenset({"ada"})}, Barrier(Why.EXCLUDED_USER)),
        ({"excluded_users": frozenset({"ben"})}, None),
    ],
)
def test_what_a_campaign_says_is_obeyed(change: dict[str, object], found: Barrier | None) -> None:
    assert of(replace(PLAIN, **change)) == found  # type: ignore[arg-type]


def test_what_keeps_a_campaign_from_everybody_knows_no_user() -> None:
    assert closed(replace(PLAIN, excluded_users=frozenset({"ada"})), NOW) is None
    assert closed(replace(PLAIN, deleted=True), NOW) == Barrier(Why.DELETED)


@pytest.mark.parametrize(("score", "kept"), [(0.35, True), (0.34, False), (-1.0, False)])
def test_who_wants_an_excluded_intent_is_not_shown_it(score: float, kept: bool) -> None:
    says = affinity(intents=[Intent("cancel", score), Intent("pricing", 0.9)])
    shown = replace(PLAIN, excluded_intents=frozenset({"cancel", "other"}))
    found = of(shown, intents=wanted(says, POLICY))
    assert found == (Barrier(Why.EXCLUDED_INTENT) if kept else None)
    assert wanted(None, POLICY) == frozenset()


def test_what_is_bought_is_not_shown_again() -> None:
    assert of(facts=Facts(converted_at=NOW - 900 * DAY)) == Barrier(Why.CONVERTED)


@pytest.mark.parametrize(("days", "stays"), [(0, False), (29, False), (30, True), (31, True)])
def test_what_was_dismissed_comes_back_after_thirty_days(days: int, stays: bool) -> None:
    found = of(facts=Facts(dismissed_at=NOW - days * DAY))
    assert found == (None if stays else Barrier(Why.DISMISSED, NOW + (30 - days) * DAY))


def capped(impressions: int, hours: float, *ago: float) -> Barrier | None:
    cap = FrequencyCap(impressions, timedelta(hours=hours))
    shown = tuple(NOW - one * HOUR for one in ago)
    return of(replace(PLAIN, cap=cap), Facts(shown))


def test_a_cap_is_full_and_lapses() -> None:
    assert capped(2, 24, 3, 1) == Barrier(Why.CAPPED, NOW + 21 * HOUR)
    assert capped(2, 24, 1, 3) == Barrier(Why.CAPPED, NOW + 21 * HOUR)
    assert capped(2, 24, 30, 3, 1) == Barrier(Why.CAPPED, NOW + 21 * HOUR)
    assert capped(1, 24, 30, 3, 1) == Barrier(Why.CAPPED, NOW + 23 * HOUR)
    assert capped(2, 24, 24, 1) is None
    assert capped(2, 24, 1) is None
    assert capped(2, 0.5, 3, 1) is None


def test_a_cap_without_impressions_is_no_barrier() -> None:
    assert of(replace(PLAIN, cap=FrequencyCap(1, DAY))) is None


def test_a_cap_above_what_is_kept_counts_as_what_is_kept() -> None:
    shown = tuple(NOW - n * TICK for n in range(3))
    assert capped_until(FrequencyCap(10_000, DAY), shown, kept=3) == NOW - 2 * TICK + DAY
    assert capped_until(FrequencyCap(10_000, DAY), shown[:2], kept=3) is None


@given(
    st.integers(1, 6),
    st.integers(1, 72),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_a_cap_lapses_at_the_first_moment_with_room(
    impressions: int, hours: int, ago: list[int]
) -> None:
    cap = FrequencyCap(impressions, timedelta(hours=hours))
    shown = tuple(NOW - one * HOUR for one in ago)

    def inside(now: datetime) -> int:
        return sum(now - cap.window < at <= now for at in shown)

    found = of(replace(PLAIN, cap=cap), Facts(shown))
    assert (found is not None) == (inside(NOW) >= impressions)
    if found is not None:
        assert found.until is not None
        assert inside(found.until) < impressions <= inside(found.until - TICK)
        assert of(replace(PLAIN, cap=cap), Facts(shown), now=found.until) is None


def test_the_reason_that_lasts_is_told_before_the_one_that_passes() -> None:
    facts = Facts((NOW,), converted_at=NOW, dismissed_at=NOW)
    shown = replace(PLAIN, cap=FrequencyCap(1, DAY))
    assert of(shown, facts) == Barrier(Why.CONVERTED)
