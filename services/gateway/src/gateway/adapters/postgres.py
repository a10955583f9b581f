"""Runs, projections and keys on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from bus.stores.postgres import Pool, PostgresTransaction, translated

from gateway.domain.models import (
    AnalyzedAnswer,
    ApiKey,
    Brand,
    BrandCount,
    FailureCount,
    FinishedCompletion,
    PlannedCompletion,
    Progress,
    Prompt,
    Report,
    Run,
    RunState,
    Spent,
    StoredResponse,
)
from gateway.domain.rules import final_state

_PROGRESS = """
SELECT run_id,
       count(*) FILTER (WHERE NOT finished AND NOT analyzed)                          AS waiting,
       count(*) FILTER (WHERE finished AND NOT analyzed AND failure_kind IS NULL)     AS answered,
       count(*) FILTER (WHERE analyzed)                                               AS analyzed,
       count(*) FILTER (WHERE failure_kind IS NOT NULL AND NOT not_run)               AS failed,
       count(*) FILTER (WHERE not_run)                                                AS not_run,
       coalesce(sum(cost_usd), 0)                                                     AS cost_usd,
       count(*) FILTER (WHERE NOT cost_known)                                         AS unpriced,
       coalesce(bool_or(simulated), false)                                            AS simulated
FROM completions WHERE run_id = ANY($1::uuid[]) GROUP BY run_id
"""

_COUNTS = """
SELECT model, brand_id, count(*) AS named_in, sum(mentions)::bigint AS mentions
FROM brand_mentions JOIN completions USING (completion_id)
WHERE run_id = $1 GROUP BY model, brand_id
"""

_ANSWERS = """
SELECT model, count(*) AS answers FROM completions WHERE run_id = $1 AND analyzed GROUP BY model
"""

_FAILURES = """
SELECT model, failure_kind, not_run, count(*) AS count, min(failure_message) AS example
FROM completions WHERE run_id = $1 AND failure_kind IS NOT NULL
GROUP BY model, failure_kind, not_run ORDER BY model, failure_kind, not_run
"""


class PostgresRunRepository:
    """Writes inside the caller's transaction."""

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection = transaction.connection

    async def add_run(self, run: Run, completions: Sequence[PlannedCompletion]) -> None:
        """One insert for the run, one for all its completions."""
        await self._connection.execute(
            "INSERT INTO runs (tenant_id, run_id, brands, prompts, models, samples, expected, "
            "state, started_at, budget_usd) "
            "VALUES ($1, $2, $3::jsonb, $4::jsonb, $5, $6, $7, $8, $9, $10)",
            run.tenant_id,
            run.run_id,
            json.dumps([_brand_out(brand) for brand in run.brands]),
            json.dumps([{"prompt_id": str(p.prompt_id), "text": p.text} for p in run.prompts]),
            list(run.models),
            run.samples,
            run.expected,
            run.state.value,
            run.started_at,
            run.budget_usd,
        )
        await self._connection.execute(
            "INSERT INTO completions (tenant_id, run_id, completion_id, prompt_id, model, sample) "
            "SELECT $1, $2, * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::integer[])",
            run.tenant_id,
            run.run_id,
            [item.completion_id for item in completions],
            [item.prompt.prompt_id for item in completions],
            [item.model for item in completions],
            [item.sample for item in completions],
        )

    async def note_finished(self, items: Sequence[FinishedCompletion]) -> None:
        """Set ends; the tenant must match, a foreign event changes nothing."""
        await self._connection.execute(
            "UPDATE completions SET finished = true, failure_kind = item.kind, "
            "failure_message = item.message, simulated = completions.simulated OR item.simulated, "
            "not_run = item.not_run, cost_usd = item.cost_usd, cost_known = item.cost_known "
            "FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], "
            "$6::boolean[], $7::boolean[], $8::numeric[], $9::boolean[]) AS item (tenant_id, "
            "run_id, completion_id, kind, message, simulated, not_run, cost_usd, cost_known) "
            "WHERE completions.completion_id = item.completion_id "
            "AND completions.run_id = item.run_id AND completions.tenant_id = item.tenant_id",
            [item.tenant_id for item in items],
            [item.run_id for item in items],
            [item.completion_id for item in items],
            [item.failure_kind for item in items],
            [item.failure_message for item in items],
            [item.simulated for item in items],
            [item.not_run for item in items],
            [item.cost_usd for item in items],
            [item.cost_known for item in items],
        )

    async def note_analyzed(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Mark answers and store their latest counts, for those that are the tenant's own."""
        latest = {(item.tenant_id, item.run_id, item.completion_id): item for item in items}
        rows = await self._connection.fetch(
            "UPDATE completions SET analyzed = true, "
            "simulated = completions.simulated OR item.simulated "
            "FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[]) "
            "AS item (tenant_id, run_id, completion_id, simulated) "
            "WHERE completions.completion_id = item.completion_id "
            "AND completions.run_id = item.run_id AND completions.tenant_id = item.tenant_id "
            "RETURNING completions.tenant_id, completions.run_id, completions.completion_id",
            [item.tenant_id for item in latest.values()],
            [item.run_id for item in latest.values()],
            [item.completion_id for item in latest.values()],
            [item.simulated for item in latest.values()],
        )
        await self._replace_counts([latest[tuple(row)] for row in rows])

    async def _replace_counts(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Another analysis may name fewer brands, so what the first one counted goes."""
        counts = [
            (item.completion_id, brand_id, number)
            for item in items
            for brand_id, number in item.mentions
        ]
        await self._connection.execute(
            "DELETE FROM brand_mentions WHERE completion_id = ANY($1::uuid[])",
            [item.completion_id for item in items],
        )
        await self._connection.execute(
            "INSERT INTO brand_mentions (completion_id, brand_id, mentions) "
            "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[])",
            [completion_id for completion_id, _, _ in counts],
            [brand_id for _, brand_id, _ in counts],
            [number for _, _, number in counts],
        )

    async def close_runs(self, run_ids: Sequence[UUID], now: datetime) -> None:
        """Lock the runs, look, close.

        Without the lock two transactions could each see the other's last completion as open, and
        neither would close the run.
        """
        locked = await self._connection.fetch(
            "SELECT run_id, cancelled_at FROM runs "
            "WHERE run_id = ANY($1::uuid[]) AND finished_at IS NULL "
            "ORDER BY run_id FOR UPDATE",
            list(run_ids),
        )
        ended = await self._connection.fetch(
            "SELECT run_id FROM unnest($1::uuid[]) AS run_id WHERE NOT EXISTS (SELECT FROM "
            "completions WHERE completions.run_id = run_id.run_id AND NOT analyzed "
            "AND failure_kind IS NULL)",
            [row["run_id"] for row in locked],
        )
        cancelled = {row["run_id"]: row["cancelled_at"] is not None for row in locked}
        for row in await self._connection.fetch(_PROGRESS, [row["run_id"] for row in ended]):
            await self._connection.execute(
                "UPDATE runs SET state = $2, finished_at = $3 WHERE run_id = $1",
                row["run_id"],
                final_state(_progress(row), cancelled=cancelled[row["run_id"]]).value,
                now,
            )

    async def cancel(self, tenant_id: str, run_id: UUID, now: datetime) -> bool:
        """The first time counts."""
        row = await self._connection.fetchrow(
            "UPDATE runs SET cancelled_at = $3 WHERE tenant_id = $1 AND run_id = $2 "
            "AND cancelled_at IS NULL AND finished_at IS NULL RETURNING 1",
            tenant_id,
            run_id,
            now,
        )
        return row is not None

    async def remembered(self, tenant_id: str, key: str) -> StoredResponse | None:
        """Look under a lock on the key, so that of two equal requests at once one waits."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", f"{tenant_id}/{key}"
        )
        row = await self._connection.fetchrow(
            "SELECT request_hash, status, body FROM idempotent_requests "
            "WHERE tenant_id = $1 AND key = $2",
            tenant_id,
            key,
        )
        return None if row is None else StoredResponse(**dict(row))

    async def remember(self, tenant_id: str, key: str, response: StoredResponse) -> None:
        """Store with the effect of the request, in its transaction."""
        await self._connection.execute(
            "INSERT INTO idempotent_requests (tenant_id, key, request_hash, status, body) "
            "VALUES ($1, $2, $3, $4, $5)",
            tenant_id,
            key,
            response.request_hash,
            response.status,
            response.body,
        )


class PostgresRunReader:
    """Reads in one REPEATABLE READ snapshot, so that a report's parts fit together."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, tenant_id: str, run_id: UUID) -> Report | None:
        """The run if it is the tenant's."""
        with translated():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                row = await connection.fetchrow(
                    "SELECT * FROM runs WHERE run_id = $1 AND tenant_id = $2", run_id, tenant_id
                )
                if row is None:
                    return None
                progress = await connection.fetchrow(_PROGRESS, [run_id])
                counts = await connection.fetch(_COUNTS, run_id)
                answers = await connection.fetch(_ANSWERS, run_id)
                failures = await connection.fetch(_FAILURES, run_id)
        assert progress is not None  # a run has at least one completion
        return _report(row, progress, counts, answers, failures)


class PostgresKeyRepository:
    """Keys; each call is a statement or transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key; the same hash again changes nothing."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING",
                    key.tenant_id,
                )
                await connection.execute(
                    "INSERT INTO api_keys (key_id, tenant_id, name, prefix, secret_hash, "
                    "created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                    key.key_id,
                    key.tenant_id,
                    key.name,
                    key.prefix,
                    secret_hash,
                    key.created_at,
                )

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """One index look-up."""
        with translated():
            row = await self._pool.fetchrow(
                f"SELECT {_KEY} FROM api_keys WHERE secret_hash = $1",  # noqa: S608 - constant
                secret_hash,
            )
        return None if row is None else ApiKey(**dict(row))

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        """Oldest first."""
        with translated():
            rows = await self._pool.fetch(
                f"SELECT {_KEY} FROM api_keys WHERE tenant_id = $1 "  # noqa: S608 - constant
                "ORDER BY created_at, key_id",
                tenant_id,
            )
        return [ApiKey(**dict(row)) for row in rows]

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """The first revocation counts."""
        with translated():
            row = await self._pool.fetchrow(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) "  # noqa: S608 - _KEY is ours
                f"WHERE tenant_id = $1 AND key_id = $2 RETURNING {_KEY}",
                tenant_id,
                key_id,
                now,
            )
        return None if row is None else ApiKey(**dict(row))


_KEY = "key_id, tenant_id, name, prefix, created_at, revoked_at"


def _brand_out(brand: Brand) -> dict[str, Any]:
    return {"brand_id": str(brand.brand_id), "name": brand.name, "aliases": list(brand.aliases)}


def _progress(row: asyncpg.Record) -> Progress:
    return Progress(row["waiting"], row["answered"], row["analyzed"], row["failed"], row["not_run"])


def _run(row: asyncpg.Record) -> Run:
    return Run(
        run_id=row["run_id"],
        tenant_id=row["tenant_id"],
        brands=tuple(
            Brand(UUID(item["brand_id"]), item["name"], tuple(item["aliases"]))
            for item in json.loads(row["brands"])
        ),
        prompts=tuple(
            Prompt(UUID(item["prompt_id"]), item["text"]) for item in json.loads(row["prompts"])
        ),
        models=tuple(row["models"]),
        samples=row["samples"],
        expected=row["expected"],
        state=RunState(row["state"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        budget_usd=row["budget_usd"],
        cancelled_at=row["cancelled_at"],
    )


def _report(
    row: asyncpg.Record,
    progress: asyncpg.Record,
    counts: Sequence[asyncpg.Record],
    answers: Sequence[asyncpg.Record],
    failures: Sequence[asyncpg.Record],
) -> Report:
    run = _run(row)
    found = {(item["brand_id"], item["model"]): item for item in counts}
    answered = {item["model"]: item["answers"] for item in answers}
    table = [
        BrandCount(
            brand_id=brand.brand_id,
            name=brand.name,
            model=model,
            answers=answered.get(model, 0),
            named_in=hit["named_in"] if (hit := found.get((brand.brand_id, model))) else 0,
            mentions=hit["mentions"] if hit else 0,
        )
        for brand in run.brands
        for model in run.models
    ]
    return Report(
        run=run,
        progress=_progress(progress),
        simulated=progress["simulated"],
        counts=tuple(table),
        failures=tuple(
            FailureCount(
                item["model"],
                item["failure_kind"],
                item["count"],
                item["example"] or "",
                item["not_run"],
            )
            for item in failures
        ),
        spent=Spent(progress["cost_usd"], progress["unpriced"]),
    )
