"""Marketing: what people say and do, and the campaigns they should see next.

Ids of users, campaigns, conversations and messages are the tenant's own words for them: any text
without white space at its ends. They mean nothing outside their tenant.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.events.base import Event, OfOurTime, Part, Slug

_TRIMMED = r"^[^\s\x00](?:[^\x00]*[^\s\x00])?$"

GivenId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_TRIMMED)]
"""An id that a tenant gave."""

IntentName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_TRIMMED)]
"""What somebody wants, in the tenant's words, like ``pricing`` or ``book_flight``."""

TenantOf = Annotated[
    str | None,
    Field(
        description="whose it is, where the record has no ce_* headers; with them, if it is there, "
        "the same as ce_tenantid"
    ),
]
Share = Annotated[float, Field(ge=0, le=1)]
Similarity = Annotated[float, Field(ge=-1, le=1, description="cosine")]
EngagementKind = Literal["impression", "click", "conversion", "dismissal"]
BudgetState = Literal["active", "paused", "exhausted"]


class LineOf(Part):
    """Where a record came from: a file and a line in it, counted from 1."""

    file: Annotated[str, Field(min_length=1, max_length=500)]
    line: Annotated[int, Field(ge=1)]


class ConversationMessage(Part):
    """One thing said. Without ``message_id`` its words, role and time are its identity."""

    message_id: GivenId | None = None
    role: Slug = Field(default="user", description="only what users say tells of them")
    text: Annotated[str, Field(max_length=1_000_000)]
    sent_at: OfOurTime


class ConversationRecorded(Event):
    """A conversation, or a part of one: messages that are known already are not taken twice."""

    conversation_id: GivenId
    user_id: GivenId
    messages: Annotated[tuple[ConversationMessage, ...], Field(min_length=1, max_length=1000)]
    channel: Annotated[str, Field(max_length=100)] | None = None
    locale: Annotated[str, Field(max_length=35)] | None = None
    line_of: LineOf | None = None
    tenant_id: TenantOf = None


class EngagementRecorded(Event):
    """What a user did with a campaign. ``engagement_id`` is its identity: sent twice, counted once.

    The campaign need not be known yet.
    """

    engagement_id: GivenId
    user_id: GivenId
    campaign_id: GivenId
    kind: EngagementKind
    happened_at: OfOurTime
    line_of: LineOf | None = None
    tenant_id: TenantOf = None


class FrequencyCap(Part):
    """At most so many impressions for each user within so many hours."""

    impressions: Annotated[int, Field(ge=1, le=10_000)]
    hours: Annotated[float, Field(gt=0, le=24 * 366)]


