"""JSON shapes of usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from gateway.domain.usage import UsageBy, UsageQuery, UsageRow


class UsageSums(BaseModel):
    """What was asked of the API. Requests without a valid key are nobody's."""

    requests: int
    refused: int = Field(description="of them answered with 4xx")
    errors: int = Field(description="of them answered with 5xx")
    seconds: float = Field(description="time to answer them, together")
    longest_seconds: float
    request_bytes: int = Field(description="of bodies, as they came")
    response_bytes: int = Field(description="of bodies, as they went, compressed or not")


class UsageItem(UsageSums):
    """A group; what the groups are not made by is null."""

    starts_at: datetime | None
    method: str | None
    route: str | None


class UsageView(BaseModel):
    """Usage of whole hours, some seconds behind."""

    start: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    key_id: UUID | None = Field(description="whose usage; null: of all keys of the tenant")
    by: UsageBy
    items: list[UsageItem]
    total: UsageSums


def usage_view(query: UsageQuery, rows: Sequence[UsageRow]) -> UsageView:
    """Usage as JSON."""
    return UsageView(
        start=query.start,
        end=query.end,
        key_id=query.key_id,
        by=query.by,
        items=[
            UsageItem(
                starts_at=row.starts_at,
                method=row.method,
                route=row.route,
                **_sums([row]).model_dump(),
            )
            for row in rows
        ],
        total=_sums(rows),
    )


def _sums(rows: Sequence[UsageRow]) -> UsageSums:
    return UsageSums(
        requests=sum(row.requests for row in rows),
        refused=sum(row.refused for row in rows),
        errors=sum(row.errors for row in rows),
        seconds=sum(row.seconds for row in rows),
        longest_seconds=max((row.longest for row in rows), default=0.0),
        request_bytes=sum(row.request_bytes for row in rows),
        response_bytes=sum(row.response_bytes for row in rows),
    )
