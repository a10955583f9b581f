"""What was refused of the tenants' events, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.adapters.postgres.rows import columns
from gateway.domain.rejections import Numbered, Rejection

_NAMES = (
    "tenant_id",
    "topic",
    "partition",
    "offset",
    "service",
    "event_id",
    "reason",
    "message",
    "attempts",
    "rejected_at",
)
_PUT = """
INSERT INTO rejected_events (tenant_id, topic, partition, "offset", service, event_id, reason,
                             message, attempts, rejected_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::integer[], $10::timestamptz[])
ON CONFLICT (topic, partition, "offset", service) DO UPDATE SET
    tenant_id = excluded.tenant_id, event_id = excluded.event_id, reason = excluded.reason,
    message = excluded.message, attempts = excluded.attempts, rejected_at = excluded.rejected_at
"""
_MOVE = """
INSERT INTO dead_letters_read (dlq, partition, next_offset) VALUES ($1, $2, $4)
ON CONFLICT (dlq, partition) DO UPDATE SET next_offset = excluded.next_offset
    WHERE dead_letters_read.next_offset = $3
RETURNING next_offset
"""


class PostgresRejectionStore:
    """Each call is a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_to(self) -> Mapping[tuple[str, int], int]:
        """A row for each partition that held a letter once."""
        with translated():
            rows = await self._pool.fetch("SELECT * FROM dead_letters_read")
        return {(row["dlq"], row["partition"]): row["next_offset"] for row in rows}

    async def take_in(
        self, dlq: tuple[str, int], start: int, end: int, found: Sequence[Rejection]
    ) -> bool:
        """A replica that comes second waits for the first one's row, and finds that it moved."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                moved = await connection.fetchval(_MOVE, *dlq, start, end)
                if moved is not None:
                    await _put(connection, found)
        return moved is not None

    async def of_tenant(
        self, tenant_id: str, topic: str | None, limit: int, before: int | None
    ) -> Sequence[Numbered]:
        """Along the index of the tenant."""
        with translated():
            rows = await self._pool.fetch(
                "SELECT * FROM rejected_events WHERE tenant_id = $1 "
                "AND ($2::text IS NULL OR topic = $2) AND ($4::bigint IS NULL OR number < $4) "
                "ORDER BY number DESC LIMIT $3",
                tenant_id,
                topic,
                limit,
                before,
            )
        return [Numbered(row["number"], _rejection(row)) for row in rows]


async def _put(connection: Connection, found: Sequence[Rejection]) -> None:
    # One statement may not change a row twice.
    latest = {(one.topic, one.partition, one.offset, one.service): one for one in found}
    await connection.execute(_PUT, *columns(list(latest.values()), *_NAMES))


def _rejection(row: asyncpg.Record) -> Rejection:
    return Rejection(**{name: row[name] for name in _NAMES})
