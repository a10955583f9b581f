"""Events that commands owe the log, as rows of the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from bus.errors import RecordTooLarge
from bus.outbox import OutboxRow, originate
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.events.completion import CompletionBatchCancelled
from contracts.topics import (
    ANSWER_CAPTURED,
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_REQUESTED,
    REANALYSIS_REQUESTED,
    VISIBILITY_RUN_STARTED,
    Topic,
)
from runtime.ids import new_id
from runtime.tracing import traceparent_of

from gateway import translation
from gateway.domain import NAME
from gateway.domain.errors import EventTooLarge, InvalidRun
from gateway.domain.models import Brand, CapturedAnswer, PlannedCompletion, Run

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Origins:
    """Whose events these are, what they belong together by, when and in which trace.

    ``correlation_id`` None: each belongs to nothing but what it sets off itself.
    """

    tenant_id: str
    correlation_id: str | None
    now: datetime
    traceparent: str | None

    @classmethod
    def of(cls, tenant_id: str, correlation_id: UUID | None, now: datetime) -> Origins:
        """In the trace of the request at hand."""
        shared = None if correlation_id is None else str(correlation_id)
        return cls(tenant_id, shared, now, traceparent_of())

    def row(self, topic: Topic[E], event: E) -> OutboxRow:
        """One event as a row of the outbox. Raises EventTooLarge."""
        event_id = str(new_id())
        envelope = Envelope(
            id=event_id,
            source=NAME,
            type=topic.name,
            time=self.now,
            subject=topic.key_of(event),
            tenant_id=self.tenant_id,
            correlation_id=self.correlation_id or event_id,
            traceparent=self.traceparent,
        )
        try:
            return originate(topic, event, envelope)
        except RecordTooLarge as error:
            raise EventTooLarge(
                f"it makes an event that is too large ({error})", "shorten it, or send it in parts"
            ) from error


def started(origins: Origins, run: Run) -> OutboxRow:
    """What to look for in the answers of a run."""
    return _of_run(origins, VISIBILITY_RUN_STARTED, translation.started(run))


def run_events(run: Run, completions: Iterable[PlannedCompletion]) -> list[OutboxRow]:
    """The start of a run and all its calls."""
    origins = Origins.of(run.tenant_id, run.run_id, run.started_at)
    calls = (translation.requested(run, item) for item in completions)
    return [
        started(origins, run),
        *(_of_run(origins, COMPLETION_REQUESTED, call) for call in calls),
    ]


def cancelled(origins: Origins, run_id: UUID) -> OutboxRow:
    """Stop what is not called yet."""
    event = CompletionBatchCancelled(parent_id=run_id, cancelled_at=origins.now)
    return _of_run(origins, COMPLETION_BATCH_CANCELLED, event)


def reanalysis(origins: Origins, run_id: UUID, revision: int, brands: Sequence[Brand]) -> OutboxRow:
    """Look for other brands in the stored answers."""
    event = translation.reanalysis(run_id, revision, brands, origins.now)
    return _of_run(origins, REANALYSIS_REQUESTED, event)


def captured(origins: Origins, items: Iterable[CapturedAnswer]) -> list[OutboxRow]:
    """Answers that were given elsewhere."""
    return [_of_run(origins, ANSWER_CAPTURED, translation.captured(item)) for item in items]


def _of_run(origins: Origins, topic: Topic[E], event: E) -> OutboxRow:
    """Raises InvalidRun: it is too large for its topic."""
    try:
        return origins.row(topic, event)
    except EventTooLarge as error:
        raise InvalidRun(
            f"the brands, a prompt or an answer are too long: {error}",
            "name fewer brands or aliases, or shorten the text",
        ) from error
