"""Whom a campaign concerns that comes after they have spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from embedding.domain.models import Surroundings, UserKey, UserPoint
from embedding.domain.profiles import Profiles
from embedding.domain.recent import Recent
from embedding.domain.rules import NEAR, grave
from embedding.domain.states import UserState
from embedding.domain.surroundings import Surveyor

REACH = 1000
"""Users who are told at once of a new campaign; all others when they speak next."""
REMEMBERED = 100_000
"""Users of whom it is known when they were told last, by what tells whether somebody is meant."""
_NOBODY = ""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Audience:
    """Finds users by what a campaign says and is for, and looks around them anew.

    Nobody is missed between the two: who speaks looks at the campaigns after their own vector is
    in the index, and the index is asked here once nobody looks at an older list of campaigns.
    """

    profiles: Profiles
    surveyor: Surveyor
    _told: Recent[str, datetime] = field(default_factory=lambda: Recent(REMEMBERED))

    async def of(self, tenant_id: str, campaign_id: str, since: datetime) -> Sequence[UserKey]:
        """Who is near to a campaign or to an intent of it, the nearest first.

        The ``REACH`` nearest, less those who were told ``since`` all know of it: many campaigns
        that come together cost little more than one.
        """
        catalog = await self.surveyor.catalogs.of(tenant_id)
        place = UserKey(tenant_id, _NOBODY)
        points = [UserPoint(place, 0, vector) for vector in catalog.meaning(campaign_id)]
        if not points:
            return []
        nearest: dict[str, float] = {}
        for found in await self.surveyor.index.nearest(tenant_id, points, REACH):
            for near in found:
                nearest[near.user_id] = max(near.similarity, nearest.get(near.user_id, NEAR))
        ranked = sorted((-best, user_id) for user_id, best in nearest.items() if best > NEAR)
        users = [UserKey(tenant_id, user_id) for _, user_id in ranked[:REACH]]
        return [user for user in users if self._told.get(grave(user), _NEVER) < since]

    async def surveyed(
        self, users: Sequence[UserKey], since: datetime
    ) -> Sequence[tuple[UserState, Surroundings]]:
        """Who and what is near each of them now, less those who have spoken ``since``."""
        states = await self.profiles.renewed(users, since)
        around = await self.surveyor.survey(states)
        return [(state, around[state.user]) for state in states]

    def told(self, found: Sequence[tuple[UserState, Surroundings]]) -> None:
        """Remember that these were told of, but not who they are: they may be forgotten."""
        for state, around in found:
            self._told[grave(state.user)] = around.looked_at
