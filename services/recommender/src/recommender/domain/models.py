"""What the recommender knows and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a user did with a campaign."""

    IMPRESSION = "impression"
    CLICK = "click"
    CONVERSION = "conversion"
    DISMISSAL = "dismissal"


class Source(StrEnum):
    """What put a campaign on a list."""

    PERSONAL = "personal"
    INTENT = "intent"
    POPULAR = "popular"


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most so many impressions for each user within a window."""

    impressions: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it is from ``changed_at`` on. A deleted one stays known as deleted."""

    campaign_id: str
    title: str
    changed_at: datetime
    intents: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    budget_active: bool = True
    excluded_users: frozenset[str] = frozenset()
    excluded_intents: frozenset[str] = frozenset()
    cap: FrequencyCap | None = None
    deleted: bool = False


class Path(NamedTuple):
    """One kind of connection between a user and a campaign, and what it adds to the affinity."""

    kind: str
    weight: float
    users: int = 0
    intent: str | None = None
    campaign_id: str | None = None


class Candidate(NamedTuple):
    """A campaign that is connected to a user, by which paths; the strongest first."""

    campaign_id: str
    affinity: float
    paths: tuple[Path, ...] = ()


class Intent(NamedTuple):
    """How near what a user says is to an intent; ``latest``: in the last message."""

    name: str
    score: float
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Affinity:
    """The campaigns that are connected to a user. The highest ``version`` holds."""

    version: int
    heard_at: datetime
    candidates: tuple[Candidate, ...] = ()
    intents: tuple[Intent, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a user did with one campaign: the impressions, and the last of everything else."""

    impressions: tuple[datetime, ...] = ()
    clicked_at: datetime | None = None
    converted_at: datetime | None = None
    dismissed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the ranking sees them."""

    user_id: str
    affinity: Affinity | None = None
    facts: Mapping[str, Facts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engagement:
    """What a user did, when, and when the platform took it in."""

    engagement_id: str
    user_id: str
    campaign_id: str
    kind: Kind
    at: datetime
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignVector:
    """The direction of a campaign's text, of its state at ``changed_at``."""

    campaign_id: str
    model: str
    vector: tuple[float, ...]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a campaign is on a list, in words for people."""

    kind: str
    text: str
    weight: float = 0.0
    users: int = 0
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One campaign of a list. Where lists are made diverse, scores need not fall all the way."""

    campaign_id: str
    title: str
    score: float
    source: Source
    reasons: tuple[Reason, ...] = ()
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A list, the best first, and when it has to be made again.

    ``considered`` are all campaigns whose change may change the list; ``complete`` tells that no
    further one could have joined it for want of campaigns.
    """

    items: tuple[Item, ...]
    due_at: datetime
    considered: frozenset[str] = frozenset()
    complete: bool = True

    @property
    def source(self) -> Source:
        """That of the first campaign."""
        return self.items[0].source if self.items else Source.POPULAR
