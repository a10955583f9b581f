"""Routes of API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from runtime.ids import new_id

from gateway.api.access import Reader, Writer
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.domain.access import (
    Role,
    Scope,
    granted_expiry,
    granted_scopes,
    granted_tier,
)
from gateway.domain.errors import Forbidden, NotFound
from gateway.domain.models import ApiKey
from gateway.domain.rules import new_secret, secret_hash, shown_prefix
from gateway.schemas.keys import (
    CreatedKeyView,
    KeyRequest,
    KeyView,
    created_key_view,
    key_view,
)

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=errors(401, 403, 429))


@router.post("", status_code=201, summary="Make a key", responses=errors(404, 422))
async def create(body: KeyRequest, caller: Writer, ports: PortsOf) -> CreatedKeyView:
    """Make another key for the caller's tenant. The secret is shown this once.

    It never has more than the key that makes it: scopes, tier, or time to live. A key without
    the scope ``admin`` makes keys for its own user only.
    """
    role = await _role_of(body.user_id, caller, ports)
    now, secret = datetime.now(UTC), new_secret()
    key = ApiKey(
        key_id=new_id(),
        tenant_id=caller.tenant_id,
        name=body.name,
        prefix=shown_prefix(secret),
        created_at=now,
        scopes=granted_scopes(body.scopes, caller.scopes, role),
        tier=granted_tier(body.tier, caller.tier),
        user_id=body.user_id or caller.user_id,
        expires_at=granted_expiry(body.expires_at, caller.expires_at, now),
        made_by=caller.key_id,
    )
    await ports.keys.add(key, secret_hash(secret))
    return created_key_view(key, secret)


@router.get("", summary="List keys")
async def listed(caller: Reader, ports: PortsOf) -> list[KeyView]:
    """All keys of the tenant for ``admin``, else those of the caller's user; oldest first."""
    keys = await ports.keys.of_tenant(caller.tenant_id)
    return [key_view(key) for key in keys if _may_see(caller, key)]


@router.get("/{key_id}", summary="Show a key", responses=errors(404, 422))
async def show(key_id: UUID, caller: Reader, ports: PortsOf) -> KeyView:
    """One key."""
    return key_view(await _seen(ports, caller, key_id))


@router.delete("/{key_id}", summary="Revoke a key", responses=errors(404, 422))
async def revoke(key_id: UUID, caller: Writer, ports: PortsOf) -> KeyView:
    """Revoke a key, at once and for good. Keys that it has made live on."""
    await _seen(ports, caller, key_id)
    key = await ports.keys.revoke(caller.tenant_id, key_id, datetime.now(UTC))
    if key is None:
        raise _unknown(key_id)
    return key_view(key)


async def _role_of(user_id: UUID | None, caller: ApiKey, ports: Ports) -> Role | None:
    """The role that bounds a new key. The caller's scopes are bounded by its own user's."""
    if user_id is None or user_id == caller.user_id:
        return None
    if Scope.ADMIN not in caller.scopes:
        raise Forbidden(
            "keys of other users need a key with the scope admin",
            "leave user_id out, or use a key with admin",
        )
    user = await ports.users.find(caller.tenant_id, user_id)
    if user is None:
        raise NotFound(f"no user {user_id}", "list the users with GET /v1/users")
    return user.role


async def _seen(ports: Ports, caller: ApiKey, key_id: UUID) -> ApiKey:
    key = await ports.keys.find(caller.tenant_id, key_id)
    if key is None:
        raise _unknown(key_id)
    if not _may_see(caller, key):
        raise Forbidden(
            "keys of others need a key with the scope admin", "use a key of the same user, or admin"
        )
    return key


def _may_see(caller: ApiKey, key: ApiKey) -> bool:
    own = caller.user_id is not None and key.user_id == caller.user_id
    return Scope.ADMIN in caller.scopes or own or key.key_id == caller.key_id


def _unknown(key_id: UUID) -> NotFound:
    return NotFound(f"no key {key_id}", "list the keys with GET /v1/keys")
