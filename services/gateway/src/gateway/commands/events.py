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
from gateway.domain.errors import InvalidRun
from gateway.domain.models import Brand, CapturedAnswer, PlannedCompletion, Run

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Origins:
    """Whose events these are, of which run, when and in which trace."""

    tenant_id: str
    run_id: UUID
    now: datetime
    traceparent: str | None

    @classmethod
    def of(cls, tenant_id: str, run_id: UUID, now: datetime) -> Origins:
        """In the trace of the request at hand."""
        return cls(tenant_id, run_id, now, traceparent_of())

    def row(self, topic: Topic[E], event: E) -> OutboxRow:
        """One event as a row of the outbox. Raises InvalidRun: it is too large for its topic."""
        envelope = Envelope(
            id=str(new_id()),
            source=NAME,
            type=topic.name,
            time=self.now,
            subject=topic.key_of(event),
            tenant_id=self.tenant_id,
            correlation_id=str(self.run_id),
            traceparent=self.traceparent,
        )
        try:
            return originate(topic, event, envelope)
        except RecordTooLarge as error:
            raise InvalidRun(
                f"the brands, a prompt or an answer make an event that is too large ({error})",
                "name fewer brands or aliases, or shorten the text",
            ) from error


def started(origins: Origins, run: Run) -> OutboxRow:
    """What to look for in the answers of a run."""
    return origins.row(VISIBILITY_RUN_STARTED, translation.started(run))


def run_events(run: Run, completions: Iterable[PlannedCompletion]) -> list[OutboxRow]:
    """The start of a run and all its calls."""
    origins = Origins.of(run.tenant_id, run.run_id, run.started_at)
    calls = (translation.requested(run, item) for item in completions)
    return [started(origins, run), *(origins.row(COMPLETION_REQUESTED, call) for call in calls)]


def cancelled(origins: Origins) -> OutboxRow:
    """Stop what is not called yet."""
    event = CompletionBatchCancelled(parent_id=origins.run_id, cancelled_at=origins.now)
    return origins.row(COMPLETION_BATCH_CANCELLED, event)


def reanalysis(origins: Origins, revision: int, brands: Sequence[Brand]) -> OutboxRow:
    """Look for other brands in the stored answers."""
    event = translation.reanalysis(origins.run_id, revision, brands, origins.now)
    return origins.row(REANALYSIS_REQUESTED, event)


def captured(origins: Origins, items: Iterable[CapturedAnswer]) -> list[OutboxRow]:
    """Answers that were given elsewhere."""
    return [origins.row(ANSWER_CAPTURED, translation.captured(item)) for item in items]
