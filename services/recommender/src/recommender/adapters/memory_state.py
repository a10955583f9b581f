"""What the store in memory keeps of a tenant."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from recommender.domain.catalog import Catalog
from recommender.domain.models import (
    Affinity,
    Campaign,
    CampaignVector,
    Engagement,
    Facts,
    Kind,
)
from recommender.domain.ports import SWEEP
from recommender.domain.standings import Standings
from recommender.domain.tallies import ENGAGED, Tally
from recommender.domain.vectors import Vectors, direction


@dataclass
class Listed:
    """What is known of a list that was made: a user's, or the popular one."""

    revision: int = 0
    version: int = 0
    digest: str | None = None
    unpublished: str | None = None
    astray: datetime | None = None
    """Until when an older list may come out behind the last one; a sweep sees to it."""


@dataclass
class StoredUser(Listed):
    """What is kept of a user."""

    affinity: Affinity | None = None
    engagements: list[Engagement] = field(default_factory=list)
    considered: frozenset[str] = frozenset()
    complete: bool = True


@dataclass(frozen=True)
class Gone:
    """A user that was forgotten: when, and the last version and revision."""

    at: datetime
    version: int
    revision: int
    astray: datetime | None = None
    owed: int = 0


@dataclass
class Tenant:
    """Everything of one tenant."""

    users: dict[str, StoredUser] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    gone: dict[str, Gone] = field(default_factory=dict)
    due: dict[str, datetime] = field(default_factory=dict)
    chores: dict[str, datetime] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    vectors: dict[str, CampaignVector] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    popular: Listed = field(default_factory=Listed)
    standings: Standings = field(default_factory=Standings)
    mark: int = 0
    revision: int = 0


def catalog_of(tenant: Tenant) -> Catalog:
    """As the ranking wants it."""
    vectors = {key: (one.model, direction(one)) for key, one in tenant.vectors.items()}
    campaigns = dict(tenant.campaigns)
    return Catalog(campaigns, tenant.standings, Vectors(vectors), tenant.revision)


def facts_of(engagements: Iterable[Engagement]) -> dict[str, Facts]:
    """What a user did, by campaign."""
    times: dict[str, dict[Kind, list[datetime]]] = {}
    for one in engagements:
        times.setdefault(one.campaign_id, defaultdict(list))[one.kind].append(one.at)
    return {
        key: Facts(
            tuple(sorted(of[Kind.IMPRESSION])),
            max(of[Kind.CLICK], default=None),
            max(of[Kind.CONVERSION], default=None),
            max(of[Kind.DISMISSAL], default=None),
        )
        for key, of in times.items()
    }


def engaged_at(engagements: Iterable[Engagement], campaign_id: str) -> datetime | None:
    """When the user last clicked or converted."""
    return max(
        (one.at for one in engagements if one.campaign_id == campaign_id and one.kind in ENGAGED),
        default=None,
    )


def is_gone(tenant: Tenant, user_id: str, taken_at: datetime) -> bool:
    """Whether what was taken in then belongs to what the user had removed."""
    known = tenant.gone.get(hashed(user_id))
    return known is not None and taken_at <= known.at


def user_of(tenant: Tenant, user_id: str) -> StoredUser:
    """A user, made if need be; one that was forgotten goes on from the last version."""
    if user_id not in tenant.users:
        gone = tenant.gone.get(hashed(user_id))
        known = StoredUser()
        if gone is not None:
            known = StoredUser(gone.revision, gone.version, astray=gone.astray)
        tenant.users[user_id] = known
    return tenant.users[user_id]


def hashed(user_id: str) -> str:
    """A name that does not tell who."""
    return hashlib.sha256(user_id.encode()).hexdigest()


def arrived(listed: Listed) -> None:
    """The log has the last version; what a sweep owes, it owes all the same."""
    if listed.unpublished != SWEEP:
        listed.unpublished = None


def plan(queue: dict[str, datetime], key: str, listed: Listed, due_at: datetime) -> None:
    """When a list that was made is due: to be made, or published, again."""
    queue[key] = min(due_at, listed.astray or due_at)


def earlier(queue: dict[str, datetime], key: str, at: datetime) -> None:
    """Due then, or when it was due if that is earlier."""
    queue[key] = min(at, queue.get(key, at))