class CampaignChanged(Event):
    """A campaign as it is from ``changed_at`` on; of two states the later one holds."""

    campaign_id: GivenId
    title: Annotated[str, Field(min_length=1, max_length=300)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    intents: Annotated[tuple[IntentName, ...], Field(max_length=100)] = ()
    starts_at: OfOurTime | None = None
    ends_at: OfOurTime | None = None
    budget: BudgetState = "active"
    excluded_users: Annotated[tuple[GivenId, ...], Field(max_length=10_000)] = ()
    excluded_intents: Annotated[tuple[IntentName, ...], Field(max_length=100)] = Field(
        default=(), description="who wants one of these is not shown it"
    )
    frequency_cap: FrequencyCap | None = None
    deleted: bool = False
    changed_at: OfOurTime
    tenant_id: TenantOf = None


class CampaignEmbedded(Event):
    """The vector of a campaign's title and text, of the state of ``changed_at``."""

    campaign_id: GivenId
    model: Annotated[str, Field(min_length=1)] = Field(description="name@version")
    vector: Annotated[tuple[float, ...], Field(min_length=1)] = Field(description="length 1")
    changed_at: AwareDatetime
    meaning_changed: bool = Field(
        default=True, description="other words or intents than before: who is near is looked for"
    )


class Neighbour(Part):
    """A user who says similar things."""

    user_id: GivenId
    similarity: Similarity


class IntentScore(Part):
    """How near what the user says is to an intent; ``latest``: in the last message."""

    intent: IntentName
    score: Similarity
    latest: bool = False


class CampaignScore(Part):
    """How near what the user says is to a campaign's title and text."""

    campaign_id: GivenId
    similarity: Similarity


class UserEmbedded(Event):
    """Who and what is near a user now.

    Of one who has spoken, whom a new campaign concerns, or who was forgotten and has spoken since.
    A higher ``version`` replaces a lower one.
    """

    user_id: GivenId
    version: Annotated[int, Field(ge=1)]
    model: Annotated[str, Field(min_length=1)] = Field(description="name@version")
    messages: Annotated[int, Field(ge=0)] = Field(description="that the vector is made of")
    neighbours: tuple[Neighbour, ...]
    intents: tuple[IntentScore, ...] = ()
    campaigns: tuple[CampaignScore, ...] = ()
    heard_at: AwareDatetime = Field(description="when the platform took in what was said last")
    embedded_at: AwareDatetime = Field(
        description="when it was looked around; of two users' words on each other the later holds"
    )


class AffinityPath(Part):
    """Why a campaign is near a user, as one kind of connection in the graph.

    ``kind`` is ``similar-users`` (people who say similar things engaged with it), ``co-engaged``
    (people who engaged with the same campaigns did), ``intent`` (it answers what the user wants)
    or ``content`` (its text is near). ``weight`` is what this connection adds to the affinity.
    """

    kind: Slug
    weight: Annotated[float, Field(ge=0)]
    users: Annotated[int, Field(ge=0)] = Field(default=0, description="how many it goes through")
    intent: IntentName | None = None
    campaign_id: GivenId | None = Field(
        default=None, description="the campaign that both engaged with"
    )


class Candidate(Part):
    """A campaign that is connected to a user, with the strongest connections first."""

    campaign_id: GivenId
    affinity: Annotated[float, Field(ge=0)]
    paths: tuple[AffinityPath, ...] = ()


class AffinityChanged(Event):
    """The campaigns that are connected to a user. A higher ``version`` replaces a lower one."""

    user_id: GivenId
    version: Annotated[int, Field(ge=1)]
    candidates: tuple[Candidate, ...]
    intents: tuple[IntentScore, ...] = ()
    heard_at: AwareDatetime = Field(description="when the platform last took in something of them")
    computed_at: AwareDatetime


RecommendationSource = Slug
"""``personal`` (similar people, own engagement), ``intent`` (what was said) or ``popular``."""


class Reason(Part):
    """Why a campaign is recommended; ``text`` is for people to read, the rest for programs."""

    kind: Slug
    text: str
    weight: Annotated[float, Field(ge=0)] = 0.0
    users: Annotated[int, Field(ge=0)] = 0
    intent: IntentName | None = None


class RecommendedCampaign(Part):
    """One campaign of a list, the best first. Do not show it after ``ends_at``."""

    campaign_id: GivenId
    title: str
    score: Annotated[float, Field(ge=0)]
    source: RecommendationSource
    reasons: tuple[Reason, ...] = ()
    ends_at: AwareDatetime | None = None


class RecommendationChanged(Event):
    """The campaigns a user should see next. A higher ``version`` replaces a lower one."""

    user_id: GivenId
    version: Annotated[int, Field(ge=1)]
    items: tuple[RecommendedCampaign, ...]
    source: RecommendationSource
    ranker_version: Annotated[str, Field(min_length=1)]
    forgotten: bool = Field(default=False, description="the user asked to be forgotten")
    as_of: AwareDatetime


class PopularCampaignsChanged(Event):
    """What those who said and did nothing yet should see. A higher ``version`` replaces a lower."""

    list_id: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="popular")
    version: Annotated[int, Field(ge=1)]
    items: tuple[RecommendedCampaign, ...]
    ranker_version: Annotated[str, Field(min_length=1)]
    as_of: AwareDatetime


class UserForgotten(Event):
    """Remove everything about a user that was taken in up to ``forgotten_at``, everywhere."""

    user_id: GivenId
    forgotten_at: AwareDatetime


HitKind = Literal["message", "answer"]


class SearchRequested(Event):
    """Find what was said in the tenant's conversations and answers, by meaning."""

    search_id: UUID
    query: Annotated[str, Field(min_length=1, max_length=2000)]
    kinds: tuple[HitKind, ...] = ("message", "answer")
    limit: Annotated[int, Field(ge=1, le=100)] = 10
    requested_at: AwareDatetime


class SearchHit(Part):
    """A message or an answer; ``text`` is its beginning."""

    kind: Slug
    similarity: Similarity
    text: str
    user_id: GivenId | None = None
    conversation_id: GivenId | None = None
    message_id: GivenId | None = None
    completion_id: UUID | None = None
    run_id: UUID | None = None
    model: str | None = None
    at: AwareDatetime | None = None
    simulated: bool = False


class SearchAnswered(Event):
    """What was found, the nearest first; ``failure`` says why nothing could be looked for."""

    search_id: UUID
    hits: tuple[SearchHit, ...]
    model: Annotated[str, Field(min_length=1)] = Field(description="name@version")
    failure: str | None = None
    answered_at: AwareDatetime
