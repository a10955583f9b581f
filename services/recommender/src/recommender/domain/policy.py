"""Every constant of the ranking, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True)
class Policy:
    """How lists are made. A change of the formula itself is a new ``RANKER_VERSION``."""

    length: int = 20
    """Campaigns in a list: more than are shown, so that readers can drop what has ended."""
    candidates: int = 100
    """The nearest campaigns of a user that are kept."""
    paths: int = 3
    """The strongest connections of each that are kept, and the most reasons an item has."""

    wanted_intent: float = 0.35
    """From this score on a user wants something, as far as exclusions go."""
    dismissed_for: timedelta = timedelta(days=30)
    """How long a dismissed campaign stays away."""
    impressions_kept: int = 1000
    """Impressions of one campaign to one user that are kept: a higher cap counts as this one."""

    half_life: timedelta = timedelta(days=14)
    """After which an engagement counts half."""
    conversion_weight: float = 3.0
    """How many clicks a conversion is worth."""
    dismissal_weight: float = 0.5
    """How many clicks a dismissal takes back."""
    prior_impressions: float = 20.0
    """Impressions at the tenant's mean rate that every campaign starts with (a + b)."""
    least_lift: float = 0.5
    greatest_lift: float = 2.0

    freshness_half_life: timedelta = timedelta(days=30)
    least_freshness: float = 0.7

    popularity_weight: float = 0.1
    """The share of the score that goes by popularity; what is near has the rest."""
    popularity_prior: float = 1.0
    """Clicks that every campaign starts with."""

    mmr_lambda: float = 0.9
    """1 ranks by score alone; what is below takes likeness to the better ones into account."""
    alike_from: float = 0.5
    """Cosines up to this one are no likeness: texts of one trade are always a little alike."""
    pool: int = 60
    """The best by score among which a list is chosen."""

    refreshed_after: timedelta = timedelta(days=1)
    """When a list is made again although nothing happened: freshness and popularity move."""

    def without_engagement(self) -> Policy:
        """The ranking blind to what people did with campaigns, for comparison."""
        return replace(self, least_lift=1.0, greatest_lift=1.0, popularity_weight=0.0)

    def without_diversity(self) -> Policy:
        """The ranking by score alone, for comparison."""
        return replace(self, mmr_lambda=1.0)
