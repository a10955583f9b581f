"""Every topic of Limelight, declared once.

Docs, JSON Schemas and the AsyncAPI document are generated from here, topics are created from
here, and a test holds the subscriptions in the code against ``consumers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from contracts.events.base import Event
from contracts.events.catalog import ModelCatalogChanged
from contracts.events.completion import (
    CompletionBatchCancelled,
    CompletionChunked,
    CompletionFinished,
    CompletionRequested,
)
from contracts.events.marketing import (
    AffinityChanged,
    CampaignChanged,
    CampaignEmbedded,
    ConversationRecorded,
    EngagementRecorded,
    PopularCampaignsChanged,
    RecommendationChanged,
    SearchAnswered,
    SearchRequested,
    UserEmbedded,
    UserForgotten,
)
from contracts.events.tenancy import TenantChanged
from contracts.events.visibility import (
    AnswerAnalyzed,
    AnswerCaptured,
    ReanalysisRequested,
    VisibilityRunStarted,
)

E = TypeVar("E", bound=Event)
_NAME = re.compile(r"^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*$")

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Topic(Generic[E]):
    """One topic: what it carries, how it is keyed and kept, who writes and who reads it.

    ``key`` names the field of the entity whose state consumers overwrite, never the run: one run
    must spread over all partitions. ``retention`` None means compacted. A ``public`` topic also
    takes records of producers outside, and of such that send no ``ce_*`` headers: its event has a
    field ``tenant_id``. Without headers an event is known again by the fields of ``identity``, or
    by its key if there are none. Its consumers refuse what is of a tenant that does not exist.

    Compaction keeps one record per key of all tenants: where tenants give the ids themselves the
    key has to name the tenant too (``tenant_in_key``), and is ``<tenant>/<id>``.

    ``followers`` read the whole topic into memory and go on reading it, each process by itself:
    they have no group, commit nothing, and bury nothing.
    """

    name: str
    event: type[E]
    key: str
    purpose: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int = 6
    retention: timedelta | None = WEEK
    max_record_bytes: int = 1_048_576
    public: bool = False
    identity: tuple[str, ...] = ()
    tenant_in_key: bool = False
    followers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"topic name {self.name!r} is not <domain>.<past-participle>.v<major>")
        if self.key not in self.event.model_fields:
            raise ValueError(f"{self.event.__name__} has no field {self.key!r} to key by")
        if self.public and "tenant_id" not in self.event.model_fields:
            raise ValueError(f"{self.event.__name__} is public and has no field tenant_id")
        if unknown := set(self.identity) - set(self.event.model_fields):
            raise ValueError(f"{self.event.__name__} has no fields {sorted(unknown)}")

    def key_of(self, event: E) -> str:
        """The CloudEvents subject of an event: what it is about."""
        return str(getattr(event, self.key))

    def record_key(self, event: E, tenant_id: str) -> str:
        """The key of its record: the subject, with the tenant where that is part of the key."""
        subject = self.key_of(event)
        return f"{tenant_id}/{subject}" if self.tenant_in_key else subject

    def identity_of(self, event: E) -> str:
        """What tells the event from others of its tenant."""
        values = [str(getattr(event, name)) for name in self.identity]
        return "\n".join(values) or self.key_of(event)


TENANT_CHANGED = Topic(
    name="tenant.changed.v1",
    event=TenantChanged,
    key="tenant_id",
    purpose="Which tenants there are, for whoever reads records of producers outside.",
    producers=("gateway",),
    consumers=(),
    followers=("mention-analyzer", "embedding", "graph-loader", "recommender", "gateway"),
    partitions=1,
    retention=None,
    tenant_in_key=True,
)
VISIBILITY_RUN_STARTED = Topic(
    name="visibility-run.started.v1",
    event=VisibilityRunStarted,
    key="run_id",
    purpose="Which brands to look for in the answers of a run.",
    producers=("gateway",),
    consumers=("mention-analyzer",),
)
COMPLETION_REQUESTED = Topic(
    name="completion.requested.v1",
    event=CompletionRequested,
    key="completion_id",
    purpose="One model call to make.",
    producers=("gateway",),
    consumers=("llm-executor",),
)
COMPLETION_FINISHED = Topic(
    name="completion.finished.v1",
    event=CompletionFinished,
    key="completion_id",
    purpose="What a model answered, or why it did not.",
    producers=("llm-executor",),
    consumers=("mention-analyzer", "gateway", "embedding"),
)
COMPLETION_CHUNKED = Topic(
    name="completion.chunked.v1",
    event=CompletionChunked,
    key="completion_id",
    purpose="A piece of an answer while it is written, if the request asked for a stream.",
    producers=("llm-executor",),
    consumers=("gateway",),
    retention=timedelta(days=1),
)
COMPLETION_BATCH_CANCELLED = Topic(
    name="completion-batch.cancelled.v1",
    event=CompletionBatchCancelled,
    key="parent_id",
    purpose="Stop the calls of a run that are not made yet.",
    producers=("gateway",),
    consumers=("llm-executor",),
)
MODEL_CATALOG_CHANGED = Topic(
    name="model-catalog.changed.v1",
    event=ModelCatalogChanged,
    key="provider",
    purpose="Which models a provider offers, with prices, context lengths and modalities.",
    producers=("llm-executor",),
    consumers=("gateway",),
    partitions=1,
    retention=None,
)
REANALYSIS_REQUESTED = Topic(
    name="reanalysis.requested.v1",
    event=ReanalysisRequested,
    key="run_id",
    purpose="Other brands to look for in the stored answers of a run.",
    producers=("gateway",),
    consumers=("mention-analyzer",),
)
ANSWER_CAPTURED = Topic(
    name="answer.captured.v1",
    event=AnswerCaptured,
    key="answer_id",
    purpose="An answer that an assistant gave elsewhere; also from producers outside.",
    producers=("gateway",),
    consumers=("mention-analyzer", "gateway"),
    public=True,
)
ANSWER_ANALYZED = Topic(
    name="answer.analyzed.v1",
    event=AnswerAnalyzed,
    key="completion_id",
    purpose="Which brands an answer names, and where.",
    producers=("mention-analyzer",),
    consumers=("gateway", "graph-loader"),
)
CONVERSATION_RECORDED = Topic(
    name="conversation.recorded.v1",
    event=ConversationRecorded,
    key="user_id",
    purpose="What a user said; also from producers outside.",
    producers=("gateway",),
    consumers=("embedding", "graph-loader"),
    max_record_bytes=4_194_304,
    public=True,
    identity=("user_id", "conversation_id", "messages"),
)
ENGAGEMENT_RECORDED = Topic(
    name="engagement.recorded.v1",
    event=EngagementRecorded,
    key="user_id",
    purpose="What a user did with a campaign; also from producers outside.",
    producers=("gateway",),
    consumers=("graph-loader", "recommender"),
    public=True,
    identity=("engagement_id",),
)
CAMPAIGN_CHANGED = Topic(
    name="campaign.changed.v1",
    event=CampaignChanged,
    key="campaign_id",
    purpose="A campaign as it is now; also from producers outside.",
    producers=("gateway",),
    consumers=("embedding", "graph-loader", "recommender", "gateway"),
    retention=None,
    public=True,
    identity=("campaign_id", "changed_at"),
    tenant_in_key=True,
)
CAMPAIGN_EMBEDDED = Topic(
    name="campaign.embedded.v1",
    event=CampaignEmbedded,
    key="campaign_id",
    purpose="The vector of a campaign, by which alike ones and those near to it are told.",
    producers=("embedding",),
    consumers=("recommender", "embedding"),
    retention=None,
    tenant_in_key=True,
)
USER_EMBEDDED = Topic(
    name="user.embedded.v1",
    event=UserEmbedded,
    key="user_id",
    purpose="Who says similar things to what a user says, and what they want.",
    producers=("embedding",),
    consumers=("graph-loader",),
)
AFFINITY_CHANGED = Topic(
    name="affinity.changed.v1",
    event=AffinityChanged,
    key="user_id",
    purpose="Which campaigns are connected to a user, how strongly and why.",
    producers=("graph-loader",),
    consumers=("recommender",),
)
RECOMMENDATION_CHANGED = Topic(
    name="recommendation.changed.v1",
    event=RecommendationChanged,
    key="user_id",
    purpose="The campaigns that a user should see next.",
    producers=("recommender",),
    consumers=("gateway",),
    retention=None,
    tenant_in_key=True,
)
POPULAR_CAMPAIGNS_CHANGED = Topic(
    name="popular-campaigns.changed.v1",
    event=PopularCampaignsChanged,
    key="list_id",
    purpose="The campaigns for those of whom nothing is known.",
    producers=("recommender",),
    consumers=("gateway",),
    retention=None,
    tenant_in_key=True,
)
USER_FORGOTTEN = Topic(
    name="user.forgotten.v1",
    event=UserForgotten,
    key="user_id",
    purpose="Everything about a user is to be removed.",
    producers=("gateway",),
    consumers=("embedding", "graph-loader", "recommender", "gateway"),
    retention=timedelta(days=30),
)
SEARCH_REQUESTED = Topic(
    name="search.requested.v1",
    event=SearchRequested,
    key="search_id",
    purpose="A search by meaning over conversations and answers.",
    producers=("gateway",),
    consumers=("embedding",),
    retention=timedelta(days=1),
)
SEARCH_ANSWERED = Topic(
    name="search.answered.v1",
    event=SearchAnswered,
    key="search_id",
    purpose="What a search found.",
    producers=("embedding",),
    consumers=("gateway",),
    retention=timedelta(days=1),
)

TOPICS: tuple[Topic[Event], ...] = (  # type: ignore[assignment]
    TENANT_CHANGED,
    VISIBILITY_RUN_STARTED,
    COMPLETION_REQUESTED,
    COMPLETION_FINISHED,
    COMPLETION_CHUNKED,
    COMPLETION_BATCH_CANCELLED,
    MODEL_CATALOG_CHANGED,
    REANALYSIS_REQUESTED,
    ANSWER_CAPTURED,
    ANSWER_ANALYZED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    USER_EMBEDDED,
    AFFINITY_CHANGED,
    RECOMMENDATION_CHANGED,
    POPULAR_CAMPAIGNS_CHANGED,
    USER_FORGOTTEN,
    SEARCH_REQUESTED,
    SEARCH_ANSWERED,
)


def dlq_name(topic: str, group: str) -> str:
    """Where a group's records of a topic go that it could not process."""
    return f"{topic}.{group}.dlq"


def topic_named(name: str) -> Topic[Event]:
    """The topic of that name. Raises KeyError if there is none."""
    return {topic.name: topic for topic in TOPICS}[name]
