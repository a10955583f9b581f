"""What a tenant's people did with a campaign, in decaying sums that hold no person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recommender.domain.decay import NOTHING, added, moved, weight
from recommender.domain.models import Kind

ENGAGED = frozenset({Kind.CLICK, Kind.CONVERSION})


@dataclass(frozen=True, slots=True)
class Tally:
    """Logarithms of sums that decay; ``people`` counts each by their last click or conversion."""

    impressions: float = NOTHING
    clicks: float = NOTHING
    conversions: float = NOTHING
    dismissals: float = NOTHING
    people: float = NOTHING


_FIELD = {
    Kind.IMPRESSION: "impressions",
    Kind.CLICK: "clicks",
    Kind.CONVERSION: "conversions",
    Kind.DISMISSAL: "dismissals",
}


def counted(
    tally: Tally, kind: Kind, at: datetime, engaged_at: datetime | None, half_life: timedelta
) -> Tally:
    """The tally with one more engagement; ``engaged_at`` is that user's last one before it.

    A person moves to their latest engagement, so that the sum is the same in whatever order
    engagements arrive.
    """
    gain = weight(at, half_life)
    name = _FIELD[kind]
    tally = replace(tally, **{name: added(getattr(tally, name), gain)})
    if kind not in ENGAGED or (engaged_at is not None and engaged_at >= at):
        return tally
    before = NOTHING if engaged_at is None else weight(engaged_at, half_life)
    return replace(tally, people=added(tally.people, moved(gain, before)))
