"""Reads of runs on PostgreSQL, each in one REPEATABLE READ snapshot: its parts fit together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.adapters.postgres.answers import ANSWERS, answer_row, parameters
from gateway.adapters.postgres.rows import PROGRESS, RUN, RUN_ALONE, brands_in, prompt_of, status_of
from gateway.adapters.postgres.sums import read_cells
from gateway.domain.catalog import ModelCatalog, Price
from gateway.domain.models import FailureCount, Prompt, RunKind
from gateway.domain.readings import (
    AnalysisState,
    AnswerFilter,
    AnswerRow,
    CachedReport,
    Findings,
    RevisionOf,
    RunMoved,
    RunStatus,
)

_FAILURES = """
SELECT model, failure_kind, not_run, count(*) AS count, min(failure_message) AS example
FROM completions WHERE run_id = $1 AND failure_kind IS NOT NULL
GROUP BY model, failure_kind, not_run ORDER BY model, failure_kind, not_run
"""
_ANALYSIS = """
SELECT (SELECT count(*) FROM completions
        WHERE run_id = $1 AND (analyzed OR finished AND failure_kind IS NULL)) AS answers,
       count(*) AS analyzed,
       coalesce(array_agg(DISTINCT analyzer_version ORDER BY analyzer_version), '{}') AS versions
FROM analyses WHERE run_id = $1 AND revision = $2
"""


# A provider that is not there is known to be unknown once any list has arrived.
_PRICES = """
SELECT full_name, models -> name AS price,
       coalesce(NOT complete OR models ? name OR models ? plain, false) AS listed
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
     AS wanted (full_name, provider, name, plain) LEFT JOIN model_catalogs USING (provider)
