"""Dead letters of several services: what ``limelight dlq`` shows and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bus.dead_letter import left_out
from bus.host import ServiceSpec
from bus.port import Log
from bus.record import Record
from bus.replay import DlqView, Letter, Replayed, Replays, letters, not_replayable

V = TypeVar("V", bound=DlqView)


class NoSuchDlq(LookupError):
    """No service, topic or letter of that name; says which there are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One dead letter in a list."""

    service: str
    topic: str
    at: str
    reason: str
    message: str
    attempts: int
    buried: str
    key: str
    replayed: bool
    left_out: str


def chosen(views: Mapping[str, V], service: str | None) -> Mapping[str, V]:
    """All services, or the one that is asked for. Raises NoSuchDlq."""
    return views if service is None else {service: _service(views, service)}


async def listed(views: Mapping[str, V]) -> list[Row]:
    """Every dead letter of the services, by service and topic, oldest first."""
    return [
        _row(service, topic, letter)
        for service, entry in sorted(views.items())
        for topic in sorted(entry.topics)
        async for letter in letters(entry.log, topic, entry.group)
    ]


async def shown(views: Mapping[str, V], service: str, topic: str, at: str) -> dict[str, Any]:
    """One dead letter with headers and body as text; ``note`` says if it is not whole.

    Raises NoSuchDlq.
    """
    entry = _service(views, service)
    _topic(entry, topic)
    async for letter in letters(entry.log, topic, entry.group):
        if letter.place == at:
            return _whole(letter.record)
    raise NoSuchDlq(f"no dead letter {at} of {topic} at {service}: list them with limelight dlq")


async def replayed(
    replays: Mapping[str, Replays], service: str, topic: str | None, at: str | None
) -> Replayed:
    """Replay a service's dead letters: of one topic or all, or the one at a place.

    Raises:
        NoSuchDlq: there is no such service, topic or place.
    """
    entry = _service(replays, service)
    if at is not None:
        applied = await entry.one(_topic(entry, topic or ""), _place(at))
        return Replayed(int(applied), int(not applied))
    topics = sorted(entry.topics) if topic is None else [_topic(entry, topic)]
    results = [await entry.all(name) for name in topics]
    return Replayed(
        sum(result.applied for result in results), sum(result.rejected for result in results)
    )


def _service(views: Mapping[str, V], service: str) -> V:
    if service not in views:
        raise NoSuchDlq(f"no service {service!r}; there are: {', '.join(sorted(views))}")
    return views[service]


def _topic(entry: DlqView, topic: str) -> str:
    if topic not in entry.topics:
        raise NoSuchDlq(
            f"{entry.group} does not consume {topic!r}; it consumes: "
            f"{', '.join(sorted(entry.topics))}"
        )
    return topic


def _place(at: str) -> tuple[int, int]:
    partition, _, offset = at.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise NoSuchDlq(f"{at!r} is not a place: it is PARTITION:OFFSET, as the list shows it")
    return int(partition), int(offset)


def _row(service: str, topic: str, letter: Letter) -> Row:
    return Row(
        service=service,
        topic=topic,
        at=letter.place,
        reason=letter.reason,
        message=letter.message,
        attempts=letter.attempts,
        buried=letter.at,
        key=letter.key,
        replayed=letter.replayed,
        left_out=letter.left_out,
    )


def _whole(record: Record) -> dict[str, Any]:
    return {
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "body": _text(record.value),
        "note": not_replayable(record) if left_out(record) else "",
    }


def _text(value: bytes | None) -> str | None:
    """Bytes as text; what is not UTF-8 is shown escaped."""
    return None if value is None else value.decode(errors="backslashreplace")


def view(log: Log, spec: ServiceSpec) -> DlqView:
    """The DLQs of a service that need no store of it to be looked at."""
    return DlqView(log, spec.name, {topic.name: topic for topic in spec.subscriptions})
