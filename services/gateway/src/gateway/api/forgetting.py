"""The route by which a user is forgotten."""

from __future__ import annotations

from typing import Annotated

from contracts.events.marketing import GivenId
from fastapi import APIRouter, Path

from gateway.api.access import Writer
from gateway.api.errors import errors
from gateway.api.paths import given
from gateway.api.ports import PortsOf
from gateway.commands.facts import forget_user
from gateway.schemas.recommendations import ForgetAccepted

router = APIRouter(tags=["marketing"], responses=errors(401, 403, 404, 422, 429))


@router.delete(
    f"/v1/users/{given('user_id')}",
    status_code=202,
    summary="Forget an end user",
)
async def forget(
    user_id: Annotated[GivenId, Path(description="your name for one of your users")],
    caller: Writer,
    ports: PortsOf,
) -> ForgetAccepted:
    """Remove everything that was taken in of a user until now, everywhere.

    This is about the people whose conversations are told, by the names that the tenant has for
    them. The accounts at ``/v1/users``, of people who work with this API, are other users: no
    account is touched, whatever its id. A campaign that excludes the user goes on to do so: that
    is the tenant's own wish, and a PUT of the campaign changes it. What is told of the user from
    now on is taken in again.
    """
    at, event_id = await forget_user(ports.store, ports.bind, caller.tenant_id, user_id)
    return ForgetAccepted(user_id=user_id, forgotten_at=at, event_id=event_id)
