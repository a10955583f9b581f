"""The call store as JSONB documents in PostgreSQL; it stands in for MongoDB in the all-in-one."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

import asyncpg
from bus.outbox import OutboxRow
from bus.stores.postgres import CHANNEL, Pool, PostgresOutbox, translated
from contracts.envelope import from_headers

from llm_executor.domain.models import Claim, Key


class PostgresCallStore:
    """One row per completion. Every method is one statement, so nothing is half done."""

    def __init__(self, pool: Pool, owner: UUID | None = None) -> None:
        self._pool = pool
        self._owner = owner or uuid4()

    async def claim(self, key: Key, lease_seconds: float) -> Claim:
        """Insert, or take over what is claimed and past its lease."""
        with translated():
            row = await self._pool.fetchrow(
                "INSERT INTO completions (tenant_id, completion_id, owner, lease_until) VALUES "
                "($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) "
                "ON CONFLICT (tenant_id, completion_id) DO UPDATE SET owner = EXCLUDED.owner, "
                "lease_until = EXCLUDED.lease_until, claims = completions.claims + 1 "
                "WHERE completions.document IS NULL "
                "AND completions.lease_until < clock_timestamp() RETURNING claims",
                key.tenant_id,
                key.completion_id,
                self._owner,
                lease_seconds,
            )
            if row is not None:
                return Claim.FRESH if row["claims"] == 1 else Claim.TAKEN_OVER
            finished = await self._pool.fetchval(
                "SELECT document IS NOT NULL FROM completions "
                "WHERE tenant_id = $1 AND completion_id = $2",
                key.tenant_id,
                key.completion_id,
            )
        return Claim.FINISHED if finished else Claim.HELD

    async def record(self, key: Key, headers: dict[str, str], payload: bytes) -> bool:
        """Set the document where there is none, and wake the relay."""
        document = json.dumps({"headers": headers, "event": json.loads(payload)})
        with translated():
            row = await self._pool.fetchrow(
                "WITH stored AS (UPDATE completions SET document = $3::jsonb, "
                "finished_at = clock_timestamp(), position = nextval('completion_positions') "
                "WHERE tenant_id = $1 AND completion_id = $2 AND document IS NULL "
                "RETURNING 1) SELECT pg_notify($4, '') FROM stored",
                key.tenant_id,
                key.completion_id,
                document,
                CHANNEL,
            )
        return row is not None

    async def publish_again(self, key: Key) -> None:
        """Clear the mark."""
        with translated():
            await self._pool.execute(
                "UPDATE completions SET published_at = NULL "
                "WHERE tenant_id = $1 AND completion_id = $2 AND document IS NOT NULL",
                key.tenant_id,
                key.completion_id,
            )

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """One statement for all of them."""
        with translated():
            await self._pool.execute(
                "UPDATE completions SET lease_until = clock_timestamp() + "
                "make_interval(secs => $2) FROM unnest($3::text[], $4::uuid[]) "
                "AS held (tenant_id, completion_id) "
                "WHERE completions.tenant_id = held.tenant_id "
                "AND completions.completion_id = held.completion_id "
                "AND owner = $1 AND document IS NULL",
                self._owner,
                lease_seconds,
                [key.tenant_id for key in keys],
                [key.completion_id for key in keys],
            )

    async def release(self, key: Key) -> None:
        """Let it lapse now."""
        with translated():
            await self._pool.execute(
                "UPDATE completions SET lease_until = '-infinity' WHERE tenant_id = $1 "
                "AND completion_id = $2 AND owner = $3 AND document IS NULL",
                key.tenant_id,
                key.completion_id,
                self._owner,
            )

    async def expire_all(self) -> None:
        """End every open lease: only for a process that knows itself to be the only one."""
        with translated():
            await self._pool.execute(
                "UPDATE completions SET lease_until = clock_timestamp() WHERE document IS NULL"
            )

    async def healthy(self) -> bool:
        """Whether the server answers."""
        return bool(await self._pool.fetchval("SELECT true"))


class CompletionOutbox(PostgresOutbox):
    """Finished completions that were not published: the document is its own outbox row."""

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        """In order of finishing."""
        rows = await self.fetch(
            "SELECT position, document FROM completions WHERE document IS NOT NULL "
            "AND published_at IS NULL ORDER BY position LIMIT $1",
            limit,
        )
        return [_row(row) for row in rows]

    async def mark_published(self, rows: Sequence[OutboxRow]) -> None:
        """One statement for all of them."""
        await self.fetch(
            "UPDATE completions SET published_at = clock_timestamp() "
            "WHERE position = ANY($1::bigint[])",
            [row.position for row in rows],
        )

    async def oldest_age(self) -> float:
        """Seconds since the oldest unpublished completion finished."""
        rows = await self.fetch(
            "SELECT extract(epoch FROM clock_timestamp() - finished_at)::float8 AS age "
            "FROM completions WHERE document IS NOT NULL AND published_at IS NULL "
            "ORDER BY position LIMIT 1"
        )
        return float(rows[0]["age"]) if rows else 0.0


def _row(row: asyncpg.Record) -> OutboxRow:
    document = json.loads(row["document"])
    headers = ((name, value.encode()) for name, value in document["headers"].items())
    envelope = from_headers(headers)
    payload = json.dumps(document["event"], ensure_ascii=False, separators=(",", ":")).encode()
    return OutboxRow(envelope, envelope.subject, payload, row["position"])
