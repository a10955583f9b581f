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
    field ``tenant_id``.
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

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"topic name {self.name!r} is not <domain>.<past-participle>.v<major>")
        if self.key not in self.event.model_fields:
            raise ValueError(f"{self.event.__name__} has no field {self.key!r} to key by")
        if self.public and "tenant_id" not in self.event.model_fields:
            raise ValueError(f"{self.event.__name__} is public and has no field tenant_id")

    def key_of(self, event: E) -> str:
        """The record key and CloudEvents subject of an event."""
        return str(getattr(event, self.key))


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
    consumers=("mention-analyzer", "gateway"),
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
    consumers=("gateway",),
)

TOPICS: tuple[Topic[Event], ...] = (  # type: ignore[assignment]
    VISIBILITY_RUN_STARTED,
    COMPLETION_REQUESTED,
    COMPLETION_FINISHED,
    COMPLETION_CHUNKED,
    COMPLETION_BATCH_CANCELLED,
    MODEL_CATALOG_CHANGED,
    REANALYSIS_REQUESTED,
    ANSWER_CAPTURED,
    ANSWER_ANALYZED,
)


def dlq_name(topic: str, group: str) -> str:
    """Where a group's records of a topic go that it could not process."""
    return f"{topic}.{group}.dlq"


def topic_named(name: str) -> Topic[Event]:
    """The topic of that name. Raises KeyError if there is none."""
    return {topic.name: topic for topic in TOPICS}[name]
