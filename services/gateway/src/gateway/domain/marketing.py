"""What tenants tell of their users and campaigns. Pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from gateway.domain.errors import InvalidCampaign

# Fixed for ever: the same line of a file must have the same id whenever it is sent.
_SAID = UUID("0b7a4f0e-5a9b-5d7c-8f2f-3b1f4f7f2f61")
_ACTIVE = "active"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most so many impressions for each user within so many hours."""

    impressions: int
    hours: float


@dataclass(frozen=True, slots=True)
class Window:
    """When a campaign is shown: from ``start`` until before ``end``, microseconds since 1970."""

    start: int
    end: int

    def holds(self, at: datetime) -> bool:
        """Whether it is shown at that time."""
        return self.start <= microseconds(at) < self.end


NEVER = Window(0, 0)
_ALWAYS = 10**18
"""Later than any time of ours."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it is from ``changed_at`` on; of two states the later one holds.

    ``budget`` is active, paused or exhausted. ``excluded_users`` are never shown it.
    """

    tenant_id: str
    campaign_id: str
    title: str
    changed_at: datetime
    text: str = ""
    intents: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    budget: str = _ACTIVE
    excluded_users: tuple[str, ...] = ()
    excluded_intents: tuple[str, ...] = ()
    frequency_cap: FrequencyCap | None = None
    deleted: bool = False

    @property
    def active(self) -> bool:
        """Whether it may be shown, as far as its budget goes."""
        return not self.deleted and self.budget == _ACTIVE

    def window(self, now: datetime) -> Window | None:
        """When it is shown, from now on; None: whenever.

        One without an end whose start has come needs no window, nor has any more.
        """
        if not self.active:
            return NEVER
        if self.ends_at is None and (self.starts_at is None or self.starts_at <= now):
            return None
        start = 0 if self.starts_at is None else microseconds(self.starts_at)
        return Window(start, _ALWAYS if self.ends_at is None else microseconds(self.ends_at))

    @property
    def version(self) -> int:
        """Its place among its states."""
        return microseconds(self.changed_at)


def check_campaign(campaign: Campaign) -> None:
    """Raise InvalidCampaign if it can never be shown."""
    starts, ends = campaign.starts_at, campaign.ends_at
    if starts is not None and ends is not None and ends <= starts:
        raise InvalidCampaign(
            f"the campaign ends at {ends.isoformat()}, before it starts",
            "let ends_at be later than starts_at, or leave one of them out",
        )


def microseconds(at: datetime) -> int:
    """A time as whole microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def said_id(at: datetime, *parts: str) -> str:
    """An id that follows from what was said and when: sent again it is the same.

    No part but the last may contain NUL, which no id does.
    """
    return str(uuid5(_SAID, "\0".join((str(microseconds(at)), *parts))))
