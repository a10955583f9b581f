"""Rows of tenants: each is announced in the transaction that makes it."""

from __future__ import annotations

from datetime import UTC, datetime

from bus.stores.postgres import Connection, PostgresTransaction

from gateway.announcing import announcement
from gateway.domain.access import Tier
from gateway.domain.tenants import Tenant


async def ensure_tenant(connection: Connection, tenant_id: str, tier: Tier) -> None:
    """Make a tenant that is called what its id is, unless there is one of that id."""
    now = datetime.now(UTC)
    if await _inserted(connection, Tenant(tenant_id, tenant_id, tier, now)):
        await PostgresTransaction(connection).add([announcement(tenant_id, now)])


async def insert_tenant(connection: Connection, tenant: Tenant) -> None:
    """Make a tenant with an id of its own."""
    await _inserted(connection, tenant)
    row = announcement(tenant.tenant_id, tenant.created_at)
    await PostgresTransaction(connection).add([row])


async def _inserted(connection: Connection, tenant: Tenant) -> bool:
    made = await connection.fetchval(
        "INSERT INTO tenants (tenant_id, name, tier, created_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT DO NOTHING RETURNING true",
        tenant.tenant_id,
        tenant.name,
        tenant.tier.value,
        tenant.created_at,
    )
    return bool(made)
