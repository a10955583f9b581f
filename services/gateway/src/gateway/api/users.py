"""Routes of a tenant's users."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Response
from runtime.ids import new_id

from gateway.api.access import Admin
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.domain.errors import NotFound
from gateway.domain.tenants import User
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of
from gateway.schemas.users import UserChange, UserPage, UserRequest, UserView, user_view

router = APIRouter(prefix="/v1/users", tags=["users"], responses=errors(401, 403, 422, 429))


@router.post("", status_code=201, summary="Add a user", responses=errors(409))
async def create(body: UserRequest, caller: Admin, ports: PortsOf, response: Response) -> UserView:
    """Add a user to the caller's tenant. An address counts once, whatever its case."""
    user = User(new_id(), caller.tenant_id, body.email, body.name, body.role, datetime.now(UTC))
    await ports.users.add(user)
    response.headers["Location"] = f"/v1/users/{user.user_id}"
    return user_view(user)


@router.get("", summary="List users")
async def listed(
    caller: Admin,
    ports: PortsOf,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UserPage:
    """Users of the caller's tenant in the order they were added, disabled ones too."""
    after = position_of(cursor, _id)
    found = await ports.users.of_tenant(caller.tenant_id, limit + 1, after)
    page = found[:limit]
    more = cursor_of(str(page[-1].user_id)) if len(found) > limit else None
    return UserPage(items=[user_view(user) for user in page], next_cursor=more)


@router.get("/{user_id}", summary="Show a user", responses=errors(404))
async def show(user_id: UUID, caller: Admin, ports: PortsOf) -> UserView:
    """One user."""
    return _view(user_id, await ports.users.find(caller.tenant_id, user_id))


@router.patch("/{user_id}", summary="Change a role", responses=errors(404, 409))
async def change(user_id: UUID, body: UserChange, caller: Admin, ports: PortsOf) -> UserView:
    """Change what a user is, and with it at once what all their keys may do."""
    return _view(user_id, await ports.users.set_role(caller.tenant_id, user_id, body.role))


@router.post("/{user_id}/disable", summary="Disable a user", responses=errors(404, 409))
async def disable(user_id: UUID, caller: Admin, ports: PortsOf) -> UserView:
    """None of the user's keys is valid from now on, until the user is enabled again."""
    now = datetime.now(UTC)
    return _view(user_id, await ports.users.set_disabled(caller.tenant_id, user_id, now))


@router.post("/{user_id}/enable", summary="Enable a user", responses=errors(404))
async def enable(user_id: UUID, caller: Admin, ports: PortsOf) -> UserView:
    """The user's keys that are neither revoked nor expired are valid again."""
    return _view(user_id, await ports.users.set_disabled(caller.tenant_id, user_id, None))


def _id(text: str) -> UUID:
    return UUID(str(text))


def _view(user_id: UUID, user: User | None) -> UserView:
    if user is None:
        raise NotFound(f"no user {user_id}", "list the users with GET /v1/users")
    return user_view(user)
