"""What travels on a log: raw keys, raw bodies and raw headers, not yet trusted."""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[str, bytes], ...]
UNREADABLE_HEADER = "log-unreadable"
"""On the stand-in for a record that the log's client cannot read: why, and what to change."""


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One ordered sequence of records; offsets count from 0 inside it."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record on its way to the log; the log picks the partition from ``key``."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A record read from the log. ``timestamp_ms`` is Unix time of the append."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def source(self) -> TopicPartition:
        """The partition this record was read from."""
        return TopicPartition(self.topic, self.partition)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


def record_bytes(record: OutRecord) -> int:
    """Bytes of key, value and headers, which is what a topic limits, in every log."""
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
