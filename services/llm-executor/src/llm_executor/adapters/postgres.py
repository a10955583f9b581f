"""The call store as rows with JSONB documents in PostgreSQL, and its queue."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
from bus.stores.postgres import CHANNEL, Connection, Pool, translated

from llm_executor.adapters import postgres_statements as sql
from llm_executor.domain.budget import Allotment, Of, Purse
from llm_executor.domain.models import (
    Ask,
    Catalog,
    Claim,
    Claimed,
    Depth,
    Finished,
    Grant,
    Key,
    Queued,
    Room,
)


class PostgresCallStore:
    """One row per completion. Every method is one transaction, so nothing is half done."""

    def __init__(self, pool: Pool, owner: UUID | None = None) -> None:
        self._pool = pool
        self._owner = owner or uuid4()

    async def accept(self, requests: Sequence[Queued]) -> None:
        """Insert what is new, unmark what is finished."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql.ACCEPT_LOCK)
                await connection.execute(sql.ACCEPT, *_columns(map(_queued_values, requests), 11))

    async def cancel(self, tenant_id: str, parents: Collection[UUID]) -> None:
        """Remember, and mark what is not finished."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql.CANCEL_LOCK)
                await connection.execute(sql.CANCEL, tenant_id, list(parents))

    async def lanes(self) -> Sequence[str]:
        """One index look-up for each."""
        with translated():
            return [row["lane"] for row in await self._pool.fetch(sql.LANES)]

    async def claim(self, room: Room, lease_seconds: float) -> Sequence[Claimed]:
        """One statement, see CLAIM."""
        with translated():
            rows = await self._pool.fetch(
                sql.CLAIM,
                room.lane,
                room.total,
                room.batch,
                room.only_with_fallback,
                room.configured_fallback,
                self._owner,
                lease_seconds,
            )
        return _claimed(rows)

    async def claim_ended(self, limit: int, lease_seconds: float) -> Sequence[Claimed]:
        """One statement, see CLAIM_ENDED."""
        with translated():
            rows = await self._pool.fetch(sql.CLAIM_ENDED, limit, self._owner, lease_seconds)
        return _claimed(rows)

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """One statement for all of them."""
        with translated():
            await self._pool.execute(sql.RENEW, self._owner, *_keys(keys), lease_seconds)

    async def release(self, keys: Collection[Key], *, unknown: bool) -> None:
        """Waiting again, in their old places."""
        with translated():
            await self._pool.execute(sql.RELEASE, self._owner, *_keys(keys), unknown)

    async def take_back(self) -> int:
        """By the server's clock."""
        with translated():
            return _count(await self._pool.execute(sql.TAKE_BACK))

    async def expire_all(self) -> int:
        """End every open claim: only for a process that knows itself to be the only one."""
        with translated():
            return _count(await self._pool.execute(sql.EXPIRE))

    async def cancelled(self, keys: Collection[Key]) -> Collection[Key]:
        """Of this process's claims."""
        with translated():
            rows = await self._pool.fetch(sql.CANCELLED, self._owner, *_keys(keys))
        return [Key(row["tenant_id"], row["completion_id"]) for row in rows]

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[tuple[Grant, Decimal]]:
        """Rows are locked in one order, so that two processes cannot entangle."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                return await _reserve(connection, asks)

    async def earlier_answer(self, tenant_id: str, cache_key: str, seconds: float) -> bytes | None:
        """The latest."""
        with translated():
            found = await self._pool.fetchval(sql.EARLIER, tenant_id, cache_key, seconds)
        return None if found is None else str(found).encode()

    async def record(self, finished: Sequence[Finished]) -> Collection[Key]:
        """Set documents where there are none, settle budgets, and wake the relay."""
        values = _columns(map(_finished_values, finished), 9)
        with translated():
            rows = await self._pool.fetch(sql.RECORD, *values, CHANNEL)
        return [Key(row["tenant_id"], row["completion_id"]) for row in rows]

    async def depth(self) -> Depth:
        """By the index of what waits."""
        with translated():
            row = await self._pool.fetchrow(sql.DEPTH)
        assert row is not None
        return Depth(row["waiting"], row["oldest"])

    async def known_catalog(self, provider: str) -> str | None:
        """By provider."""
        with translated():
            found = await self._pool.fetchval(
                "SELECT version FROM catalogs WHERE provider = $1", provider
            )
        return None if found is None else str(found)

    async def published_catalog(self, catalog: Catalog) -> None:
        """In the place of the one before."""
        with translated():
            await self._pool.execute(
                "INSERT INTO catalogs (provider, version) VALUES ($1, $2) ON CONFLICT (provider) "
                "DO UPDATE SET version = EXCLUDED.version, published_at = clock_timestamp()",
                catalog.provider,
                catalog.version,
            )

    async def healthy(self) -> bool:
        """Whether the server answers."""
        return bool(await self._pool.fetchval("SELECT true"))


async def _reserve(connection: Connection, asks: Sequence[Ask]) -> list[tuple[Grant, Decimal]]:
    rows = await connection.fetch(sql.RESERVED, *_keys([ask.key for ask in asks]))
    before = {Key(row["tenant_id"], row["completion_id"]): row["reserved_usd"] for row in rows}
    limits = {(ask.key.tenant_id, ask.budget.budget_id): ask.budget.limit_usd for ask in asks}
    tenants, ids = [of for of, _ in limits], [budget for _, budget in limits]
    await connection.execute(sql.OPEN_BUDGETS, tenants, ids, list(limits.values()))
    allotment = Allotment(await _purses(connection, tenants, ids))
    answers = allotment.answer(asks, before)
    budgets = {ask.key: ask.budget.budget_id for ask in asks}
    await connection.execute(
        sql.SET_RESERVED,
        *_keys(allotment.reserved),
        list(allotment.reserved.values()),
        [budgets[key] for key in allotment.reserved],
    )
    reserved = [allotment.purses[of].reserved for of in limits]
    tight = [of in allotment.tight for of in limits]
    await connection.execute(sql.SET_BUDGETS, tenants, ids, reserved, tight)
    return answers


async def _purses(connection: Connection, tenants: list[str], ids: list[UUID]) -> dict[Of, Purse]:
    rows = await connection.fetch(sql.LOCK_BUDGETS, tenants, ids)
    return {
        (row["tenant_id"], row["budget_id"]): Purse(row["spent_usd"], row["reserved_usd"])
        for row in rows
    }


def _claimed(rows: Iterable[asyncpg.Record]) -> list[Claimed]:
    ordered = sorted(rows, key=lambda row: (row["priority"], row["arrival"]))
    return [_claim(row) for row in ordered]


def _claim(row: asyncpg.Record) -> Claimed:
    headers = json.loads(row["request_headers"])
    return Claimed(
        key=Key(row["tenant_id"], row["completion_id"]),
        lane=row["lane"],
        claim=Claim.UNKNOWN if row["unknown"] else Claim.FRESH,
        cancelled=row["cancelled"],
        headers=tuple((name, value.encode()) for name, value in headers),
        body=row["request_body"],
    )


def _queued_values(item: Queued) -> tuple[object, ...]:
    return (
        item.key.tenant_id,
        item.key.completion_id,
        item.lane,
        item.parent_id,
        0 if item.interactive else 1,
        item.weight,
        item.fallback,
        item.deadline,
        json.dumps([(name, value.decode()) for name, value in item.headers]),
        item.body,
        item.cache_key,
    )


def _finished_values(item: Finished) -> tuple[object, ...]:
    event = item.payload.decode()
    return (
        item.key.tenant_id,
        item.key.completion_id,
        f'{{"headers": {json.dumps(dict(item.headers))}, "event": {event}}}',
        item.outcome,
        item.model_called,
        None if item.tokens is None else item.tokens.input,
        None if item.tokens is None else item.tokens.output,
        item.cost_usd,
        item.price_version,
    )


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _keys(keys: Collection[Key]) -> tuple[list[str], list[UUID]]:
    return [key.tenant_id for key in keys], [key.completion_id for key in keys]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
