"""A whole log as it is at the end: events, what cannot be read, dead letters, and lags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bus.dead_letter import dlq_fields
from bus.record import Record
from contracts.envelope import EnvelopeError, from_headers

Origin = tuple[str, int, int]
"""Topic, partition and offset of a record."""


@dataclass(frozen=True)
class Told:
    """One record of an event; the same event may be told by several."""

    topic: str
    partition: int
    offset: int
    key: str
    id: str
    subject: str
    time: datetime
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON of the event."""
        return json.loads(self.raw)


@dataclass(frozen=True)
class Letter:
    """A dead letter: of which group, about which record, and why."""

    group: str
    origin: Origin
    reason: str


@dataclass(frozen=True)
class LogHistory:
    """``unread``: records that are no event. ``lags``: behind the end, by (topic, group)."""

    told: Mapping[str, Sequence[Told]]
    unread: frozenset[Origin]
    letters: Sequence[Letter]
    lags: Mapping[tuple[str, str], int]

    @classmethod
    def of(
        cls,
        records: Mapping[str, Sequence[Record]],
        buried: Mapping[str, Sequence[Record]],
        lags: Mapping[tuple[str, str], int],
    ) -> LogHistory:
        """From all records by topic, and all dead letters by group."""
        events = {topic: _events(found) for topic, found in records.items()}
        return cls(
            told={topic: told for topic, (told, _) in events.items()},
            unread=frozenset(origin for _, bad in events.values() for origin in bad),
            letters=[_letter(group, one) for group, found in buried.items() for one in found],
            lags=lags,
        )

    def events(self, topic: str) -> Sequence[Told]:
        """The records of a topic that are events, in order within each partition."""
        return self.told.get(topic, ())

    def bodies(self, topic: str) -> list[Any]:
        """The body of each event of a topic, that of copies once: the first."""
        first = {told.id: told for told in reversed(self.events(topic))}
        return [told.body for told in first.values()]


def _events(records: Iterable[Record]) -> tuple[list[Told], list[Origin]]:
    told, unread = [], []
    for record in records:
        try:
            told.append(_told(record))
        except (EnvelopeError, ValueError):
            unread.append((record.topic, record.partition, record.offset))
    return told, unread


def _told(record: Record) -> Told:
    """Raises EnvelopeError; ValueError: the body is no JSON."""
    envelope = from_headers(record.headers)
    raw = record.value or b""
    json.loads(raw)
    key = (record.key or b"").decode()
    where = (record.topic, record.partition, record.offset)
    return Told(*where, key, envelope.id, envelope.subject, envelope.time, raw)


def _letter(group: str, record: Record) -> Letter:
    fields = dlq_fields(record)
    origin = (fields["topic"], int(fields["partition"]), int(fields["offset"]))
    return Letter(group, origin, fields["reason"])
