"""The time-decayed mean of a user's messages, kept up to date one message at a time.

A message that is older by one half-life counts half: its weight is 2 ** (-age / half-life). The
weights are held relative to the newest message, so that none is above 1 and nothing overflows;
when a newer one comes, the sum is scaled down. Sum and weight of a set of messages are the same
in whatever order they come (up to the rounding of 64 bits), as each weight depends on the
message's own time and the newest only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from embedding.domain.models import Vector

Sum = NDArray[np.float64]
FAINTEST = 1e-9
"""A sum shorter than that is rounding: its messages cancel each other out."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest message of a set: when it was said, a tie-break, and its vector."""

    at: datetime
    name: str
    vector: Vector = field(compare=False)

    def after(self, other: Newest) -> bool:
        """Whether this one is newer; of two of one time the greater name is."""
        return (self.at, self.name) > (other.at, other.name)


@dataclass(frozen=True, slots=True)
class DecayedMean:
    """The sum of ``count`` vectors, each by its weight at the time of the newest, and all weights.

    What is added needs a time; without a message there is no mean (see ``start``).
    """

    total: Sum
    weight: float
    count: int
    newest: Newest

    def added(self, message: Newest, half_life: timedelta) -> DecayedMean:
        """With one more message."""
        if not message.after(self.newest):
            share = _weight(self.newest.at - message.at, half_life)
            total = self.total + share * message.vector.astype(np.float64)
            return replace(self, total=total, weight=self.weight + share, count=self.count + 1)
        share = _weight(message.at - self.newest.at, half_life)
        total = share * self.total + message.vector.astype(np.float64)
        return DecayedMean(total, share * self.weight + 1.0, self.count + 1, message)

    @property
    def vector(self) -> Vector | None:
        """The direction of the mean, None if it has none."""
        length = float(np.linalg.norm(self.total))
        if length < FAINTEST:
            return None
        return (self.total / length).astype(np.float32)


def start(message: Newest) -> DecayedMean:
    """The mean of one message."""
    return DecayedMean(message.vector.astype(np.float64), 1.0, 1, message)


def mean_of(
    known: DecayedMean | None, messages: list[Newest], half_life: timedelta
) -> DecayedMean | None:
    """With all of ``messages`` added to what is known."""
    for message in messages:
        known = start(message) if known is None else known.added(message, half_life)
    return known


def _weight(age: timedelta, half_life: timedelta) -> float:
    return float(np.exp2(-(age / half_life)))
