"""Events to records and back. Decoding trusts nothing: whatever is wrong becomes ``Poison``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from contracts.envelope import Envelope, EnvelopeError, bare, from_headers, is_bare
from contracts.events.base import Event
from contracts.topics import Topic
from pydantic import BaseModel, ValidationError

from bus.errors import Poison
from bus.record import UNREADABLE_HEADER, Record

SHOWN_PROBLEMS = 5
SHOWN_CHARS = 80
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MODELS = "docs/events.md"
_STRUCTURED = b"application/cloudevents"


class _Claim(BaseModel):
    """Whatever else there is in a body is passed over without being made anything of."""

    tenant_id: str | None = None


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

    def taken_in(self, now: datetime) -> datetime:
        """When it was told, but neither before 1970 nor after now: a producer may claim any time.

        One that is ahead would be newer than a forgetting that comes after it.
        """
        return min(max(self.envelope.time, _UNIX), now)

    def emit(self, topic: Topic[E], event: E) -> Emit:
        """An event caused by this one, in the same tenant, correlation and trace."""
        return Emit(cause=self, topic=topic, event=event)  # type: ignore[arg-type]


def decode(topics: Mapping[str, Topic[Event]], record: Record) -> Delivered[Event]:
    """Read a record of one of ``topics``.

    Raises:
        Poison: with one of the reasons ``oversize``, ``null-body``, ``bad-header``,
            ``unknown-type``, ``not-utf8``, ``bad-json``, ``wrong-model``, ``wrong-key``,
            ``wrong-tenant``. Its message tells the producer what to change, and quotes no body.
    """
    topic = topics[record.topic]
    value = _body(topic, record)
    if topic.public and is_bare(record.headers):
        _refuse_structured(record)
        event = _event(topic, value)
        return _keyed(topic, Delivered(event, _bare_envelope(topic, event, record), record))
    envelope = _envelope(topic, record)
    if topic.public:
        envelope = _bounded(envelope, record)
    event = _event(topic, value)
    _check_subject(topic, event, envelope)
    return _keyed(topic, Delivered(event, envelope, record))


def claimed_tenant(record: Record) -> str | None:
    """The tenant that a record names, whatever else is wrong with it; None: none can be read.

    It is a claim: whoever may write to a topic may name any.
    """
    if not is_bare(record.headers):
        named = (value for name, value in record.headers if name == "ce_tenantid")
        return next((value.decode(errors="replace") for value in named), None)
    try:
        return _Claim.model_validate_json(record.value or b"").tenant_id
    except ValidationError:
        return None


def _check_subject(topic: Topic[Event], event: Event, envelope: Envelope) -> None:
    """Headers and body must not contradict each other."""
    if envelope.subject != topic.key_of(event):
        raise Poison(
            "wrong-key", f"ce_subject is not the body's {topic.key}: send the same in both"
        )
    said = getattr(event, "tenant_id", None) if topic.public else None
    if said and said != envelope.tenant_id:
        raise Poison(
            "wrong-tenant",
            f"ce_tenantid is {_shown(envelope.tenant_id)} and the body's tenant_id is "
            f"{_shown(said)}: send the same in both, or leave it out of the body",
        )


def _keyed(topic: Topic[Event], item: Delivered[Event]) -> Delivered[Event]:
    """Compaction goes by the record's key: where that names the tenant, it must be right."""
    if topic.tenant_in_key:
        wanted = topic.record_key(item.event, item.tenant_id)
        if item.record.key != wanted.encode():
            raise Poison(
                "wrong-key",
                f"the record's key has to be {_shown(wanted)}, which is <tenant>/<{topic.key}>: "
                "the topic keeps one record per key",
            )
    return item


def _body(topic: Topic[Event], record: Record) -> bytes:
    for name, value in record.headers:
        if name == UNREADABLE_HEADER:
            raise Poison("bad-header", value.decode(errors="replace"))
    if record.value is None:
        raise Poison(
            "null-body", f"the record has no body: {topic.name} wants the event as JSON in UTF-8"
        )
    if len(record.value) > topic.max_record_bytes:
        raise Poison(
            "oversize",
            f"the body has {len(record.value)} bytes (once decompressed), {topic.name} takes "
            f"{topic.max_record_bytes}: shorten it, or send it in parts",
        )
    return record.value


def _refuse_structured(record: Record) -> None:
    for name, value in record.headers:
        if name.lower() == "content-type" and value.startswith(_STRUCTURED):
            raise Poison(
                "bad-header",
                "this is a CloudEvent in structured mode: send it in binary mode, attributes as "
                "headers ce_* and the bare event as body",
            )


def _envelope(topic: Topic[Event], record: Record) -> Envelope:
    try:
        envelope = from_headers(record.headers)
    except EnvelopeError as error:
        other = "; or send no ce_* header at all, and tenant_id in the body" if topic.public else ""
        raise Poison(error.reason, f"{error}{other}") from error
    if envelope.type != topic.name:
        raise Poison(
            "unknown-type",
            f"ce_type is {_shown(envelope.type)}: on this topic it has to be {topic.name!r}",
        )
    return envelope


def _bounded(envelope: Envelope, record: Record) -> Envelope:
    """Nothing was told later than the log took it in, whatever clock its producer has.

    What a user told before they were forgotten stays before it, whenever it is read again.
    """
    if record.timestamp_ms <= 0:  # the log knows no time
        return envelope
    try:
        appended = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # a topic may keep the producer's word for it
        return envelope
    return replace(envelope, time=appended) if envelope.time > appended else envelope


def _bare_envelope(topic: Topic[Event], event: Event, record: Record) -> Envelope:
    """What a producer outside would have said in headers, from the body and the log."""
    tenant_id = getattr(event, "tenant_id", None)
    if not tenant_id:
        raise Poison(
            "bad-header",
            "nothing says whose this is: send tenant_id in the body, or the headers of a "
            "CloudEvent (ce_id, ce_tenantid, ... with an underscore)",
        )
    try:
        return bare(
            topic.name,
            topic.key_of(event),
            tenant_id,
            record.timestamp_ms,
            identity=topic.identity_of(event),
        )
    except (ValueError, OverflowError, OSError) as error:
        raise Poison(
            "bad-header",
            "the record's timestamp is in no year from 1 to 9999: send Unix milliseconds, or none",
        ) from error


def _event(topic: Topic[Event], value: bytes) -> Event:
    try:
        return topic.event.model_validate_json(value)
    except ValidationError as error:
        reason = _reason(value, error)
        todo = "" if reason == "wrong-model" else ": send one JSON object in UTF-8"
        raise Poison(reason, f"{_explained(error)}{todo} ({_MODELS}, {topic.name})") from error


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
    said = "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in problems[:SHOWN_PROBLEMS]
    )
    more = len(problems) - SHOWN_PROBLEMS
    return f"{said}; and {more} more" if more > 0 else said


def _shown(text: str) -> str:
    """Of what a stranger wrote no more than one needs to find it again."""
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")
