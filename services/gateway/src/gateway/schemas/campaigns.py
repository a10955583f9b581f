"""JSON shapes of campaigns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from contracts.events.base import OfOurTime
from contracts.events.marketing import BudgetState, FrequencyCap, GivenId, IntentName
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.domain import marketing
from gateway.domain.marketing import Campaign
from gateway.schemas.common import NoNul, RequestBody

Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=NoNul)
]
Intents = Annotated[list[IntentName], Field(max_length=100)]


class FrequencyCapIn(RequestBody):
    """At most so many impressions for each user within so many hours."""

    impressions: Annotated[int, Field(ge=1, le=10_000)]
    hours: Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)]


class CampaignIn(RequestBody):
    """A campaign as it is from now on; what is left out is as if it had never been said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Espresso week",
                    "text": "Twenty percent off every espresso machine.",
                    "intents": ["espresso_machine", "pricing"],
                    "ends_at": "2026-12-01T00:00:00Z",
                    "excluded_users": ["u-staff"],
                    "frequency_cap": {"impressions": 3, "hours": 24},
                }
            ]
        },
    )

    title: Title
    text: Annotated[str, StringConstraints(max_length=20_000, pattern=NoNul)] = ""
    intents: Intents = Field(default_factory=list, description="what it answers")
    starts_at: OfOurTime | None = None
    ends_at: OfOurTime | None = Field(default=None, description="it is not shown from then on")
    budget: BudgetState = Field(default="active", description="others than active are not shown")
    excluded_users: Annotated[list[GivenId], Field(max_length=10_000)] = Field(
        default_factory=list, description="who is never shown it"
    )
    excluded_intents: Intents = Field(
        default_factory=list, description="who wants one of these is not shown it"
    )
    frequency_cap: FrequencyCapIn | None = None


class CampaignView(BaseModel):
    """A campaign of the tenant."""

    campaign_id: str
    title: str
    text: str
    intents: list[str]
    starts_at: datetime | None
    ends_at: datetime | None
    budget: str
    excluded_users: list[str]
    excluded_intents: list[str]
    frequency_cap: FrequencyCap | None
    changed_at: datetime


class CampaignPage(BaseModel):
    """Campaigns by id."""

    items: list[CampaignView]
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


def campaign_of(body: CampaignIn, tenant_id: str, campaign_id: str, now: datetime) -> Campaign:
    """The campaign of a request."""
    cap = body.frequency_cap
    return Campaign(
        tenant_id=tenant_id,
        campaign_id=campaign_id,
        title=body.title,
        changed_at=now,
        text=body.text,
        intents=tuple(dict.fromkeys(body.intents)),
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        budget=body.budget,
        excluded_users=tuple(dict.fromkeys(body.excluded_users)),
        excluded_intents=tuple(dict.fromkeys(body.excluded_intents)),
        frequency_cap=None if cap is None else marketing.FrequencyCap(cap.impressions, cap.hours),
    )


def campaign_view(campaign: Campaign) -> CampaignView:
    """A campaign as JSON."""
    cap = campaign.frequency_cap
    return CampaignView(
        campaign_id=campaign.campaign_id,
        title=campaign.title,
        text=campaign.text,
        intents=list(campaign.intents),
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        budget=campaign.budget,
        excluded_users=list(campaign.excluded_users),
        excluded_intents=list(campaign.excluded_intents),
        frequency_cap=None
        if cap is None
        else FrequencyCap(impressions=cap.impressions, hours=cap.hours),
        changed_at=campaign.changed_at,
    )
