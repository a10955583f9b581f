"""CloudEvents 1.0 in binary mode over Kafka headers, with tenant, correlation and trace.

The body of a record is the bare JSON of its event model; everything here travels as headers
``ce_*`` plus W3C ``traceparent``, so any CloudEvents SDK can produce and read Limelight events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

from contracts.times import of_our_time

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
PLATFORM_TENANT = "platform"
"""``tenant_id`` of what belongs to no tenant and is for all of them, like a list of models."""
MOST_BYTES = 1000
"""Of a header: ids travel on into every event that this one causes, beside a body of any size."""
OUTSIDE = "outside"
"""``source`` of records that say nothing of where they come from."""
# Fixed for ever: a derived id must be the same whenever and wherever it is computed.
_DERIVED = UUID("6f0c4a52-7d2e-5c0b-9b3a-1f6f7c1f4d10")
_DEDUPLICATION = UUID("2b9f9a0e-3c57-5d7e-8a55-0d1de6a2c3b4")


class EnvelopeError(ValueError):
    """A header is missing or wrong. ``reason`` is a short stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known about an event besides its body.

    ``correlation_id`` is shared by everything that one command set off; ``causation_id`` is the
    id of the event that directly led to this one (None at the origin).
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    tenant_id: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    @property
    def deduplication_id(self) -> UUID:
        """One UUID per (source, id), which CloudEvents declares unique together."""
        return uuid5(_DEDUPLICATION, f"{self.source}\n{self.id}")


def derived_id(event_type: str, subject: str, causation_id: str, index: int) -> str:
    """Id of the ``index``-th event of a type about a subject that one event causes.

    A pure function, so that handling the same event again emits the same ids.
    """
    return str(uuid5(_DERIVED, f"{event_type}\n{subject}\n{causation_id}\n{index}"))


def is_bare(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a record has no CloudEvents header at all."""
    return not any(name.startswith("ce_") for name, _ in headers)


def bare(
    event_type: str, subject: str, tenant_id: str, timestamp_ms: int, *, identity: str | None = None
) -> Envelope:
    """The envelope of a record without headers: its ``identity`` is what tells it from others.

    Without one it is what the record is about.
    """
    event_id = derived_id(event_type, identity or subject, tenant_id, 0)
    return Envelope(
        id=event_id,
        source=OUTSIDE,
        type=event_type,
        time=datetime.fromtimestamp(timestamp_ms / 1000, UTC),
        subject=subject,
        tenant_id=tenant_id,
        correlation_id=event_id,
    )


def to_headers(envelope: Envelope) -> tuple[tuple[str, bytes], ...]:
    """The envelope as Kafka headers, in a fixed order."""
    fields = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", envelope.id),
        ("ce_source", envelope.source),
        ("ce_type", envelope.type),
        ("ce_time", envelope.time.isoformat()),
        ("ce_subject", envelope.subject),
        ("ce_tenantid", envelope.tenant_id),
        ("ce_correlationid", envelope.correlation_id),
        ("ce_causationid", envelope.causation_id),
        ("traceparent", envelope.traceparent),
        ("content-type", CONTENT_TYPE),
    ]
    return tuple((name, value.encode()) for name, value in fields if value is not None)


def from_headers(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read an envelope back.

    Raises:
        EnvelopeError: a required header is missing, is not UTF-8, or does not parse.
    """
    text = _decoded(headers)
    if text.get("ce_specversion") != SPEC_VERSION:
        raise EnvelopeError(
            "bad-header", f"header ce_specversion has to be {SPEC_VERSION}: send CloudEvents 1.0"
        )
    return Envelope(
        id=_required(text, "ce_id"),
        source=_required(text, "ce_source"),
        type=_required(text, "ce_type"),
        time=_time(_required(text, "ce_time")),
        subject=_required(text, "ce_subject"),
        tenant_id=_required(text, "ce_tenantid"),
        correlation_id=_required(text, "ce_correlationid"),
        causation_id=text.get("ce_causationid"),
        traceparent=text.get("traceparent"),
    )


def _decoded(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    known = {}
    for name, value in headers:
        if not name.startswith("ce_") and name != "traceparent":
            continue
        known[name] = _text(name, value)
    return known


def _text(name: str, value: bytes) -> str:
    if len(value) > MOST_BYTES:
        raise EnvelopeError(
            "bad-header",
            f"header {name} has {len(value)} bytes, at most {MOST_BYTES} are taken: shorten it",
        )
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise EnvelopeError("bad-header", f"header {name} is not UTF-8: encode it so") from error
    if "\x00" in text:
        raise EnvelopeError("bad-header", f"header {name} holds a NUL: leave it out")
    return text


def _required(text: dict[str, str], name: str) -> str:
    value = text.get(name, "")
    if not value:
        raise EnvelopeError("bad-header", f"header {name} is missing: every event needs it")
    return value


def _time(value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise EnvelopeError(
            "bad-header", "header ce_time is no time: send RFC 3339 like 2026-11-20T09:00:00Z"
        ) from error
    if time.tzinfo is None:
        raise EnvelopeError(
            "bad-header", "header ce_time has no time zone: end it with Z or an offset"
        )
    try:
        return of_our_time(time)
    except ValueError as error:
        raise EnvelopeError(
            "bad-header", "header ce_time is not between 1970 and 2200: send when it happened"
        ) from error
