"""Spans of the bus: one per processed record, one per published row, chained by traceparent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts import telemetry
from contracts.envelope import Envelope
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, use_span
from runtime.tracing import begin, traceparent_of, tracer

from bus.record import Record

_TRACER = tracer("limelight.bus")


def start_process(group: str, envelope: Envelope, record: Record) -> Span:
    """The span of processing one record, child of the span that published it."""
    return begin(
        _TRACER,
        f"process {record.topic}",
        envelope.traceparent,
        SpanKind.CONSUMER,
        {
            telemetry.MESSAGING_SYSTEM: "kafka",
            telemetry.MESSAGING_OPERATION: "process",
            telemetry.MESSAGING_DESTINATION: record.topic,
            telemetry.MESSAGING_GROUP: group,
            telemetry.MESSAGING_PARTITION: str(record.partition),
            telemetry.MESSAGING_OFFSET: record.offset,
            telemetry.MESSAGING_ID: envelope.id,
            telemetry.TENANT: envelope.tenant_id,
        },
    )


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
def processing(group: str, envelope: Envelope, record: Record) -> Iterator[Span]:
    """The span of processing one record, current while its block runs."""
    span = start_process(group, envelope, record)
    with use_span(span, end_on_exit=True, record_exception=False):
        yield span


def failed(span: Span, error: BaseException) -> None:
    """Mark a span as failed; the message stays out, it may quote an event."""
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))


__all__ = ["failed", "processing", "start_process", "start_send", "traceparent_of"]
