"""The route of rejected events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of
from gateway.schemas.rejections import PublicTopic, RejectionPage, number_of, rejection_view

router = APIRouter(
    prefix="/v1/rejected-events", tags=["events"], responses=errors(401, 403, 422, 429)
)


@router.get("", summary="List what was refused of the events on Kafka")
async def listed(
    caller: Reader,
    ports: PortsOf,
    topic: Annotated[PublicTopic | None, Query(description="default: all topics")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> RejectionPage:
    """Records that name the tenant and that a service could not take in, the newest first.

    They are seen some seconds after they were refused, and for 30 days. A record whose body cannot
    be read, and which has no ``ce_tenantid``, is nobody's and is not listed.
    """
    before = position_of(cursor, number_of)
    found = await ports.rejections.of_tenant(caller.tenant_id, topic, limit + 1, before)
    page, more = found[:limit], len(found) > limit
    return RejectionPage(
        items=[rejection_view(one.rejection) for one in page],
        next_cursor=cursor_of(str(page[-1].number)) if more else None,
    )
