"""API keys on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.adapters.postgres.tenants import ensure_tenant
from gateway.domain.access import Role, Scope, Tier, effective_scopes, lower_tier
from gateway.domain.models import ApiKey

_KEYS = """
SELECT key.key_id, key.tenant_id, key.name, key.prefix, key.created_at, key.revoked_at,
       key.scopes, key.tier, key.user_id, key.expires_at, key.last_used_at, key.made_by,
       users.role, users.disabled_at, tenants.tier AS tenant_tier
FROM {source} AS key
JOIN tenants USING (tenant_id)
LEFT JOIN users ON users.user_id = key.user_id
"""
_STORED = _KEYS.format(source="api_keys")
_REVOKED = """
WITH revoked AS (
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3)
    WHERE tenant_id = $1 AND key_id = $2 RETURNING *
)
""" + _KEYS.format(source="revoked")  # noqa: S608 - constants
_NO_OTHER_OPERATOR = """
UPDATE api_keys SET scopes = array_remove(scopes, 'operator')
WHERE 'operator' = ANY(scopes) AND secret_hash <> $1
"""
_BOOTSTRAP = """
UPDATE api_keys SET scopes = $3, tier = $4
WHERE secret_hash = $1 AND tenant_id = $2 AND user_id IS NULL
"""


class PostgresKeyRepository:
    """Keys; each call is a statement or transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key; the same hash again changes nothing."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await ensure_tenant(connection, key.tenant_id, key.tier)
                await insert_key(connection, key, secret_hash)

    async def add_bootstrap(self, key: ApiKey, secret_hash: bytes) -> None:
        """Also where the key is there from before there were scopes. A revoked one stays so."""
        scopes = [scope.value for scope in key.scopes]
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await ensure_tenant(connection, key.tenant_id, key.tier)
                await insert_key(connection, key, secret_hash)
                await connection.execute(
                    _BOOTSTRAP, secret_hash, key.tenant_id, scopes, key.tier.value
                )
                await connection.execute(
                    "UPDATE tenants SET tier = $2 WHERE tenant_id = $1",
                    key.tenant_id,
                    key.tier.value,
                )
                await connection.execute(_NO_OTHER_OPERATOR, secret_hash)

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """Three index look-ups: nothing is cached, so that the end of a key counts at once."""
        with translated():
            row = await self._pool.fetchrow(f"{_STORED} WHERE key.secret_hash = $1", secret_hash)
        return None if row is None else _key(row)

    async def find(self, tenant_id: str, key_id: UUID) -> ApiKey | None:
        """By its id."""
        with translated():
            row = await self._pool.fetchrow(
                f"{_STORED} WHERE key.tenant_id = $1 AND key.key_id = $2", tenant_id, key_id
            )
        return None if row is None else _key(row)

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        """Oldest first."""
        with translated():
            rows = await self._pool.fetch(
                f"{_STORED} WHERE key.tenant_id = $1 ORDER BY key.created_at, key.key_id", tenant_id
            )
        return [_key(row) for row in rows]

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """The first revocation counts."""
        with translated():
            row = await self._pool.fetchrow(_REVOKED, tenant_id, key_id, now)
        return None if row is None else _key(row)


async def insert_key(connection: Connection, key: ApiKey, secret_hash: bytes) -> None:
    """Store a key of a tenant that is there; the same hash again changes nothing."""
    await connection.execute(
        "INSERT INTO api_keys (key_id, tenant_id, name, prefix, secret_hash, created_at, scopes, "
        "tier, user_id, expires_at, made_by) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        key.key_id,
        key.tenant_id,
        key.name,
        key.prefix,
        secret_hash,
        key.created_at,
        sorted(scope.value for scope in key.scopes),
        key.tier.value,
        key.user_id,
        key.expires_at,
        key.made_by,
    )


def _key(row: asyncpg.Record) -> ApiKey:
    role = None if row["role"] is None else Role(row["role"])
    return ApiKey(
        key_id=row["key_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        prefix=row["prefix"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        scopes=effective_scopes([Scope(scope) for scope in row["scopes"]], role),
        tier=lower_tier(Tier(row["tier"]), Tier(row["tenant_tier"])),
        user_id=row["user_id"],
        disabled_at=row["disabled_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        made_by=row["made_by"],
    )
