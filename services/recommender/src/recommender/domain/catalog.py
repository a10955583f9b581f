"""Everything about a tenant that its users' lists are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from recommender.domain.models import Campaign
from recommender.domain.standings import Standings
from recommender.domain.vectors import Vectors


@dataclass(frozen=True)
class Catalog:
    """A tenant's campaigns, how alike they are and how they do.

    ``revision`` rises with every change of a campaign or a vector.
    """

    campaigns: Mapping[str, Campaign] = field(default_factory=dict)
    standings: Standings = field(default_factory=Standings)
    vectors: Vectors = field(default_factory=Vectors)
    revision: int = 0

    @cached_property
    def by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """The campaigns that answer an intent."""
        found: dict[str, list[str]] = {}
        for key, campaign in sorted(self.campaigns.items()):
            for intent in campaign.intents:
                found.setdefault(intent, []).append(key)
        return {intent: tuple(keys) for intent, keys in found.items()}