WHERE EXISTS (SELECT FROM model_catalogs)
"""


class PostgresRunReader:
    """The reader port."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def status(self, tenant_id: str, run_id: UUID) -> RunStatus | None:
        """The run if it is the tenant's."""
        async with self._snapshot() as connection:
            return await _status(connection, tenant_id, run_id)

    async def summary(self, tenant_id: str, run_id: UUID) -> RunStatus | None:
        """The same of the run's own row."""
        async with self._snapshot() as connection:
            return await _status(connection, tenant_id, run_id, RUN_ALONE)

    async def ended(self, run_id: UUID) -> bool:
        """One index look-up."""
        with translated():
            return bool(
                await self._pool.fetchval(
                    "SELECT finished_at IS NOT NULL FROM runs WHERE run_id = $1", run_id
                )
            )

    async def newest(
        self, tenant_id: str, limit: int, before: tuple[datetime, UUID] | None
    ) -> Sequence[RunStatus]:
        """By start, newest first."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(
                f"{RUN_ALONE} WHERE tenant_id = $1 AND ($3::timestamptz IS NULL "
                "OR (started_at, run_id) < ($3, $4::uuid)) "
                "ORDER BY started_at DESC, run_id DESC LIMIT $2",
                tenant_id,
                limit,
                *(before or (None, None)),
            )
            counted = await connection.fetch(PROGRESS, [row["run_id"] for row in rows])
        progress = {row["run_id"]: row for row in counted}
        return [status_of(row, progress.get(row["run_id"])) for row in rows]

    async def revision(
        self, tenant_id: str, run_id: UUID, revision: int | None
    ) -> RevisionOf | None:
        """Two index look-ups."""
        with translated():
            row = await self._pool.fetchrow(
                "SELECT revisions.revision, brands, finished_at, kind FROM runs JOIN revisions "
                "ON revisions.run_id = runs.run_id "
                "AND revisions.revision = coalesce($3, runs.revision) "
                "WHERE tenant_id = $1 AND runs.run_id = $2",
                tenant_id,
                run_id,
                revision,
            )
        if row is None:
            return None
        ended = row["finished_at"] is not None
        brands, kind = brands_in(row["brands"]), RunKind(row["kind"])
        return RevisionOf(run_id, row["revision"], brands, ended, kind)

    async def findings(self, tenant_id: str, run_id: UUID, revision: int | None) -> Findings | None:
        """Sums of the revision's analyses."""
        async with self._snapshot() as connection:
            status = await _status(connection, tenant_id, run_id)
            if status is None:
                return None
            wanted = status.run.revision if revision is None else revision
            brands = await connection.fetchval(
                "SELECT brands FROM revisions WHERE run_id = $1 AND revision = $2", run_id, wanted
            )
            if brands is None:
                return None
            cells = await read_cells(connection, run_id, wanted)
            analysis = await connection.fetchrow(_ANALYSIS, run_id, wanted)
            failures = await connection.fetch(_FAILURES, run_id)
        assert analysis is not None  # an aggregate has a row
        return Findings(
            status=status,
            revision=wanted,
            brands=brands_in(brands),
            cells=cells,
            analysis=AnalysisState(
                analysis["answers"], analysis["analyzed"], tuple(analysis["versions"])
            ),
            failures=tuple(_failure(row) for row in failures),
        )

    async def cached_report(self, run_id: UUID, revision: int, variant: str) -> CachedReport | None:
        """One row, if it is as old as the run."""
        with translated():
            row = await self._pool.fetchrow(
                "SELECT reports.event_seq, body FROM reports JOIN runs USING (run_id, event_seq) "
                "WHERE run_id = $1 AND reports.revision = $2 AND variant = $3",
                run_id,
                revision,
                variant,
            )
        return None if row is None else CachedReport(row["event_seq"], row["body"])

    async def cache_report(
        self, run_id: UUID, revision: int, variant: str, report: CachedReport
    ) -> None:
        """The newest one stays."""
        with translated():
            await self._pool.execute(
                "INSERT INTO reports (run_id, revision, variant, event_seq, body) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (run_id, revision, variant) DO UPDATE "
                "SET event_seq = excluded.event_seq, body = excluded.body "
                "WHERE reports.event_seq < excluded.event_seq",
                run_id,
                revision,
                variant,
                report.event_seq,
                report.body,
            )

    async def answers(
        self, tenant_id: str, run_id: UUID, wanted: AnswerFilter
    ) -> Sequence[AnswerRow]:
        """One statement; the tenant is part of it."""
        with translated():
            rows = await self._pool.fetch(ANSWERS, *parameters(tenant_id, run_id, wanted))
        return [answer_row(row) for row in rows]

    async def moved(self, run_id: UUID, after: int, limit: int) -> Sequence[RunMoved]:
        """In the order of their numbers."""
        with translated():
            rows = await self._pool.fetch(
                "SELECT seq, settled FROM run_events WHERE run_id = $1 AND seq > $2 "
                "ORDER BY seq LIMIT $3",
                run_id,
                after,
                limit,
            )
        return [RunMoved(row["seq"], row["settled"]) for row in rows]

    async def prices(self, models: Sequence[str]) -> Mapping[str, Price | None]:
        """Look each model up in its provider's list."""
        with translated():
            rows = await self._pool.fetch(_PRICES, *_split(models))
        return {row["full_name"]: _price(row) for row in rows}

    async def catalogs(self) -> Sequence[ModelCatalog]:
        """By provider."""
        with translated():
            rows = await self._pool.fetch("SELECT * FROM model_catalogs ORDER BY provider")
        return [
            ModelCatalog(
                provider=row["provider"],
                version=row["version"],
                simulated=row["simulated"],
                complete=row["complete"],
                models={n: _price_of(p) for n, p in json.loads(row["models"]).items()},
                fetched_at=row["fetched_at"],
            )
            for row in rows
        ]

    async def prompts(self, tenant_id: str, limit: int, after: UUID | None) -> Sequence[Prompt]:
        """By id."""
        with translated():
            rows = await self._pool.fetch(
                "SELECT * FROM prompts WHERE tenant_id = $1 "
                "AND ($3::uuid IS NULL OR prompt_id > $3) ORDER BY prompt_id LIMIT $2",
                tenant_id,
                limit,
                after,
            )
        return [prompt_of(row) for row in rows]

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        with translated():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection


async def _status(
    connection: Connection, tenant_id: str, run_id: UUID, select: str = RUN
) -> RunStatus | None:
    row = await connection.fetchrow(
        f"{select} WHERE run_id = $1 AND tenant_id = $2", run_id, tenant_id
    )
    if row is None:
        return None
    return status_of(row, await connection.fetchrow(PROGRESS, [run_id]))


def _split(models: Sequence[str]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Full names, providers, names, and names without a variant (``model:free``)."""
    parts = [model.partition("/") for model in models]
    names = [name for _, _, name in parts]
    plain = [name.partition(":")[0] for name in names]
    return list(models), [provider for provider, _, _ in parts], names, plain


def _failure(row: asyncpg.Record) -> FailureCount:
    return FailureCount(
        row["model"], row["failure_kind"], row["count"], row["example"] or "", row["not_run"]
    )


def _price(row: asyncpg.Record) -> Price | None:
    return _price_of(json.loads(row["price"] or "{}")) if row["listed"] else None


def _price_of(parts: dict[str, Any]) -> Price:
    return Price(*(_usd(parts.get(name)) for name in ("input", "output", "request")))


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
