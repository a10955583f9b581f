"""JSON shapes of rejected events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from contracts.topics import TOPICS
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from gateway.domain.rejections import Rejection

_LARGEST = 2**63

_PUBLIC = [topic.name for topic in TOPICS if topic.public]


def _public(name: str) -> str:
    if name not in _PUBLIC:
        raise ValueError(f"only these are open to producers outside: {', '.join(_PUBLIC)}")
    return name


PublicTopic = Annotated[
    str, AfterValidator(_public), WithJsonSchema({"type": "string", "enum": _PUBLIC})
]


class RejectionView(BaseModel):
    """A record that a service could not take in. Others may have taken it."""

    topic: str
    partition: int = Field(description="as the broker acknowledged the record")
    offset: int = Field(description="as the broker acknowledged the record")
    event_id: str | None = Field(description="its ce_id; null: it has no ce_* headers")
    service: str = Field(description="who refused it")
    reason: str = Field(description="a stable word; docs/producing-events.md lists them")
    message: str = Field(description="what to change")
    attempts: int = Field(description="how often it was tried")
    rejected_at: datetime


class RejectionPage(BaseModel):
    """Rejected events, the newest first."""

    items: list[RejectionView]
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


def rejection_view(rejection: Rejection) -> RejectionView:
    """A rejected event as JSON."""
    return RejectionView(
        topic=rejection.topic,
        partition=rejection.partition,
        offset=rejection.offset,
        event_id=rejection.event_id,
        service=rejection.service,
        reason=rejection.reason,
        message=rejection.message,
        attempts=rejection.attempts,
        rejected_at=rejection.rejected_at,
    )


def number_of(text: str) -> int:
    """The number in a cursor. Raises ValueError."""
    number = int(text)
    if not 0 < number < _LARGEST:
        raise ValueError(f"{text} is no number of a rejected event")
    return number
