"""What those see of whom nothing is known."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from recommender.domain.decay import weight
from recommender.domain.models import Ranking, Source
from recommender.domain.policy import Policy
from recommender.domain.rules import popular
from recommender.domain.tallies import Tally
from services.recommender.tests.kits import DAY, NOW, campaign, catalog

POLICY = Policy()
ABC = [campaign(key) for key in "abc"]


def clicks(number: int, days: int = 0) -> Tally:
    log_sum = weight(NOW - days * DAY, POLICY.half_life) + math.log2(number)
    return Tally(clicks=log_sum, people=log_sum)


def names(ranking: Ranking) -> list[str]:
    return [item.campaign_id for item in ranking.items]


def test_the_most_engaged_with_lately_is_first() -> None:
    told = {"a": clicks(10, days=60), "b": clicks(5), "c": clicks(3)}
    found = popular(catalog(*ABC, tallies=told), NOW)
    assert names(found) == ["b", "c", "a"]
    assert {item.source for item in found.items} == {Source.POPULAR}
    assert [item.reasons[0].text for item in found.items[:2]] == [
        "5 people engaged with this lately",
        "3 people engaged with this lately",
    ]


def test_without_engagement_the_newest_is_first() -> None:
    found = popular(catalog(campaign("old", at=NOW - 90 * DAY), campaign("new")), NOW)
    assert names(found) == ["new", "old"]
    assert [item.reasons for item in found.items] == [(), ()]


def test_what_is_closed_is_left_out_and_due_when_it_opens() -> None:
    hour = timedelta(hours=1)
    shown = [
        replace(ABC[0], starts_at=NOW + 3 * hour),
        replace(ABC[1], ends_at=NOW + 5 * hour),
        replace(ABC[2], budget_active=False),
        replace(campaign("d"), ends_at=NOW),
        replace(campaign("e"), deleted=True, ends_at=NOW + hour),
    ]
    found = popular(catalog(*shown), NOW)
    assert names(found) == ["b"]
    assert found.due_at == NOW + 3 * hour
    later = popular(catalog(*shown), NOW + 3 * hour)
    assert names(later) == ["a", "b"]
    assert later.due_at == NOW + 5 * hour


def test_what_one_user_may_not_see_is_popular_all_the_same() -> None:
    shown = replace(ABC[0], excluded_users=frozenset({"ada"}), excluded_intents=frozenset({"x"}))
    assert names(popular(catalog(shown), NOW)) == ["a"]


def test_engagements_of_a_campaign_that_is_not_there_show_nothing() -> None:
    found = popular(catalog(*ABC, tallies={"early": clicks(9), "c": clicks(1)}), NOW)
    assert names(found) == ["c", "a", "b"]


def test_a_popular_list_has_so_many_campaigns() -> None:
    found = popular(catalog(*(campaign(f"k{n}") for n in range(30))), NOW)
    assert len(found.items) == 20


def test_of_nothing_nothing_is_popular() -> None:
    found = popular(catalog(), NOW)
    assert found.items == ()
    assert found.due_at == NOW + DAY
