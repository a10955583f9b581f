"""Spans of the bus: one per processed record, one per published row, chained by traceparent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts import telemetry
from contracts.envelope import Envelope
from contracts.events.base import Event
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, use_span
from runtime.tracing import begin, traceparent_of, tracer

from bus.codec import Delivered
from bus.outbox import OutboxRow
from bus.record import OutRecord, Record

_TRACER = tracer("limelight.bus")


def start_process(group: str, envelope: Envelope, record: Record | None) -> Span:
    """The span of processing one event, child of the span that published it.

    ``record`` is None for an event that is processed long after its record was taken in.
    """
    place: dict[str, str | int] = {}
    if record is not None:
        place = {
            telemetry.MESSAGING_PARTITION: str(record.partition),
            telemetry.MESSAGING_OFFSET: record.offset,
        }
    about = {
        telemetry.MESSAGING_SYSTEM: "kafka",
        telemetry.MESSAGING_OPERATION: "process",
        telemetry.MESSAGING_DESTINATION: envelope.type,
        telemetry.MESSAGING_GROUP: group,
        telemetry.MESSAGING_ID: envelope.id,
        telemetry.TENANT: envelope.tenant_id,
    }
    name = f"process {envelope.type}"
    return begin(_TRACER, name, envelope.traceparent, SpanKind.CONSUMER, {**about, **place})


def start_send(envelope: Envelope) -> Span:
    """The span of publishing one outbox row."""
    return begin(
        _TRACER,
        f"send {envelope.type}",
        envelope.traceparent,
        SpanKind.PRODUCER,
        {
            telemetry.MESSAGING_SYSTEM: "kafka",
            telemetry.MESSAGING_OPERATION: "send",
            telemetry.MESSAGING_DESTINATION: envelope.type,
            telemetry.MESSAGING_ID: envelope.id,
            telemetry.TENANT: envelope.tenant_id,
        },
    )


@contextmanager
def processing(group: str, envelope: Envelope) -> Iterator[Span]:
    """The span of processing one event from a store of its own, current while its block runs."""
    span = start_process(group, envelope, None)
    with use_span(span, end_on_exit=True, record_exception=False):
        yield span


@contextmanager
def processing_all(
    group: str, batch: Sequence[Delivered[Event]]
) -> Iterator[dict[str, str | None]]:
    """A span for each event of a batch while the block runs; trace contexts by event id."""
    spans = [start_process(group, item.envelope, item.record) for item in batch]
    try:
        yield {
            item.envelope.id: traceparent_of(span) for item, span in zip(batch, spans, strict=True)
        }
    except Exception as error:
        for span in spans:
            failed(span, error)
        raise
    finally:
        for span in spans:
            span.end()


@contextmanager
def sending(rows: Sequence[OutboxRow]) -> Iterator[list[OutRecord]]:
    """A span for each row while the block publishes them; the records, with its context."""
    spans = [start_send(row.envelope) for row in rows]
    try:
        yield [row.record(traceparent_of(span)) for row, span in zip(rows, spans, strict=True)]
    finally:
        for span in spans:
            span.end()


def failed(span: Span, error: BaseException) -> None:
    """Mark a span as failed; the message stays out, it may quote an event."""
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))


__all__ = [
    "failed",
    "processing",
    "processing_all",
    "sending",
    "start_process",
    "start_send",
    "traceparent_of",
]
