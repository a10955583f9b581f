"""Routes of recommendations: served from the read model alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from contracts.events.marketing import GivenId
from contracts.telemetry import RECOMMENDATIONS_READ
from fastapi import APIRouter, Depends, Path, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from runtime.metrics import counter

from gateway.api.access import Reader, Streamer
from gateway.api.errors import errors
from gateway.api.paths import given
from gateway.api.ports import Ports, PortsOf
from gateway.domain import NAME
from gateway.domain.errors import ReadModelUnready
from gateway.domain.models import ApiKey
from gateway.domain.recommendations import shown
from gateway.middleware import SOURCE_HEADER
from gateway.schemas.recommendations import (
    BatchRequest,
    BatchView,
    ListLimit,
    RecommendationsView,
)

PATH = "/v1/recommendations"
router = APIRouter(tags=["marketing"], responses=errors(401, 403, 422, 429, 503))
LOOK_SECONDS = 5.0
"""After this long a stream looks without being told: campaigns end by themselves."""
LASTS_SECONDS = 900.0
"""Then a stream ends, and whoever comes back shows the key anew: it may have been revoked."""
GAP_SECONDS = 0.1
"""Between two looks of a stream."""
UserId = Annotated[GivenId, Path(description="your name for one of your users")]
_SOURCE: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            SOURCE_HEADER: {
                "description": "personal, intent or popular",
                "schema": {"type": "string"},
            }
        }
    }
}


@router.post(f"{PATH}:batch", response_model=BatchView, summary="Recommendations of many users")
async def batch(body: BatchRequest, caller: Reader, ports: PortsOf) -> Response:
    """What each of up to 500 users should see next, in the order in which they are asked for."""
    lists = await _lists(ports, caller, body.user_ids, body.limit)
    return Response(_written({"items": lists}), media_type="application/json")


async def _readable(user_id: UserId, caller: Streamer, ports: PortsOf) -> ApiKey:
    """Looked up before the stream begins, so that a read model that is not ready is a 503."""
    await ports.recommendations.read(caller.tenant_id, [user_id])
    return caller


# Before the route of one user: an id may contain slashes.
@router.get(
    f"{PATH}/{given('user_id')}/events",
    response_class=EventSourceResponse,
    summary="Watch a user's recommendations",
    responses=errors(404),
)
async def events(
    user_id: UserId,
    caller: Annotated[ApiKey, Depends(_readable)],
    ports: PortsOf,
    limit: ListLimit = 5,
) -> AsyncIterator[ServerSentEvent]:
    """A ``recommendations`` event with the list as it is, and one more whenever it has changed.

    The stream ends after a quarter of an hour: come back, as browsers do by themselves.
    """
    sent = None
    until = time.monotonic() + LASTS_SECONDS
    async with ports.recommendations.watch(caller.tenant_id, user_id) as changes:
        while time.monotonic() < until:
            now = await _list_now(ports, caller, user_id, limit)
            if now is not None and now != sent:
                sent = now
                _count(now["source"])
                yield ServerSentEvent(event="recommendations", data=now)
            if await changes.next(LOOK_SECONDS):
                await asyncio.sleep(GAP_SECONDS)


@router.get(
    f"{PATH}/{given('user_id')}",
    response_model=RecommendationsView,
    summary="What a user should see next",
    responses=errors(404) | _SOURCE,
)
async def show(user_id: UserId, caller: Reader, ports: PortsOf, limit: ListLimit = 5) -> Response:
    """The campaigns that the user should see next, the best first, with reasons.

    A user of whom nothing is known gets the tenant's popular campaigns. What has ended, was
    deleted, paused or spent its budget, or excludes the user, is left out as soon as that is
    known here.
    """
    (found,) = await _lists(ports, caller, [user_id], limit)
    return Response(
        _written(found),
        media_type="application/json",
        headers={SOURCE_HEADER: found["source"]},
    )


async def _lists(
    ports: Ports, caller: ApiKey, user_ids: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """Read and counted. Raises ReadModelUnready."""
    try:
        found = await ports.recommendations.read(caller.tenant_id, user_ids)
    except ReadModelUnready:
        _count("unready", len(user_ids))
        raise
    now = datetime.now(UTC)
    lists = [shown(item, limit, now) for item in found]
    for item in lists:
        _count(item["source"])
    return lists


async def _list_now(
    ports: Ports, caller: ApiKey, user_id: str, limit: int
) -> dict[str, Any] | None:
    """None while the read model is not ready: who watches keeps what they have."""
    try:
        (found,) = await ports.recommendations.read(caller.tenant_id, [user_id])
    except ReadModelUnready:
        return None
    return shown(found, limit, datetime.now(UTC))


def _count(source: str, times: int = 1) -> None:
    counter(RECOMMENDATIONS_READ).labels(NAME, source).inc(times)


def _written(view: dict[str, Any]) -> str:
    return json.dumps(view, ensure_ascii=False, separators=(",", ":"))
