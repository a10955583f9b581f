"""Sums in which what is older counts less, whatever order it arrives in.

Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay: a practical time decay model
for streaming systems", ICDE 2009): an event at time t weighs 2^((t - epoch) / half-life) for ever,
and the sum is divided by the weight of now when it is read. The weights leave every float within
decades, so that sums are kept as their logarithms to base 2. The store's scripts do the same
arithmetic.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
NOTHING = -math.inf
"""The logarithm of an empty sum."""
_LARGEST = 1000.0


def weight(at: datetime, half_life: timedelta) -> float:
    """The logarithm of what an event at that time weighs: half-lives since the epoch."""
    return (at - EPOCH) / half_life


def added(one: float, other: float) -> float:
    """log2(2^one + 2^other)."""
    low, high = sorted((one, other))
    if low == NOTHING:
        return high
    return high + math.log1p(math.exp2(low - high)) / math.log(2)


def moved(later: float, earlier: float) -> float:
    """log2(2^later - 2^earlier): what a sum gains if its only event moves to a later time."""
    if earlier == NOTHING:
        return later
    gained = 1 - math.exp2(earlier - later)
    return later + math.log2(gained) if gained > 0 else NOTHING


def worth(log_sum: float, now: datetime, half_life: timedelta) -> float:
    """What a sum is worth at ``now``: 1 for one event that has just happened."""
    if log_sum == NOTHING:
        return 0.0
    return math.exp2(min(log_sum - weight(now, half_life), _LARGEST))
