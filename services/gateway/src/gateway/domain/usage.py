"""What each key uses, summed up by hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request; bytes are those of the bodies as they were on the wire."""

    method: str
    route: str
    status: int
    seconds: float
    request_bytes: int
    response_bytes: int


@dataclass(frozen=True, slots=True)
class UsageSlot:
    """What is summed up together."""

    key_id: UUID
    method: str
    route: str
    status: int
    hour: datetime


@dataclass(slots=True)
class Tally:
    """Sums of a slot; seconds are total and longest."""

    requests: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    last_at: datetime = _NEVER

    def add(self, request: Request, now: datetime) -> None:
        """Count a request."""
        self.requests += 1
        self.seconds += request.seconds
        self.longest = max(self.longest, request.seconds)
        self.request_bytes += request.request_bytes
        self.response_bytes += request.response_bytes
        self.last_at = now


class UsageLedger:
    """Sums of this process since its start, by slot, until they are stored and their hour is over.

    They are stored as totals, not as differences, so that storing them twice counts them once.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._tallies: dict[UsageSlot, Tally] = {}
        self._unstored: set[UsageSlot] = set()
        self._hour = _NEVER

    def note(self, key_id: UUID, request: Request) -> None:
        """Count a request of a key."""
        now = self._now()
        # A clock that is set back must not bring back an hour whose totals are forgotten.
        self._hour = max(self._hour, now.replace(minute=0, second=0, microsecond=0))
        slot = UsageSlot(key_id, request.method, request.route, request.status, self._hour)
        self._tallies.setdefault(slot, Tally()).add(request, now)
        self._unstored.add(slot)

    def unstored(self) -> Sequence[tuple[UsageSlot, Tally]]:
        """Slots with something new; they count as stored from now on, unless ``restore`` d."""
        slots, self._unstored = self._unstored, set()
        return [(slot, self._tallies[slot]) for slot in slots]

    def restore(self, slots: Iterable[UsageSlot]) -> None:
        """They could not be stored: to be offered again."""
        self._unstored.update(slots)

    def forget_past(self) -> None:
        """Let go of hours that are over and stored."""
        self._tallies = {
            slot: tally
            for slot, tally in self._tallies.items()
            if slot in self._unstored or slot.hour >= self._hour
        }


class UsageBy(StrEnum):
    """What usage is grouped by."""

    DAY = "day"
    HOUR = "hour"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Whose usage of which time. ``start`` is within, ``end`` is not; None: all keys."""

    tenant_id: str
    key_id: UUID | None
    start: datetime
    end: datetime
    by: UsageBy


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of a group; what the groups are not made by is None."""

    starts_at: datetime | None
    method: str | None
    route: str | None
    requests: int
    errors: int
    refused: int
    seconds: float
    longest: float
    request_bytes: int
    response_bytes: int
