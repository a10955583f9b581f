"""Counts of what the simulator was asked and what it did, so that tests can count calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

UNKNOWN_MODEL = "(unknown)"
NO_RESPONSE = "no_response"
NO_FAULT = "none"


@dataclass(slots=True)
class CallRecord:
    """One call while it runs; filled in as it becomes known."""

    model: str = UNKNOWN_MODEL
    status: str = NO_RESPONSE
    fault: str = NO_FAULT


@dataclass(slots=True)
class Stats:
    """Calls since the start, by model, HTTP status and injected fault.

    ``answerable`` calls reached a model (known, within its quota); ``distinct`` counts the
    different requests among them, so that their difference is how often one was repeated.
    """

    requests: int = 0
    in_flight: int = 0
    max_concurrency: int = 0
    answerable: int = 0
    distinct: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)

    def attempted(self, attempt: int) -> None:
        """Count an attempt (from 0) of some request."""
        self.answerable += 1
        self.distinct += attempt == 0

    @contextmanager
    def call(self) -> Iterator[CallRecord]:
        """Count one call: in flight until the block ends, then under its record."""
        record = CallRecord()
        self.requests += 1
        self.in_flight += 1
        self.max_concurrency = max(self.max_concurrency, self.in_flight)
        try:
            yield record
        finally:
            self._finish(record)

    def _finish(self, record: CallRecord) -> None:
        self.in_flight -= 1
        self.by_model[record.model] += 1
        self.by_status[record.status] += 1
        self.by_fault[record.fault] += 1

    def snapshot(self) -> dict[str, object]:
        """The counts as JSON; ``requests`` includes calls in flight, the maps do not."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "max_concurrency": self.max_concurrency,
            "answerable": self.answerable,
            "distinct": self.distinct,
            "by_model": dict(self.by_model),
            "by_status": dict(self.by_status),
            "by_fault": dict(self.by_fault),
        }
