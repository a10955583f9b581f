"""The outbox: events written in the transaction of their cause, published afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from contracts.envelope import Envelope, derived_id, to_headers
from contracts.events.base import Event
from contracts.topics import Topic

from bus.codec import Emit
from bus.errors import RecordTooLarge
from bus.record import Headers, OutRecord

E = TypeVar("E", bound=Event)
HEADER_BYTES = 8192
"""Room for key and headers, which the log counts into a record's size: each is bounded."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event waiting to be published. ``position`` is the store's own handle and order."""

    envelope: Envelope
    key: str
    payload: bytes
    position: int | str | None = None

    @property
    def topic(self) -> str:
        """Where it goes: a topic carries one type of event, named like it."""
        return self.envelope.type

    def record(self, traceparent: str | None) -> OutRecord:
        """The row as a record, with the given trace context."""
        headers: Headers = tuple(
            (name, value) for name, value in to_headers(self.envelope) if name != "traceparent"
        )
        if traceparent is not None:
            headers = (*headers, ("traceparent", traceparent.encode()))
        return OutRecord(self.topic, self.key.encode(), self.payload, headers)


class Outbox(Protocol):
    """The unpublished events of one service's store, as its relay sees them."""

    async def acquire(self) -> bool:
        """Become the one active relay of the service; False while another process is."""

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        """The oldest unpublished rows, in the order in which they were written."""

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        """Remember that the log acknowledged these."""

    async def wait(self, timeout: float) -> None:
        """Return when there may be something new, at the latest after ``timeout`` seconds."""

    async def oldest_age(self) -> float:
        """Age of the oldest unpublished row in seconds, 0 if there is none."""

    async def release(self) -> None:
        """Stop being the active relay; idempotent."""


def originate(topic: Topic[E], event: E, envelope: Envelope) -> OutboxRow:
    """A row for an event that a command caused; the envelope is the caller's.

    Raises:
        RecordTooLarge: the topic does not take an event of this size. In the outbox it would stop
            every event behind it.
    """
    payload = event.model_dump_json().encode()
    limit = topic.max_record_bytes - HEADER_BYTES
    if len(payload) > limit:
        raise RecordTooLarge(f"{topic.name}: {len(payload)} bytes, allowed are {limit}")
    return OutboxRow(envelope, topic.record_key(event, envelope.tenant_id), payload)


def derive(
    emits: Sequence[Emit], source: str, now: datetime, traceparents: Mapping[str, str | None]
) -> list[OutboxRow]:
    """Rows for what a handler returned.

    Ids follow from the cause, so that a repeated transaction writes the same rows.
    ``traceparents`` maps the id of a cause to the span that processed it.
    """
    index: Counter[tuple[str, str, str]] = Counter()
    return [_derived(emit, source, now, traceparents, index) for emit in emits]


def _derived(
    emit: Emit,
    source: str,
    now: datetime,
    traceparents: Mapping[str, str | None],
    index: Counter[tuple[str, str, str]],
) -> OutboxRow:
    cause, subject = emit.cause.envelope, emit.topic.key_of(emit.event)
    slot = (emit.topic.name, subject, _unique(cause))
    envelope = Envelope(
        id=derived_id(*slot, index[slot]),
        source=source,
        type=emit.topic.name,
        time=now,
        subject=subject,
        tenant_id=cause.tenant_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.id,
        traceparent=traceparents.get(cause.id, cause.traceparent),
    )
    index[slot] += 1
    return originate(emit.topic, emit.event, envelope)


def _unique(cause: Envelope) -> str:
    """What tells a cause from all others: an id that is no UUID is unique in its source only."""
    try:
        UUID(cause.id)
    except ValueError:
        return str(cause.deduplication_id)
    return cause.id
