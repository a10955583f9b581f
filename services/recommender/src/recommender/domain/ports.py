"""What the recommender needs of its store. Every effect may be applied again without harm.

A list is saved only if nothing it was made from has changed since it was read: of two that are
made at the same time the older one is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from recommender.domain.catalog import Catalog
from recommender.domain.models import Affinity, Campaign, CampaignVector, Engagement, Person
from recommender.domain.standings import Standings
from recommender.domain.tallies import Tally

UserKey = tuple[str, str]
"""Tenant and user: no look-up goes by the user alone."""
SWEEP = "sweep"
"""The cause of lists that no event asked for; causes of events have other names."""
ON_ITS_WAY = timedelta(seconds=10)
"""After this long a list that was saved has arrived in the log, or its process has died."""


@dataclass(frozen=True, slots=True)
class Known:
    """A user as stored; ``revision`` changes with everything that may change their list."""

    person: Person
    revision: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A user's list on its way into the store.

    ``cause`` is what asked for it. One that was saved for the same cause before, or by a sweep
    that may not have come to publish it, is to be published again. A ``held`` draft stays due
    until it is settled, if it has to be published.

    If a list that was saved before may still be on its way to the log, a sweep publishes the newer
    one once more after ``ON_ITS_WAY``: the older one may come out behind it.
    """

    user: UserKey
    revision: int
    catalog_revision: int
    digest: str
    cause: str
    considered: Collection[str]
    complete: bool
    due_at: datetime
    held: bool = False


class Verdict(StrEnum):
    """What became of a draft. ``STALE``: it was made from what no longer holds."""

    PUBLISH = "publish"
    KNOWN = "known"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Saved:
    """The answer to a draft; ``version`` is the list's, ``revision`` what is stored now."""

    verdict: Verdict
    version: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """A held list that the log has; void if its user changed after ``revision``."""

    version: int
    revision: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The version of the end of a forgotten user's list, and how often it was owed so far."""

    version: int
    owed: int = 0


class People(Protocol):
    """Users of all tenants: affinities, what they did, what they were recommended.

    All methods raise bus.errors.Unavailable while the store is down.
    """

    async def take_affinities(self, items: Mapping[UserKey, Affinity]) -> Mapping[UserKey, Known]:
        """Store those that are newer than what is there; return the users as they are then.

        One that was heard before the user was forgotten is dropped. A user of whom nothing is
        stored then is left out.
        """

    async def take_engagements(
        self, items: Sequence[tuple[str, Engagement]]
    ) -> Mapping[UserKey, Known]:
        """Count (tenant, engagement) pairs whose ids are new, and return their users.

        Dropped, and left out, as in ``take_affinities``. The user's facts, the campaign's tally
        and the mark on the tenant's popular list change together or not at all.
        """

    async def read(self, users: Collection[UserKey]) -> Mapping[UserKey, Known]:
        """Those of the users of whom something is stored."""

    async def save(self, drafts: Sequence[Draft]) -> Sequence[Saved]:
        """Store what can be, in the order given; versions never fall, not even after a loss."""

    async def settle(self, users: Mapping[UserKey, Settled]) -> None:
        """Held drafts were published. Who has a newer list is due at once, as in ``published``."""

    async def published(self, users: Mapping[UserKey, int]) -> None:
        """The log has these versions, the last of each user.

        A sweep publishes the newest list, or its end, once more behind those that are older.
        """

    async def ended(self, users: Collection[UserKey]) -> Mapping[UserKey, End]:
        """Those of the users who are forgotten."""

    async def postpone(self, users: Mapping[UserKey, datetime]) -> None:
        """Have users ranked at a time, or earlier if they are due earlier."""

    async def drop(self, users: Mapping[UserKey, int]) -> None:
        """They are due no more, if nothing of them is stored; void if their end is owed again.

        Given is how often it was owed, 0 for a user who was not forgotten.
        """

    async def forget(self, users: Mapping[UserKey, datetime]) -> Mapping[UserKey, int]:
        """Remove what was taken in up to a time, and remember only that; versions to publish."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a tenant's popular list is made from; ``mark`` changes with every engagement."""

    tallies: Mapping[str, Tally]
    revision: int
    mark: int


@dataclass(frozen=True, slots=True)
class PopularDraft:
    """A popular list on its way into the store; see ``Draft``."""

    tenant_id: str
    counted: Counted
    catalog_revision: int
    standings: Standings
    digest: str
    due_at: datetime
    cause: str = SWEEP
    held: bool = False


class Offers(Protocol):
    """Campaigns of all tenants, and how they do. Raises as ``People``."""

    async def take_campaigns(self, items: Sequence[tuple[str, Campaign]]) -> None:
        """Store (tenant, campaign) pairs unless a later state is there; of equals the last.

        A change marks the tenant's popular list, and the users whose lists it may change.
        """

    async def take_vectors(self, items: Sequence[tuple[str, CampaignVector]]) -> None:
        """Store (tenant, vector) pairs unless one of a later state is there; of equals the last."""

    async def catalogs(self, tenants: Collection[str]) -> Mapping[str, Catalog]:
        """Each tenant's campaigns, vectors, and the standings of its last popular list."""

    async def counted(self, tenants: Collection[str]) -> Mapping[str, Counted]:
        """What people did with each tenant's campaigns."""

    async def save_popular(self, drafts: Sequence[PopularDraft]) -> Sequence[Saved]:
        """As ``People.save``. A list that was marked meanwhile is due again before ``due_at``."""

    async def settle_popular(self, drafts: Sequence[tuple[PopularDraft, Saved]]) -> None:
        """As ``People.settle``, with what ``save_popular`` answered."""

    async def popular_published(self, tenants: Mapping[str, int]) -> None:
        """As ``People.published``."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a tenant has waiting."""

    users: tuple[str, ...] = ()
    popular: bool = False
    walk: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """Users whose time has come, and for how many seconds the first of them has waited."""

    waiting: int
    oldest: float


class Agenda(Protocol):
    """What has to be done when, over all tenants. Raises as ``People``."""

    async def claim(self, limit: int) -> Sequence[str]:
        """Tenants with something due, the longest waiting first, each given to one caller.

        A tenant that is not released is claimed again after a while.
        """

    async def release(self, tenants: Collection[str]) -> None:
        """The caller is done with them for now."""

    async def due(self, tenants: Mapping[str, int]) -> Mapping[str, Due]:
        """What is due of each, with up to so many users, the longest waiting first."""

    async def walk(self, tenant_id: str, pages: int) -> None:
        """Go on looking for users whose lists a changed campaign may change; they become due."""

    async def backlog(self) -> Backlog:
        """How far behind the lists are."""
