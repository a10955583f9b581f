"""What keys have used, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from bus.stores.postgres import Pool, translated

from gateway.domain.usage import Tally, UsageBy, UsageQuery, UsageRow, UsageSlot

# Keys are locked in one order: replicas that note the use of the same keys wait, none deadlocks.
_PUT = """
WITH item AS (
    SELECT * FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::integer[],
        $7::bigint[], $8::float8[], $9::float8[], $10::bigint[], $11::bigint[], $12::timestamptz[])
    AS item (key_id, hour, method, route, status, requests, seconds, longest, request_bytes,
             response_bytes, last_at)
), locked AS (
    SELECT key_id FROM api_keys WHERE key_id = ANY($2) ORDER BY key_id FOR NO KEY UPDATE
), used AS (
    UPDATE api_keys SET last_used_at = greatest(api_keys.last_used_at, latest.at)
    FROM (SELECT key_id, max(last_at) AS at FROM item JOIN locked USING (key_id) GROUP BY key_id)
        AS latest
    WHERE api_keys.key_id = latest.key_id
)
INSERT INTO key_usage (instance, key_id, hour, method, route, status, requests, seconds, longest,
                       request_bytes, response_bytes)
SELECT $1, key_id, hour, method, route, status, requests, seconds, longest, request_bytes,
       response_bytes
FROM item JOIN locked USING (key_id)
ON CONFLICT (key_id, hour, method, route, status, instance) DO UPDATE SET
    requests = excluded.requests, seconds = excluded.seconds, longest = excluded.longest,
    request_bytes = excluded.request_bytes, response_bytes = excluded.response_bytes
"""
_READ = """
SELECT {group} AS starts_at, {method} AS method, {route} AS route,
       sum(requests)::bigint AS requests,
       coalesce(sum(requests) FILTER (WHERE status >= 500), 0)::bigint AS errors,
       coalesce(sum(requests) FILTER (WHERE status BETWEEN 400 AND 499), 0)::bigint AS refused,
       sum(seconds) AS seconds, max(longest) AS longest,
       sum(request_bytes)::bigint AS request_bytes, sum(response_bytes)::bigint AS response_bytes
FROM key_usage JOIN api_keys USING (key_id)
WHERE api_keys.tenant_id = $1 AND ($2::uuid IS NULL OR key_id = $2) AND hour >= $3 AND hour < $4
GROUP BY 1, 2, 3 ORDER BY 1 NULLS FIRST, 3 NULLS FIRST, 2
"""
_GROUPS = {
    UsageBy.DAY: {
        "group": "date_trunc('day', hour, 'UTC')",
        "method": "NULL::text",
        "route": "NULL::text",
    },
    UsageBy.HOUR: {"group": "hour", "method": "NULL::text", "route": "NULL::text"},
    UsageBy.ENDPOINT: {"group": "NULL::timestamptz", "method": "method", "route": "route"},
}


class PostgresUsageStore:
    """Usage; each call is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, instance: UUID, rows: Sequence[tuple[UsageSlot, Tally]]) -> None:
        """Totals replace those that the same process stored before."""
        with translated():
            await self._pool.execute(_PUT, instance, *_columns(rows))

    async def read(self, query: UsageQuery) -> Sequence[UsageRow]:
        """Sums over all processes."""
        with translated():
            rows = await self._pool.fetch(
                _READ.format(**_GROUPS[query.by]),
                query.tenant_id,
                query.key_id,
                query.start,
                query.end,
            )
        return [_row(row) for row in rows]


def _columns(rows: Sequence[tuple[UsageSlot, Tally]]) -> list[list[object]]:
    slots, tallies = [slot for slot, _ in rows], [tally for _, tally in rows]
    return [
        [slot.key_id for slot in slots],
        [slot.hour for slot in slots],
        [slot.method for slot in slots],
        [slot.route for slot in slots],
        [slot.status for slot in slots],
        [tally.requests for tally in tallies],
        [tally.seconds for tally in tallies],
        [tally.longest for tally in tallies],
        [tally.request_bytes for tally in tallies],
        [tally.response_bytes for tally in tallies],
        [tally.last_at for tally in tallies],
    ]


def _row(row: asyncpg.Record) -> UsageRow:
    return UsageRow(**dict(row))
