"""Events for the gateway's handlers, and what they do when they come as records of the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

from bus.apply import Subscription, TransactionalApply
from bus.codec import Delivered, decode
from bus.record import Headers, Record
from contracts.envelope import Envelope, to_headers
from contracts.events.base import Event
from contracts.events.completion import (
    VISIBILITY,
    CompletionFinished,
    CompletionRequested,
    Cost,
    Failure,
    Origin,
)
from contracts.events.visibility import AnswerAnalyzed, AnswerCaptured, Finding
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    MODEL_CATALOG_CHANGED,
    TOPICS,
    Topic,
    topic_named,
)
from gateway.handlers import (
    on_answers_analyzed,
    on_answers_captured,
    on_completions_finished,
    on_model_catalogs_changed,
)
from runtime.clock import SystemClock
from services.gateway.tests.calling_api import Api
from services.gateway.tests.kits import Kit

E = TypeVar("E", bound=Event)
AT = datetime(2026, 11, 3, 9, 20, tzinfo=UTC)
SUBSCRIPTIONS: list[Subscription[Any, Any]] = [
    Subscription(COMPLETION_FINISHED, on_completions_finished),
    Subscription(ANSWER_ANALYZED, on_answers_analyzed),
    Subscription(ANSWER_CAPTURED, on_answers_captured),
    Subscription(MODEL_CATALOG_CHANGED, on_model_catalogs_changed),
]
_TOPIC_OF: dict[type[Event], Topic[Event]] = {topic.event: topic for topic in TOPICS}


def delivered(record: Record) -> Delivered[Event]:
    """A record as the consumer decodes it."""
    return decode({record.topic: topic_named(record.topic)}, record)


def record_of(
    tenant_id: str, event: Event, *, source: str = "tests", headers: Headers | None = None
) -> Record:
    """An event as it stands on its topic, told for the first time."""
    topic = _TOPIC_OF[type(event)]
    event_id, key = str(uuid4()), topic.record_key(event, tenant_id)
    envelope = Envelope(
        id=event_id,
        source=source,
        type=topic.name,
        time=AT,
        subject=topic.key_of(event),
        tenant_id=tenant_id,
        correlation_id=event_id,
    )
    given = to_headers(envelope) if headers is None else headers
    return Record(topic.name, 0, 0, key.encode(), event.model_dump_json().encode(), given, 0)


class Feed:
    """The gateway's handlers behind its inbox, over the stores of a kit."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.apply = TransactionalApply(
            "gateway", kit.store, kit.bind, SUBSCRIPTIONS, SystemClock()
        )

    async def tell(self, tenant_id: str, *events: Event) -> None:
        """All of these in one batch, each a new record."""
        await self.apply([delivered(record_of(tenant_id, event)) for event in events])


async def owed(api: Api, topic: Topic[E]) -> list[E]:
    """The events of a topic that the tenant's commands owe the log."""
    rows = await api.kit.owed(api.tenant_id)
    return [topic.event.model_validate_json(row.payload) for row in rows if row.topic == topic.name]


async def asked(api: Api, run_id: str) -> list[CompletionRequested]:
    """The calls of a run."""
    calls = await owed(api, COMPLETION_REQUESTED)
    return [call for call in calls if str(call.origin.parent_id) == run_id]


def answered(
    call: CompletionRequested, text: str | None = "It is Notion.", **changes: Any
) -> CompletionFinished:
    """A call that was answered."""
    given: dict[str, Any] = {
        "completion_id": call.completion_id,
        "model": call.model,
        "origin": call.origin,
        "outcome": "answered",
        "text": text,
        "cost": Cost(usd=Decimal("0.00125")),
        "attempts": 1,
        "queue_ms": 5,
        "provider_ms": 700,
        "simulated": False,
        "finished_at": AT,
    }
    return CompletionFinished(**given | changes)


def failed(call: CompletionRequested, kind: str = "auth", **changes: Any) -> CompletionFinished:
    """A call that failed, or with ``outcome="not_run"`` was not made."""
    failure = Failure(kind=kind, message=f"it said {kind}")
    given: dict[str, Any] = {"outcome": "failed", "failure": failure, "cost": None}
    return answered(call, None, **given | changes)


def found(brand_id: UUID | str, mentions: int = 1, **changes: Any) -> Finding:
    """A brand that an answer names, and no more."""
    given: dict[str, Any] = {
        "brand_id": brand_id,
        "mentions": mentions,
        "named": mentions > 0,
        "recommended": False,
        "denied": False,
        "cited": False,
        "link_only": False,
        "rank": 1 if mentions else None,
    }
    return Finding(**given | changes)


def analyzed(
    call: CompletionRequested, findings: Sequence[Finding] = (), **changes: Any
) -> AnswerAnalyzed:
    """What was found in the answer to a call."""
    given: dict[str, Any] = {
        "completion_id": call.completion_id,
        "run_id": call.origin.parent_id,
        "prompt_id": call.origin.item_id,
        "model": call.model,
        "sample": call.origin.sample,
        "analyzer_version": "test-1",
        "mentions": (),
        "findings": tuple(findings),
        "simulated": False,
        "analyzed_at": AT,
    }
    return AnswerAnalyzed(**given | changes)


def analyzed_capture(
    capture: AnswerCaptured, findings: Sequence[Finding] = (), **changes: Any
) -> AnswerAnalyzed:
    """What was found in an answer from elsewhere; its run has to be known."""
    given: dict[str, Any] = {
        "completion_id": capture.answer_id,
        "run_id": capture.run_id,
        "prompt_id": UUID(int=7),
        "model": capture.model,
        "sample": 0,
        "analyzer_version": "test-1",
        "mentions": (),
        "findings": tuple(findings),
        "simulated": capture.simulated,
        "analyzed_at": AT,
    }
    return AnswerAnalyzed(**given | changes)


def a_capture(**changes: Any) -> AnswerCaptured:
    """An answer that a tool outside has seen."""
    given: dict[str, Any] = {
        "answer_id": uuid4(),
        "prompt": "Which app?",
        "surface": "app",
        "model": "ChatGPT",
        "text": "I would take Notion.",
        "captured_at": AT,
    }
    return AnswerCaptured(**given | changes)


def of_another_job(call: CompletionRequested) -> Origin:
    """The origin of a call that no run has made."""
    return call.origin.model_copy(update={"kind": f"not-{VISIBILITY}"})
