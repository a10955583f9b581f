"""Whether a user may be shown a campaign now, and from when on that changes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from recommender.domain.models import Affinity, Campaign, Facts, FrequencyCap
from recommender.domain.policy import Policy


class Why(StrEnum):
    """Why a campaign is kept from a user."""

    DELETED = "deleted"
    ENDED = "ended"
    BUDGET = "budget"
    EXCLUDED_USER = "excluded-user"
    EXCLUDED_INTENT = "excluded-intent"
    CONVERTED = "converted"
    NOT_STARTED = "not-started"
    DISMISSED = "dismissed"
    CAPPED = "capped"


class Barrier(NamedTuple):
    """What stands between a user and a campaign; it falls at ``until``, or not by itself."""

    why: Why
    until: datetime | None = None


def wanted(affinity: Affinity | None, policy: Policy) -> frozenset[str]:
    """What a user wants, as far as exclusions go."""
    if affinity is None:
        return frozenset()
    return frozenset(one.name for one in affinity.intents if one.score >= policy.wanted_intent)


def closed(campaign: Campaign, now: datetime) -> Barrier | None:
    """What keeps a campaign from everybody."""
    if campaign.deleted:
        return Barrier(Why.DELETED)
    if campaign.ends_at is not None and campaign.ends_at <= now:
        return Barrier(Why.ENDED)
    if not campaign.budget_active:
        return Barrier(Why.BUDGET)
    if campaign.starts_at is not None and campaign.starts_at > now:
        return Barrier(Why.NOT_STARTED, campaign.starts_at)
    return None


def barrier(
    campaign: Campaign,
    user_id: str,
    intents: AbstractSet[str],
    facts: Facts | None,
    now: datetime,
    policy: Policy,
) -> Barrier | None:
    """What keeps a campaign from this user. ``intents`` are those that they want."""
    if (found := closed(campaign, now)) is not None:
        return found
    if user_id in campaign.excluded_users:
        return Barrier(Why.EXCLUDED_USER)
    if campaign.excluded_intents and not campaign.excluded_intents.isdisjoint(intents):
        return Barrier(Why.EXCLUDED_INTENT)
    return None if facts is None else _by_facts(campaign.cap, facts, now, policy)


def _by_facts(
    cap: FrequencyCap | None, facts: Facts, now: datetime, policy: Policy
) -> Barrier | None:
    if facts.converted_at is not None:
        return Barrier(Why.CONVERTED)
    if facts.dismissed_at is not None and facts.dismissed_at + policy.dismissed_for > now:
        return Barrier(Why.DISMISSED, facts.dismissed_at + policy.dismissed_for)
    if cap is None:
        return None
    until = capped_until(cap, facts.impressions, policy.impressions_kept)
    return Barrier(Why.CAPPED, until) if until is not None and until > now else None


def capped_until(
    cap: FrequencyCap, impressions: tuple[datetime, ...], kept: int
) -> datetime | None:
    """When the oldest of the impressions that fill the cap leaves its window."""
    full = min(cap.impressions, kept)
    if len(impressions) < full:
        return None
    return sorted(impressions)[-full] + cap.window
