"""What is known of a user: one document, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from embedding.domain.decay import DecayedMean
from embedding.domain.models import UserKey, UserPoint, Vector


@dataclass(frozen=True, slots=True)
class Recipe:
    """How states are made. States of another recipe are made anew, never mixed or compared."""

    model: str
    half_life: timedelta

    @property
    def name(self) -> str:
        """As it stands on a state."""
        return f"{self.model}/{self.half_life / timedelta(days=1):g}d"


@dataclass(frozen=True, slots=True)
class UserState:
    """The mean of what a user said. ``version`` counts its changes.

    ``pending`` are the messages that this version added. They are marked as counted in the lake
    before the next version is written: a message that is neither pending nor marked is not in the
    mean, and one that comes again is seen to be.
    """

    user: UserKey
    version: int
    recipe: str
    mean: DecayedMean
    heard_at: datetime
    pending: tuple[UUID, ...] = ()

    @property
    def point(self) -> UserPoint | None:
        """Where the user stands, None if what they said cancels out."""
        vector = self.mean.vector
        return None if vector is None else UserPoint(self.user, self.version, vector)

    @property
    def last(self) -> Vector:
        """The vector of the newest message."""
        return self.mean.newest.vector
