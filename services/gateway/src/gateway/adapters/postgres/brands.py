"""Brands on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.adapters.postgres.rows import brand_of
from gateway.domain.errors import NameTaken
from gateway.domain.models import Brand
from gateway.domain.rules import folded

_SET = """
    name = excluded.name, name_key = excluded.name_key, aliases = excluded.aliases,
    domains = excluded.domains, exclude = excluded.exclude, own = excluded.own,
    case_rule = excluded.case_rule, updated_at = now(), deleted_at = NULL
"""
_INSERT = """
INSERT INTO brands (tenant_id, brand_id, name, name_key, aliases, domains, exclude, own, case_rule)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


class BrandRows:
    """The part of the run repository that looks brands up, inside its transaction."""

    _connection: Connection

    async def brands_by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Sequence[Brand]:
        """Deleted ones are not there."""
        rows = await self._connection.fetch(
            "SELECT * FROM brands WHERE tenant_id = $1 AND brand_id = ANY($2::uuid[]) "
            "AND deleted_at IS NULL",
            tenant_id,
            list(ids),
        )
        return [brand_of(row) for row in rows]

    async def all_brands(self, tenant_id: str) -> Sequence[Brand]:
        """By name."""
        rows = await self._connection.fetch(
            "SELECT * FROM brands WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY name_key",
            tenant_id,
        )
        return [brand_of(row) for row in rows]

    async def named_brands(self, tenant_id: str, brands: Sequence[Brand]) -> Sequence[Brand]:
        """Insert those that are not there, or no longer, and leave the others untouched."""
        by_key = {folded(brand.name): brand for brand in brands}
        rows = await self._connection.fetch(
            "SELECT name_key, brand_id FROM brands WHERE tenant_id = $1 "
            "AND name_key = ANY($2::text[]) AND deleted_at IS NULL",
            tenant_id,
            list(by_key),
        )
        ids: dict[str, UUID] = {row["name_key"]: row["brand_id"] for row in rows}
        # In one order, so that no two transactions wait for each other.
        for key in sorted(by_key.keys() - ids):
            ids[key] = await self._make_brand(tenant_id, by_key[key])
        return [replace(brand, brand_id=ids[key]) for key, brand in by_key.items()]

    async def _make_brand(self, tenant_id: str, brand: Brand) -> UUID:
        """A deleted one comes back as it is given; one that was made meanwhile stays as it is."""
        values = _values(tenant_id, brand)
        made = await self._connection.fetchval(
            f"{_INSERT} ON CONFLICT (tenant_id, name_key) DO UPDATE SET {_SET} "
            "WHERE brands.deleted_at IS NOT NULL RETURNING brand_id",
            *values,
        )
        found = made or await self._connection.fetchval(
            "SELECT brand_id FROM brands WHERE tenant_id = $1 AND name_key = $2",
            tenant_id,
            folded(brand.name),
        )
        return UUID(str(found))


class PostgresBrandRepository:
    """Brands for the API; each call is a statement or transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_tenant(self, tenant_id: str, limit: int, after: str | None) -> Sequence[Brand]:
        """By folded name."""
        with translated():
            rows = await self._pool.fetch(
                "SELECT * FROM brands WHERE tenant_id = $1 AND deleted_at IS NULL "
                "AND ($3::text IS NULL OR name_key > $3) ORDER BY name_key LIMIT $2",
                tenant_id,
                limit,
                after,
            )
        return [brand_of(row) for row in rows]

    async def find(self, tenant_id: str, brand_id: UUID) -> Brand | None:
        """One index look-up."""
        with translated():
            row = await self._pool.fetchrow(
                "SELECT * FROM brands WHERE tenant_id = $1 AND brand_id = $2 "
                "AND deleted_at IS NULL",
                tenant_id,
                brand_id,
            )
        return None if row is None else brand_of(row)

    async def put(self, tenant_id: str, brand: Brand, *, by_name: bool) -> Brand | None:
        """Insert or replace, in one statement."""
        if by_name:
            sql = f"{_INSERT} ON CONFLICT (tenant_id, name_key) DO UPDATE SET {_SET} RETURNING *"
        else:
            sql = (
                "UPDATE brands SET name = $3, name_key = $4, aliases = $5, domains = $6, "
                "exclude = $7, own = $8, case_rule = $9, updated_at = now() "
                "WHERE tenant_id = $1 AND brand_id = $2 AND deleted_at IS NULL RETURNING *"
            )
        try:
            with translated():
                row = await self._pool.fetchrow(sql, *_values(tenant_id, brand))
        except asyncpg.UniqueViolationError as error:
            raise NameTaken(
                f"another brand is called {brand.name!r} (upper and lower case count as the same)",
                "choose another name, or change that brand (a deleted one: PUT /v1/brands)",
            ) from error
        return None if row is None else brand_of(row)

    async def delete(self, tenant_id: str, brand_id: UUID) -> bool:
        """Mark it: its name keeps its id, and runs keep their copy."""
        with translated():
            row = await self._pool.fetchrow(
                "UPDATE brands SET deleted_at = now() WHERE tenant_id = $1 AND brand_id = $2 "
                "AND deleted_at IS NULL RETURNING 1",
                tenant_id,
                brand_id,
            )
        return row is not None


def _values(tenant_id: str, brand: Brand) -> tuple[Any, ...]:
    return (
        tenant_id,
        brand.brand_id,
        brand.name,
        folded(brand.name),
        list(brand.aliases),
        list(brand.domains),
        list(brand.exclude),
        brand.own,
        brand.case,
    )
