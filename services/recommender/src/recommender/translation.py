"""Between events and the domain: one function for each event, in either direction."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter, itemgetter

from bus.codec import Delivered
from contracts.events.marketing import (
    AffinityChanged,
    CampaignChanged,
    CampaignEmbedded,
    EngagementRecorded,
    PopularCampaignsChanged,
    RecommendationChanged,
)
from contracts.events.marketing import Candidate as ToldCandidate

from recommender.domain.models import (
    Affinity,
    Campaign,
    CampaignVector,
    Candidate,
    Engagement,
    FrequencyCap,
    Intent,
    Kind,
    Path,
    Source,
)
from recommender.domain.policy import Policy
from recommender.domain.rules import RANKER_VERSION
from recommender.recommending import NewList, NewPopular

POPULAR_LIST = "popular"
_path = attrgetter(*Path._fields)
_weight = itemgetter(Path._fields.index("weight"))


def affinity(event: AffinityChanged, policy: Policy) -> Affinity:
    """The nearest campaigns with their strongest connections, as many as are kept."""
    nearest = sorted(event.candidates, key=lambda one: (-one.affinity, one.campaign_id))
    return Affinity(
        version=event.version,
        heard_at=event.heard_at,
        candidates=tuple(_candidate(one, policy.paths) for one in nearest[: policy.candidates]),
        intents=tuple(Intent(one.intent, one.score, one.latest) for one in event.intents),
    )


def _candidate(told: ToldCandidate, paths: int) -> Candidate:
    strongest = sorted(map(_path, told.paths), key=_weight, reverse=True)[:paths]
    return Candidate(told.campaign_id, told.affinity, tuple(map(Path._make, strongest)))


def engagement(item: Delivered[EngagementRecorded], now: datetime) -> Engagement:
    """What a user did. What is said to happen later than now happened now.

    A time in the future would weigh more than everything else for ever.
    """
    event = item.event
    return Engagement(
        engagement_id=event.engagement_id,
        user_id=event.user_id,
        campaign_id=event.campaign_id,
        kind=Kind(event.kind),
        at=min(event.happened_at, now),
        taken_at=item.taken_in(now),
    )


def campaign(event: CampaignChanged) -> Campaign:
    """A campaign as it is from ``changed_at`` on."""
    cap = event.frequency_cap
    return Campaign(
        campaign_id=event.campaign_id,
        title=event.title,
        changed_at=event.changed_at,
        intents=event.intents,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        budget_active=event.budget == "active",
        excluded_users=frozenset(event.excluded_users),
        excluded_intents=frozenset(event.excluded_intents),
        cap=None if cap is None else FrequencyCap(cap.impressions, timedelta(hours=cap.hours)),
        deleted=event.deleted,
    )


def vector(event: CampaignEmbedded) -> CampaignVector:
    """The vector of a state of a campaign."""
    return CampaignVector(event.campaign_id, event.model, event.vector, event.changed_at)


def recommendation(new: NewList) -> RecommendationChanged:
    """A user's list."""
    return RecommendationChanged.model_validate(
        {
            "user_id": new.user[1],
            "version": new.version,
            "items": new.ranking.items,
            "source": new.ranking.source.value,
            "ranker_version": RANKER_VERSION,
            "as_of": new.as_of,
        },
        from_attributes=True,
    )


def forgotten(user_id: str, version: int, now: datetime) -> RecommendationChanged:
    """The end of a user's list."""
    return RecommendationChanged(
        user_id=user_id,
        version=version,
        items=(),
        source=Source.POPULAR.value,
        ranker_version=RANKER_VERSION,
        forgotten=True,
        as_of=now,
    )


def popular_campaigns(new: NewPopular) -> PopularCampaignsChanged:
    """A tenant's popular list."""
    return PopularCampaignsChanged.model_validate(
        {
            "list_id": POPULAR_LIST,
            "version": new.version,
            "items": new.ranking.items,
            "ranker_version": RANKER_VERSION,
            "as_of": new.as_of,
        },
        from_attributes=True,
    )
