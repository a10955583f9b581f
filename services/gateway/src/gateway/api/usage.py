"""The route of usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.domain.access import Scope
from gateway.domain.errors import Forbidden, NotFound
from gateway.domain.models import ApiKey
from gateway.domain.usage import UsageBy, UsageQuery
from gateway.schemas.usage import UsageView, usage_view

router = APIRouter(prefix="/v1/usage", tags=["usage"], responses=errors(401, 403, 404, 422, 429))
_DEFAULT = timedelta(days=7)


@router.get("", summary="What keys have used")
async def usage(
    caller: Reader,
    ports: PortsOf,
    start: Annotated[
        AwareDatetime | None, Query(alias="from", description="first hour; default: 7 days ago")
    ] = None,
    end: Annotated[
        AwareDatetime | None, Query(alias="to", description="hour after the last; default: now")
    ] = None,
    key_id: Annotated[
        UUID | None, Query(description="of one key; default: all one may see")
    ] = None,
    by: Annotated[UsageBy, Query(description="what groups are made by")] = UsageBy.DAY,
) -> UsageView:
    """Requests, time and bytes: of the whole tenant for ``admin``, else of the caller's own key.

    It is counted by the hour, in UTC: an hour belongs to the answer if it begins within it.
    """
    last = end or datetime.now(UTC)
    key = await _key(ports, caller, key_id)
    query = UsageQuery(caller.tenant_id, key, start or last - _DEFAULT, last, by)
    return usage_view(query, await ports.usage.read(query))


async def _key(ports: Ports, caller: ApiKey, key_id: UUID | None) -> UUID | None:
    """Whose usage to show; None: all of the tenant."""
    admin = Scope.ADMIN in caller.scopes
    if key_id is None:
        return None if admin else caller.key_id
    if await ports.keys.find(caller.tenant_id, key_id) is None:
        raise NotFound(f"no key {key_id}", "list the keys with GET /v1/keys")
    if not admin and key_id != caller.key_id:
        raise Forbidden(
            "usage of other keys needs a key with the scope admin", "leave key_id out for your own"
        )
    return key_id
