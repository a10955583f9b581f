"""How campaigns do with a tenant's people: the rate at which they engage, and how many do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from recommender.domain.decay import worth
from recommender.domain.models import Campaign
from recommender.domain.policy import Policy
from recommender.domain.tallies import Tally


class Standing(NamedTuple):
    """One campaign beside the others of its tenant.

    ``lift`` is its engagement rate over the tenant's mean, clipped; ``popularity`` is 1 for the
    most engaged with; ``people`` is how many engaged lately, each by their last time, decayed.
    """

    lift: float = 1.0
    popularity: float = 1.0
    people: int = 0


_UNKNOWN = Standing()


@dataclass(frozen=True, slots=True)
class Standings:
    """Those of a tenant's campaigns; ``order`` has the campaigns themselves, the liked first."""

    of: Mapping[str, Standing] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    unknown: Standing = _UNKNOWN
    """That of a campaign nobody has done anything with."""

    def get(self, campaign_id: str) -> Standing:
        """That of a campaign."""
        return self.of.get(campaign_id, self.unknown)


class _Counts(NamedTuple):
    """Decayed counts: what was won, and the impressions that it took."""

    won: float
    trials: float
    people: int


def standings(
    campaigns: Mapping[str, Campaign],
    tallies: Mapping[str, Tally],
    now: datetime,
    policy: Policy,
) -> Standings:
    """Compare all campaigns of a tenant, those with engagements and those without.

    What was done with campaigns that are deleted, or not known yet, does not count.
    """
    shown = {key: one for key, one in campaigns.items() if not one.deleted}
    counts = {key: _counts(tally, now, policy) for key, tally in tallies.items() if key in shown}
    most = max((one.won for one in counts.values()), default=0.0) + policy.popularity_prior
    mean = _mean(list(counts.values()))
    of = {
        key: Standing(
            _lift(one, mean, policy), (one.won + policy.popularity_prior) / most, one.people
        )
        for key, one in counts.items()
    }
    unknown = Standing(popularity=policy.popularity_prior / most)
    return Standings(of, _ordered(shown, of, unknown, now, policy), unknown)


def freshness(campaign: Campaign, now: datetime, policy: Policy) -> float:
    """1 for what has just started, falling to a floor that is never left."""
    since = campaign.starts_at or campaign.changed_at
    age = max(0.0, (now - since) / policy.freshness_half_life)
    return policy.least_freshness + (1 - policy.least_freshness) * math.exp2(-age)


def _counts(tally: Tally, now: datetime, policy: Policy) -> _Counts:
    clicks = worth(tally.clicks, now, policy.half_life)
    conversions = worth(tally.conversions, now, policy.half_life)
    dismissals = worth(tally.dismissals, now, policy.half_life)
    impressions = worth(tally.impressions, now, policy.half_life)
    won = clicks + policy.conversion_weight * conversions - policy.dismissal_weight * dismissals
    people = round(worth(tally.people, now, policy.half_life))
    # Who clicked or dismissed a campaign was shown it, whether that was recorded or not.
    return _Counts(max(0.0, won), max(impressions, clicks + dismissals), people)


def _mean(counts: Sequence[_Counts]) -> float:
    trials = sum(one.trials for one in counts)
    return sum(one.won for one in counts) / trials if trials > 0 else 0.0


def _lift(counts: _Counts, mean: float, policy: Policy) -> float:
    """Its rate, pulled to the mean by the prior, over the mean."""
    if mean <= 0:
        return 1.0
    prior = policy.prior_impressions
    rate = (counts.won + prior * mean) / (counts.trials + prior)
    return min(policy.greatest_lift, max(policy.least_lift, rate / mean))


def _ordered(
    campaigns: Mapping[str, Campaign],
    of: Mapping[str, Standing],
    unknown: Standing,
    now: datetime,
    policy: Policy,
) -> tuple[str, ...]:
    scores = {
        key: of.get(key, unknown).popularity * freshness(campaign, now, policy)
        for key, campaign in campaigns.items()
    }
    return tuple(sorted(scores, key=lambda key: (-scores[key], key)))
