"""The completions that are asked for: each with a text of its own, so that repeats can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid5

from bus.local import LocalLog
from bus.outbox import originate
from bus.provision import specs
from bus.record import OutRecord
from contracts.envelope import Envelope
from contracts.events.completion import CompletionRequested, Message, Origin
from contracts.topics import COMPLETION_REQUESTED

MODEL = "sim-large"
_SPACE = UUID("0c1f3f6e-54a5-5a5c-9a43-7d9f0d3c2b11")
_PATIENCE = timedelta(hours=6)
_AT_ONCE = 1000


@dataclass(frozen=True)
class Load:
    """``count`` requests of one tenant, numbered from ``first``."""

    count: int
    priority: Literal["interactive", "batch"] = "interactive"
    tenant: str = "tenant-load"
    first: int = 0

    @property
    def ids(self) -> list[UUID]:
        """Their completion ids, in turn."""
        return [completion_id(self.tenant, self.first + n) for n in range(self.count)]

    def record(self, number: int, at: datetime) -> OutRecord:
        """The request of that number, asked for at ``at``."""
        event = _requested(self, number, at)
        subject = str(event.completion_id)
        envelope = Envelope(
            id=str(uuid5(_SPACE, f"request {subject}")),
            source="load",
            type=COMPLETION_REQUESTED.name,
            time=at,
            subject=subject,
            tenant_id=self.tenant,
            correlation_id=str(event.origin.parent_id),
        )
        return originate(COMPLETION_REQUESTED, event, envelope).record(None)


def completion_id(tenant: str, number: int) -> UUID:
    """Follows from tenant and number, so that whoever knows these can find its end."""
    return uuid5(_SPACE, f"{tenant} {number}")


def question(number: int) -> str:
    """What is asked. The clients that are compared ask the same, see executor_client.py."""
    return f"Which note-taking app is best for a team of {number}?"


async def fill(path: Path, load: Load) -> None:
    """Make a log with all topics and the requests on it, and leave it to the executor."""
    log = await LocalLog.open(path)
    try:
        await log.create_topics(specs())
        producer = await log.producer()
        for start in range(0, load.count, _AT_ONCE):
            now = datetime.now(UTC)
            numbers = range(start, min(start + _AT_ONCE, load.count))
            await producer.send(_records(load, numbers, now))
        await producer.close()
    finally:
        await log.close()


def _records(load: Load, numbers: Sequence[int], at: datetime) -> list[OutRecord]:
    return [load.record(load.first + number, at) for number in numbers]


def _requested(load: Load, number: int, at: datetime) -> CompletionRequested:
    return CompletionRequested(
        completion_id=completion_id(load.tenant, number),
        model=f"simulator/{MODEL}",
        messages=(Message(role="user", content=question(number)),),
        origin=Origin(kind="load", parent_id=_SPACE, item_id=_SPACE, sample=number),
        seed=number,
        deadline_at=at + _PATIENCE,
        priority=load.priority,
    )
