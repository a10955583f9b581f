"""Finished completions as the relay sees them: the document is its own outbox row."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg
from bus.outbox import OutboxRow
from bus.stores.postgres import PostgresOutbox
from contracts.envelope import from_headers


class CompletionOutbox(PostgresOutbox):
    """Finished completions that were not published."""

    async def pending(self, limit: int) -> Sequence[OutboxRow]:
        """In order of finishing."""
        rows = await self.fetch(
            "SELECT position, document -> 'headers' AS headers, document -> 'event' AS event "
            "FROM completions WHERE document IS NOT NULL "
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
    headers = ((name, value.encode()) for name, value in json.loads(row["headers"]).items())
    envelope = from_headers(headers)
    return OutboxRow(envelope, envelope.subject, row["event"].encode(), row["position"])
