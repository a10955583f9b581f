"""Routes of tenants."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from runtime.ids import new_id

from gateway.announcing import announce_now
from gateway.api.access import Operator, Reader
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.domain.access import TENANT_SCOPES, Role, Scope
from gateway.domain.errors import NotFound
from gateway.domain.models import ApiKey
from gateway.domain.rules import new_secret, secret_hash, shown_prefix
from gateway.domain.tenants import Tenant, User
from gateway.schemas.keys import created_key_view
from gateway.schemas.users import (
    CreatedTenantView,
    TenantRequest,
    TenantView,
    tenant_view,
    user_view,
)

router = APIRouter(prefix="/v1/tenants", tags=["tenants"], responses=errors(401, 403, 422, 429))


@router.post("", status_code=201, summary="Make a tenant")
async def create(
    body: TenantRequest, _: Operator, ports: PortsOf, response: Response
) -> CreatedTenantView:
    """Make a tenant with its first owner, and a key of theirs whose secret is shown this once."""
    now, secret = datetime.now(UTC), new_secret()
    tenant = Tenant(str(new_id()), body.name, body.tier, now)
    owner = User(new_id(), tenant.tenant_id, body.owner.email, body.owner.name, Role.OWNER, now)
    key = ApiKey(
        key_id=new_id(),
        tenant_id=tenant.tenant_id,
        name="first key",
        prefix=shown_prefix(secret),
        created_at=now,
        scopes=TENANT_SCOPES,
        tier=tenant.tier,
        user_id=owner.user_id,
    )
    await ports.users.add_tenant(tenant, owner, key, secret_hash(secret))
    await announce_now(ports.publish, tenant.tenant_id)
    response.headers["Location"] = f"/v1/tenants/{tenant.tenant_id}"
    return CreatedTenantView(
        tenant=tenant_view(tenant), owner=user_view(owner), key=created_key_view(key, secret)
    )


@router.get("/{tenant_id}", summary="Show a tenant", responses=errors(404))
async def show(tenant_id: str, caller: Reader, ports: PortsOf) -> TenantView:
    """The caller's own tenant; any for an operator."""
    own = tenant_id == caller.tenant_id or Scope.OPERATOR in caller.scopes
    tenant = await ports.users.tenant(tenant_id) if own and "\x00" not in tenant_id else None
    if tenant is None:
        raise NotFound(f"no tenant {tenant_id}", "other tenants are not shown")
    return tenant_view(tenant)
