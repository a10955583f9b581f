"""Events to records and back. Decoding trusts nothing: whatever is wrong becomes ``Poison``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from contracts.envelope import Envelope, EnvelopeError, bare, from_headers, is_bare
from contracts.events.base import Event
from contracts.topics import Topic
from pydantic import ValidationError

from bus.errors import Poison
from bus.record import Record

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Emit:
    """An event to be published as an effect of ``cause``."""

    cause: Delivered[Event]
    topic: Topic[Event]
    event: Event


@dataclass(frozen=True, slots=True)
class Delivered(Generic[E_co]):
    """One event as a handler sees it. ``key`` deduplicates it in the inbox."""

    event: E_co
    envelope: Envelope
    record: Record = field(repr=False)

    @property
    def tenant_id(self) -> str:
        """Whose event it is."""
        return self.envelope.tenant_id

    def emit(self, topic: Topic[E], event: E) -> Emit:
        """An event caused by this one, in the same tenant, correlation and trace."""
        return Emit(cause=self, topic=topic, event=event)  # type: ignore[arg-type]


def decode(topics: Mapping[str, Topic[Event]], record: Record) -> Delivered[Event]:
    """Read a record of one of ``topics``.

    Raises:
        Poison: with one of the reasons ``oversize``, ``null-body``, ``bad-header``,
            ``unknown-type``, ``not-utf8``, ``bad-json``, ``wrong-model``, ``wrong-key``.
    """
    topic = topics[record.topic]
    value = _body(topic, record)
    if topic.public and is_bare(record.headers):
        event = _event(topic, value)
        return _keyed(topic, Delivered(event, _bare_envelope(topic, event, record), record))
    envelope = _envelope(topic, record)
    event = _event(topic, value)
    if envelope.subject != topic.key_of(event):
        raise Poison("wrong-key", f"ce_subject is not the event's {topic.key}")
    return _keyed(topic, Delivered(event, envelope, record))


def _keyed(topic: Topic[Event], item: Delivered[Event]) -> Delivered[Event]:
    """Compaction goes by the record's key: where that names the tenant, it must be right."""
    if topic.tenant_in_key:
        wanted = topic.record_key(item.event, item.tenant_id)
        if item.record.key != wanted.encode():
            raise Poison("wrong-key", f"the record's key is not <tenant>/<{topic.key}>")
    return item


def _body(topic: Topic[Event], record: Record) -> bytes:
    if record.value is None:
        raise Poison("null-body", f"{topic.name} is not compacted: a record needs a body")
    if len(record.value) > topic.max_record_bytes:
        raise Poison("oversize", f"{len(record.value)} bytes, allowed {topic.max_record_bytes}")
    return record.value


def _envelope(topic: Topic[Event], record: Record) -> Envelope:
    try:
        envelope = from_headers(record.headers)
    except EnvelopeError as error:
        raise Poison(error.reason, str(error)) from error
    if envelope.type != topic.name:
        raise Poison("unknown-type", f"ce_type {envelope.type!r} does not belong on {topic.name}")
    return envelope


def _bare_envelope(topic: Topic[Event], event: Event, record: Record) -> Envelope:
    """What a producer outside would have said in headers, from the body and the log."""
    tenant_id = getattr(event, "tenant_id", None)
    if not tenant_id:
        raise Poison("bad-header", "without ce_* headers the body needs a tenant_id")
    try:
        return bare(
            topic.name,
            topic.key_of(event),
            tenant_id,
            record.timestamp_ms,
            identity=topic.identity_of(event),
        )
    except (ValueError, OverflowError, OSError) as error:
        raise Poison("bad-header", "the record's timestamp is in no year from 1 to 9999") from error


def _event(topic: Topic[Event], value: bytes) -> Event:
    try:
        return topic.event.model_validate_json(value)
    except ValidationError as error:
        raise Poison(_reason(value, error), _explained(error)) from error


def _reason(value: bytes, error: ValidationError) -> str:
    if error.errors(include_url=False)[0]["type"] != "json_invalid":
        return "wrong-model"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not-utf8"
    return "bad-json"


def _explained(error: ValidationError) -> str:
    """Field and complaint, without the input: an event may hold what no log may show."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in problems[:5]
    )
