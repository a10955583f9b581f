"""Tenants and users on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.adapters.postgres.keys import insert_key
from gateway.adapters.postgres.tenants import ensure_tenant, insert_tenant
from gateway.domain.access import Role, Tier, folded_email
from gateway.domain.errors import EmailTaken, LastOwner
from gateway.domain.models import ApiKey
from gateway.domain.tenants import Tenant, User

_USER = "user_id, tenant_id, email, name, role, created_at, disabled_at"
_OWNERS = """
SELECT count(*) FROM users WHERE tenant_id = $1 AND role = 'owner' AND disabled_at IS NULL
"""


class PostgresUserRepository:
    """Tenants and users; each call is a statement or transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_tenant(self, tenant: Tenant, owner: User, key: ApiKey, secret: bytes) -> None:
        """In one transaction."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await insert_tenant(connection, tenant)
                await _insert(connection, owner)
                await insert_key(connection, key, secret)

    async def ensure_tenant(self, tenant_id: str, tier: Tier) -> None:
        """It is called what its id is."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await ensure_tenant(connection, tenant_id, tier)

    async def tenant_ids(self) -> Sequence[str]:
        """In no order."""
        with translated():
            rows = await self._pool.fetch("SELECT tenant_id FROM tenants")
        return [row["tenant_id"] for row in rows]

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """By its id."""
        with translated():
            row = await self._pool.fetchrow(
                "SELECT tenant_id, name, tier, created_at FROM tenants WHERE tenant_id = $1",
                tenant_id,
            )
        return None if row is None else Tenant(**{**row, "tier": Tier(row["tier"])})

    async def add(self, user: User) -> None:
        """The index decides whether the address is taken."""
        with translated():
            async with self._pool.acquire() as connection:
                await _insert(connection, user)

    async def find(self, tenant_id: str, user_id: UUID) -> User | None:
        """By its id."""
        with translated():
            row = await self._pool.fetchrow(
                f"SELECT {_USER} FROM users "  # noqa: S608 - constant
                "WHERE tenant_id = $1 AND user_id = $2",
                tenant_id,
                user_id,
            )
        return None if row is None else _user(row)

    async def of_tenant(self, tenant_id: str, limit: int, after: UUID | None) -> Sequence[User]:
        """Ids are made in the order of time."""
        with translated():
            rows = await self._pool.fetch(
                f"SELECT {_USER} FROM users WHERE tenant_id = $1 "  # noqa: S608 - constant
                "AND ($3::uuid IS NULL OR user_id > $3) ORDER BY user_id LIMIT $2",
                tenant_id,
                limit,
                after,
            )
        return [_user(row) for row in rows]

    async def set_role(self, tenant_id: str, user_id: UUID, role: Role) -> User | None:
        """Counts for all keys of the user from now on."""
        async with self._owned(tenant_id) as connection:
            row = await connection.fetchrow(
                f"UPDATE users SET role = $3 WHERE tenant_id = $1 AND user_id = $2 "  # noqa: S608
                f"RETURNING {_USER}",
                tenant_id,
                user_id,
                role.value,
            )
        return None if row is None else _user(row)

    async def set_disabled(
        self, tenant_id: str, user_id: UUID, disabled_at: datetime | None
    ) -> User | None:
        """Counts for all keys of the user from now on."""
        async with self._owned(tenant_id) as connection:
            row = await connection.fetchrow(
                "UPDATE users SET disabled_at = CASE WHEN $3::timestamptz IS NOT NULL "  # noqa: S608
                "THEN coalesce(disabled_at, $3) END "
                f"WHERE tenant_id = $1 AND user_id = $2 RETURNING {_USER}",
                tenant_id,
                user_id,
                disabled_at,
            )
        return None if row is None else _user(row)

    @asynccontextmanager
    async def _owned(self, tenant_id: str) -> AsyncIterator[Connection]:
        """A transaction that may not leave a tenant without an owner if it had one.

        It locks the tenant, or two changes at once would each see the other's owner.
        """
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "SELECT FROM tenants WHERE tenant_id = $1 FOR UPDATE", tenant_id
                )
                before = await connection.fetchval(_OWNERS, tenant_id)
                yield connection
                if before and not await connection.fetchval(_OWNERS, tenant_id):
                    raise LastOwner(
                        "this is the last owner of the tenant",
                        "make another user an owner first",
                    )


async def _insert(connection: Connection, user: User) -> None:
    try:
        await connection.execute(
            "INSERT INTO users (user_id, tenant_id, email, email_key, name, role, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            user.user_id,
            user.tenant_id,
            user.email,
            folded_email(user.email),
            user.name,
            user.role.value,
            user.created_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise EmailTaken(
            f"the tenant has a user with the address {user.email}",
            "change that user, or enable them again if they are disabled",
        ) from error


def _user(row: asyncpg.Record) -> User:
    return User(**{**row, "role": Role(row["role"])})
