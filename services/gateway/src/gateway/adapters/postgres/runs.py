"""Runs and their projections on PostgreSQL, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bus.stores.postgres import PostgresTransaction

from gateway.adapters.postgres.brands import BrandRows
from gateway.adapters.postgres.campaigns import CampaignRows
from gateway.adapters.postgres.captured import CapturedRows
from gateway.adapters.postgres.projections import ProjectionRows
from gateway.adapters.postgres.rows import RUN, brands_in, brands_out, run_of
from gateway.domain.models import Brand, PlannedCompletion, Run, RunKind, StoredResponse


class PostgresRunRepository(ProjectionRows, CapturedRows, BrandRows, CampaignRows):
    """Writes of commands and handlers."""

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection = transaction.connection

    async def add_run(self, run: Run, completions: Sequence[PlannedCompletion]) -> None:
        """One insert for the run, one for each kind of its parts."""
        await self._insert_run(run)
        await self._add_prompts(run.tenant_id, run.run_id, run.prompts)
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

    async def open_like(self, tenant_id: str, input_hash: str, *, ended: bool) -> Run | None:
        """Look under a lock on the input, so that of two equal requests at once one waits."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", f"{tenant_id}/{input_hash}"
        )
        row = await self._connection.fetchrow(
            f"{RUN} WHERE tenant_id = $1 AND input_hash = $2 AND cancelled_at IS NULL "
            "AND (finished_at IS NULL OR $3 AND state <> 'failed') "
            "ORDER BY started_at DESC, run_id DESC LIMIT 1",
            tenant_id,
            input_hash,
            ended,
        )
        return None if row is None else run_of(row)

    async def ensure_run(self, run: Run) -> bool:
        """The first one wins; another transaction that stores it waits."""
        return await self._insert_run(run)

    async def _insert_run(self, run: Run) -> bool:
        row = await self._connection.fetchrow(
            "INSERT INTO runs (tenant_id, run_id, models, samples, expected, state, started_at, "
            "budget_usd, kind, name, system_prompt, temperature, stream, input_hash) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
            "ON CONFLICT DO NOTHING RETURNING 1",
            run.tenant_id,
            run.run_id,
            list(run.models),
            run.samples,
            run.expected,
            run.state.value,
            run.started_at,
            run.budget_usd,
            run.kind.value,
            run.name,
            run.system_prompt,
            run.temperature,
            run.stream,
            run.input_hash,
        )
        if row is not None:
            await self._insert_revision(run.run_id, 1, run.brands, run.started_at)
        return row is not None

    async def _insert_revision(
        self, run_id: UUID, revision: int, brands: Sequence[Brand], now: datetime
    ) -> None:
        await self._connection.execute(
            "INSERT INTO revisions (run_id, revision, brands, requested_at) "
            "VALUES ($1, $2, $3::jsonb, $4)",
            run_id,
            revision,
            brands_out(brands),
            now,
        )

    async def run_kinds(self, run_ids: Sequence[UUID]) -> Mapping[UUID, tuple[str, RunKind]]:
        """Both never change."""
        rows = await self._connection.fetch(
            "SELECT run_id, tenant_id, kind FROM runs WHERE run_id = ANY($1::uuid[])", run_ids
        )
        return {row["run_id"]: (row["tenant_id"], RunKind(row["kind"])) for row in rows}

    async def add_revision(
        self, tenant_id: str, run_id: UUID, brands: Sequence[Brand] | None, now: datetime
    ) -> tuple[int, tuple[Brand, ...]] | None:
        """Count up under the row's lock."""
        row = await self._connection.fetchrow(
            "UPDATE runs SET revision = revision + 1, event_seq = event_seq + 1 "
            "WHERE tenant_id = $1 AND run_id = $2 RETURNING revision",
            tenant_id,
            run_id,
        )
        if row is None:
            return None
        revision = int(row["revision"])
        wanted = (
            tuple(brands) if brands is not None else await self._brands_before(run_id, revision)
        )
        await self._insert_revision(run_id, revision, wanted, now)
        return revision, wanted

    async def _brands_before(self, run_id: UUID, revision: int) -> tuple[Brand, ...]:
        text = await self._connection.fetchval(
            "SELECT brands FROM revisions WHERE run_id = $1 AND revision = $2", run_id, revision - 1
        )
        return brands_in(text)

    async def cancel(self, tenant_id: str, run_id: UUID, now: datetime) -> bool:
        """The first time counts."""
        row = await self._connection.fetchrow(
            "UPDATE runs SET cancelled_at = $3 WHERE tenant_id = $1 AND run_id = $2 "
            "AND cancelled_at IS NULL AND finished_at IS NULL AND kind = 'asked' RETURNING 1",
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

    async def settle(self, settled: Mapping[UUID, str], now: datetime) -> None:
        """Lock the runs, count the event, look for an end.

        Without the lock two transactions could each see the other's last completion as open, and
        neither would close the run; and events would show in another order than they are numbered.
        It lets foreign keys pass: both may have written rows that refer to the run before, and
        would wait for each other.
        """
        run_ids = sorted(settled)
        if not run_ids:
            return
        locked = await self._connection.fetch(
            "SELECT run_id, cancelled_at, finished_at FROM runs "
            "WHERE run_id = ANY($1::uuid[]) ORDER BY run_id FOR NO KEY UPDATE",
            run_ids,
        )
        await self._connection.execute(
            "WITH moved AS (UPDATE runs SET event_seq = event_seq + 1 "
            "WHERE run_id = ANY($1::uuid[]) RETURNING run_id, event_seq) "
            "INSERT INTO run_events (run_id, seq, settled) SELECT run_id, event_seq, item::jsonb "
            "FROM moved JOIN unnest($1::uuid[], $2::text[]) AS row (run_id, item) USING (run_id)",
            run_ids,
            [settled[run_id] for run_id in run_ids],
        )
        await self._close([row for row in locked if row["finished_at"] is None], now)
