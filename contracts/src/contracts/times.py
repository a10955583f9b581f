"""Times that producers outside tell: what every zone and every store can hold."""

from __future__ import annotations

from datetime import UTC, datetime

_FROM, _TO = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def of_our_time(at: datetime) -> datetime:
    """The same time, which has a zone. Raises ValueError: it is not between 1970 and 2200."""
    if not _FROM <= at < _TO:
        raise ValueError(f"{at.isoformat()} is not between 1970 and 2200")
    return at
