"""Which campaigns a user should see, in which order, and when that has to be asked again."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.decay import NOTHING, weight
from recommender.domain.models import (
    Campaign,
    Candidate,
    Facts,
    FrequencyCap,
    Intent,
    Item,
    Path,
    Person,
    Ranking,
    Source,
)
from recommender.domain.policy import Policy
from recommender.domain.rules import digest, rank
from recommender.domain.standings import freshness, standings
from recommender.domain.tallies import Tally
from services.recommender.tests.kits import DAY, NOW, affinity, campaign, catalog, near

POLICY = Policy()
HOUR = timedelta(hours=1)
ABC = [campaign(key) for key in "abc"]
NEAR_ALL = Person("ada", affinity("a", "b", "c"))


def log_count(number: float) -> float:
    """The tally of so many events that happened just now."""
    return weight(NOW, POLICY.half_life) + math.log2(number) if number > 0 else NOTHING


def tally(
    impressions: float = 0, clicks: float = 0, conversions: float = 0, dismissals: float = 0
) -> Tally:
    counts = (impressions, clicks, conversions, dismissals, clicks)
    return Tally(*map(log_count, counts))


def names(ranking: Ranking) -> list[str]:
    return [item.campaign_id for item in ranking.items]


def item(ranking: Ranking, key: str) -> Item:
    return next(one for one in ranking.items if one.campaign_id == key)


def test_the_nearest_campaign_is_first() -> None:
    found = rank(NEAR_ALL, catalog(*ABC), NOW)
    assert names(found) == ["a", "b", "c"]
    assert found.source is Source.PERSONAL
    assert found.items[0].title == "A"


def test_only_the_ratio_of_affinities_matters() -> None:
    def scores(unit: float) -> list[float]:
        says = affinity(near("a", 4 * unit), near("b", 2 * unit), near("c", unit))
        return [one.score for one in rank(Person("ada", says), catalog(*ABC), NOW).items]

    assert scores(2.0**-30) == scores(2.0**30)


@pytest.mark.parametrize(
    "change",
    [
        {"deleted": True},
        {"budget_active": False},
        {"ends_at": NOW},
        {"starts_at": NOW + DAY},
        {"excluded_users": frozenset({"ada"})},
        {"excluded_intents": frozenset({"cancel"})},
    ],
)
def test_what_may_not_be_shown_is_not_on_the_list(change: dict[str, object]) -> None:
    kept: Campaign = replace(ABC[0], **change)  # type: ignore[arg-type]
    says = replace(NEAR_ALL.affinity or affinity(), intents=(Intent("cancel", 0.5),))
    found = rank(Person("ada", says), catalog(kept, *ABC[1:]), NOW)
    assert names(found) == ["b", "c"]
    assert "a" in found.considered


@pytest.mark.parametrize(
    "facts",
    [
        Facts(converted_at=NOW - DAY),
        Facts(dismissed_at=NOW - DAY),
        Facts(impressions=(NOW - HOUR, NOW - 2 * HOUR)),
    ],
)
def test_what_a_user_did_keeps_a_campaign_away(facts: Facts) -> None:
    capped = [replace(one, cap=FrequencyCap(2, DAY)) for one in ABC]
    person = replace(NEAR_ALL, facts={"a": facts})
    assert names(rank(person, catalog(*capped), NOW)) == ["b", "c"]
    assert names(rank(replace(person, user_id="ben", facts={}), catalog(*capped), NOW))[0] == "a"


def test_a_cap_that_lapses_is_when_the_list_is_due() -> None:
    capped = replace(ABC[0], cap=FrequencyCap(1, timedelta(hours=3)))
    person = replace(NEAR_ALL, facts={"a": Facts((NOW - HOUR,))})
    found = rank(person, catalog(capped, *ABC[1:]), NOW)
    assert found.due_at == NOW + 2 * HOUR
    again = rank(person, catalog(capped, *ABC[1:]), found.due_at)
    assert names(again)[0] == "a"


@pytest.mark.parametrize(
    ("change", "hours"),
    [
        ({"ends_at": NOW + 5 * HOUR}, 5),
        ({"starts_at": NOW + 5 * HOUR}, 5),
        ({"starts_at": NOW + 5 * HOUR, "ends_at": NOW + 6 * HOUR}, 5),
        ({"starts_at": NOW - 5 * HOUR}, 24),
        ({"ends_at": NOW - HOUR}, 24),
        ({"ends_at": NOW + 30 * HOUR}, 24),
    ],
)
def test_a_list_is_due_when_a_campaign_starts_or_ends(
    change: dict[str, object], hours: int
) -> None:
    moving: Campaign = replace(ABC[2], **change)  # type: ignore[arg-type]
    assert rank(NEAR_ALL, catalog(*ABC[:2], moving), NOW).due_at == NOW + hours * HOUR


def test_a_campaign_that_is_not_known_yet_is_waited_for() -> None:
    found = rank(NEAR_ALL, catalog(*ABC[1:]), NOW)
    assert names(found) == ["b", "c"]
    assert found.considered == {"a", "b", "c"}
    assert not found.complete


def test_only_campaigns_that_may_come_up_are_considered() -> None:
    kept = replace(campaign("kept"), excluded_users=frozenset({"ada"}))
    told = {"kept": tally(clicks=9), "b": tally(clicks=8), "c": tally(clicks=7)}
    short = Policy(length=2)
    known = catalog(*ABC, kept, campaign("d"), tallies=told, policy=short)
    found = rank(Person("ada", affinity("a", "d")), known, NOW, short)
    assert names(found) == ["a", "d"]
    assert found.considered == {"a", "d", "kept"}
    found = rank(Person("ada", affinity("a")), known, NOW, short)
    assert names(found) == ["a", "b"]
    assert found.considered == {"a", "b", "kept"}


def test_a_list_has_so_many_campaigns_and_is_complete() -> None:
    many = [campaign(f"k{n:02}") for n in range(30)]
    person = Person("ada", affinity(*(near(one.campaign_id, 1.0) for one in many)))
    found = rank(person, catalog(*many), NOW)
    assert len(found.items) == 20
    assert found.complete
    assert names(found) == sorted(names(found))


def test_who_said_little_has_their_list_filled_with_what_is_liked() -> None:
    known = catalog(*ABC, campaign("d"), tallies={"d": tally(clicks=9), "b": tally(clicks=3)})
    found = rank(Person("ada", affinity("c")), known, NOW)
    assert names(found) == ["c", "d", "b", "a"]
    assert [one.source for one in found.items] == ["personal", "popular", "popular", "popular"]
    assert item(found, "d").reasons[0].text == "9 people engaged with this lately"
    assert item(found, "a").reasons == ()


def test_a_campaign_people_engage_with_gains_on_one_they_pass_over() -> None:
    told = {"a": tally(impressions=900, clicks=2), "b": tally(impressions=100, clicks=30)}
    close = Person("ada", affinity(near("a", 1.0), near("b", 0.9)))
    assert names(rank(close, catalog(*ABC[:2], tallies=told), NOW)) == ["b", "a"]
    blind = POLICY.without_engagement()
    unmoved = rank(close, catalog(*ABC[:2], tallies=told, policy=blind), NOW, blind)
    assert names(unmoved) == ["a", "b"]


def lifts(**told: Tally) -> dict[str, float]:
    found = standings({key: campaign(key) for key in told}, told, NOW, POLICY)
    return {key: found.get(key).lift for key in (*told, "nobody")}


def test_a_rate_is_told_against_the_tenants_mean() -> None:
    found = lifts(a=tally(100, 20), b=tally(100, 10), c=tally(100, 0))
    assert found["a"] == pytest.approx((20 + 20 * 0.1) / 120 / 0.1)
    assert found["b"] == pytest.approx(1)
    assert found["c"] == 0.5
    assert found["nobody"] == 1


def test_a_lift_is_clipped_and_few_impressions_move_it_little() -> None:
    found = lifts(a=tally(10_000, 9_000), b=tally(90_000, 10), c=tally(1, 1))
    assert found["a"] == 2
    assert found["b"] == 0.5
    assert 1 < found["c"] < 1.5


def test_without_engagement_every_lift_is_one() -> None:
    assert set(lifts(a=tally(100), b=tally(3)).values()) == {1}


def test_clicks_without_impressions_imply_them() -> None:
    mean = 55 / 105
    found = lifts(a=tally(clicks=5), b=tally(impressions=100, clicks=50))
    assert found["a"] == pytest.approx((5 + 20 * mean) / 25 / mean)
    assert set(lifts(a=tally(clicks=50), b=tally(clicks=5)).values()) == {1}


def test_a_lift_moves_what_is_near() -> None:
    told = {"a": tally(900, 2), "b": tally(100, 30)}
    near_only = Policy(popularity_weight=0.0)
    known = catalog(*ABC[:2], tallies=told)
    close = Person("ada", affinity(near("a", 1.0), near("b", 0.5)))
    assert names(rank(close, known, NOW, near_only)) == ["b", "a"]
    even = Policy(popularity_weight=0.0, least_lift=1.0, greatest_lift=1.0)
    unmoved = catalog(*ABC[:2], tallies=told, policy=even)
    assert names(rank(close, unmoved, NOW, even)) == ["a", "b"]


def test_what_is_deleted_has_no_place_among_the_liked() -> None:
    gone = replace(ABC[0], deleted=True)
    assert catalog(gone, *ABC[1:]).standings.order == ("b", "c")


def test_what_is_deleted_or_unknown_moves_nobody_else() -> None:
    told = {"a": tally(100, 20), "b": tally(100, 10)}
    others = {"gone": tally(900, 800), "never-heard-of": tally(900)}
    shown = {"a": ABC[0], "b": ABC[1], "gone": replace(campaign("gone"), deleted=True)}
    assert standings(shown, told | others, NOW, POLICY) == standings(shown, told, NOW, POLICY)


def test_conversions_count_more_and_dismissals_less_than_nothing() -> None:
    told = {"a": tally(100, 5, 5), "b": tally(100, 10), "c": tally(100, 10, 0, 10)}
    found = standings({one.campaign_id: one for one in ABC}, told, NOW, POLICY)
    assert found.get("a").popularity > found.get("b").popularity > found.get("c").popularity
    assert found.get("a").lift > found.get("b").lift > found.get("c").lift


def test_newer_campaigns_are_a_little_ahead_and_old_ones_never_lost() -> None:
    new, old = campaign("new", at=NOW), campaign("old", at=NOW - 3000 * DAY)
    assert freshness(new, NOW, POLICY) == 1
    assert freshness(old, NOW, POLICY) == pytest.approx(0.7)
    assert freshness(campaign("next", at=NOW + DAY), NOW, POLICY) == 1
    started = replace(old, starts_at=NOW - 30 * DAY)
    assert freshness(started, NOW, POLICY) == pytest.approx(0.85)
    person = Person("ada", affinity(near("old", 1.0), near("new", 0.95)))
    assert names(rank(person, catalog(new, old), NOW)) == ["new", "old"]


def asking(*intents: Intent) -> Person:
    return Person("ada", affinity(intents=intents))


TEA = replace(campaign("tea"), intents=("buy_tea", "pricing"))
ESPRESSO = replace(campaign("espresso"), intents=("buy_machine",))
PLAIN = campaign("aaa")


def test_who_is_connected_to_nothing_is_shown_what_answers_the_last_message() -> None:
    person = asking(Intent("buy_machine", 0.5, latest=True), Intent("buy_tea", 0.9))
    found = rank(person, catalog(PLAIN, TEA, ESPRESSO), NOW)
    assert names(found) == ["espresso", "aaa", "tea"]
    assert [one.source for one in found.items] == ["intent", "popular", "popular"]
    assert [one.text for one in found.items[0].reasons] == ["you asked about buy machine"]
    assert found.source is Source.INTENT


def test_the_intent_that_is_nearest_decides() -> None:
    person = asking(
        Intent("buy_machine", 0.4, latest=True),
        Intent("buy_tea", 0.3, latest=True),
        Intent("pricing", 0.6, latest=True),
    )
    found = rank(person, catalog(PLAIN, TEA, ESPRESSO), NOW)
    assert names(found) == ["tea", "espresso", "aaa"]
    assert found.items[0].reasons[0].intent == "pricing"


def test_connections_that_may_not_be_shown_are_none() -> None:
    gone = replace(campaign("gone"), deleted=True)
    says = affinity("gone", intents=[Intent("buy_machine", 0.5, latest=True)])
    found = rank(Person("ada", says), catalog(PLAIN, ESPRESSO, gone), NOW)
    assert names(found) == ["espresso", "aaa"]
    assert found.items[0].source is Source.INTENT


def test_who_said_nothing_is_shown_what_is_popular_with_their_own_exclusions() -> None:
    known = catalog(*ABC, tallies={"b": tally(clicks=5), "c": tally(clicks=1)})
    assert names(rank(Person("ada"), known, NOW)) == ["b", "c", "a"]
    bought = Person("ada", facts={"b": Facts(converted_at=NOW)})
    assert names(rank(bought, known, NOW)) == ["c", "a"]
    assert rank(Person("ada"), known, NOW).source is Source.POPULAR


def test_of_nothing_a_list_is_empty() -> None:
    found = rank(NEAR_ALL, catalog(), NOW)
    assert found.items == ()
    assert found.source is Source.POPULAR
    assert found.due_at == NOW + DAY


def test_an_affinity_of_nothing_is_no_connection() -> None:
    found = rank(Person("ada", affinity(Candidate("a", 0.0))), catalog(*ABC), NOW)
    assert {one.source for one in found.items} == {Source.POPULAR}


people = st.builds(
    lambda weights: Person(
        "ada",
        affinity(*(near(f"k{n}", x, Path("intent", x)) for n, x in enumerate(weights))),
    ),
    st.lists(st.floats(0, 1, allow_nan=False), max_size=8),
)


@given(people, st.dictionaries(st.sampled_from([f"k{n}" for n in range(10)]), st.integers(0, 9)))
def test_a_list_is_the_same_every_time_and_its_scores_fall(
    person: Person, clicks: dict[str, int]
) -> None:
    known = catalog(
        *(campaign(f"k{n}") for n in range(10)),
        tallies={key: tally(clicks=number) for key, number in clicks.items()},
    )
    found = rank(person, known, NOW)
    assert found == rank(person, known, NOW)
    scores = [one.score for one in found.items]
    assert scores == sorted(scores, reverse=True)
    assert len(set(names(found))) == len(scores) == 10
    assert found.considered <= known.campaigns.keys()


def test_a_digest_tells_apart_what_readers_would_see() -> None:
    base = rank(NEAR_ALL, catalog(*ABC), NOW)
    first = base.items[0]
    same = replace(first, score=0.123)
    told = [
        replace(first, title="Other"),
        replace(first, ends_at=NOW),
        replace(first, source=Source.INTENT),
        replace(first, reasons=()),
        replace(first, reasons=(replace(first.reasons[0], users=30),)),
    ]
    assert digest(replace(base, items=(same, *base.items[1:]))) == digest(base)
    others = {digest(replace(base, items=(one, *base.items[1:]))) for one in told}
    others.add(digest(replace(base, items=base.items[::-1])))
    assert len(others) == 6
    assert digest(base) not in others


def test_one_person_more_among_many_makes_no_other_list() -> None:
    base = rank(NEAR_ALL, catalog(*ABC), NOW)
    first = base.items[0]

    def told(users: int) -> str:
        reasons = (replace(first.reasons[0], users=users),)
        return digest(replace(base, items=(replace(first, reasons=reasons),)))

    assert told(16) == told(17) == told(31) != told(32)
