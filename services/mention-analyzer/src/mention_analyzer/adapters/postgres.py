"""The repository on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import asyncpg
from bus.stores.postgres import Connection, PostgresTransaction
from pydantic_core import to_json

from mention_analyzer.domain.models import (
    Analysis,
    Answer,
    Brand,
    BrandSet,
    CaseRule,
    Citation,
    Finding,
    Mention,
    Source,
)
from mention_analyzer.domain.ports import RunKey


class PostgresAnalysisRepository:
    """Plain SQL inside the caller's transaction, one statement per call."""

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection: Connection = transaction.connection

    async def save_brand_set(self, brand_set: BrandSet) -> BrandSet:
        """Insert under an exclusive lock on the run; parking holds the shared one."""
        run = (brand_set.tenant_id, brand_set.run_id)
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", _lock_name(run)
        )
        await self._connection.execute(
            "INSERT INTO brand_sets (tenant_id, run_id, brands, revision) "
            "VALUES ($1, $2, $3::jsonb, $4) ON CONFLICT (tenant_id, run_id) DO UPDATE "
            "SET brands = excluded.brands, revision = excluded.revision "
            "WHERE brand_sets.revision < excluded.revision",
            *run,
            json.dumps([_brand_out(brand) for brand in brand_set.brands]),
            brand_set.revision,
        )
        return (await self._read_brands([run]))[run]

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, BrandSet]:
        """Read under shared locks, taken in one order so that no two readers deadlock."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock_shared(key) FROM (SELECT hashtextextended(name, 0) "
            "AS key FROM unnest($1::text[]) AS name ORDER BY key) AS keys",
            [_lock_name(run) for run in set(runs)],
        )
        return await self._read_brands(runs)

    async def _read_brands(self, runs: Sequence[RunKey]) -> Mapping[RunKey, BrandSet]:
        rows = await self._connection.fetch(
            "SELECT tenant_id, run_id, brands, revision FROM brand_sets "
            "JOIN unnest($1::text[], $2::uuid[]) "
            "AS wanted (tenant_id, run_id) USING (tenant_id, run_id)",
            [tenant for tenant, _ in set(runs)],
            [run for _, run in set(runs)],
        )
        return {(row["tenant_id"], row["run_id"]): _brand_set(row) for row in rows}

    async def add_answers(self, answers: Sequence[Answer], *, parked: bool) -> None:
        """Insert all in one statement."""
        await self._connection.execute(
            "INSERT INTO answers (tenant_id, completion_id, run_id, prompt_id, model, sample, "
            "text, simulated, sources, parked) SELECT tenant, completion, run, prompt, model, "
            "sample, text, simulated, sources::jsonb, $10::boolean "
            "FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], "
            "$6::integer[], $7::text[], $8::boolean[], $9::text[]) AS row (tenant, completion, "
            "run, prompt, model, sample, text, simulated, sources) ON CONFLICT DO NOTHING",
            [item.tenant_id for item in answers],
            [item.completion_id for item in answers],
            [item.run_id for item in answers],
            [item.prompt_id for item in answers],
            [item.model for item in answers],
            [item.sample for item in answers],
            [item.text for item in answers],
            [item.simulated for item in answers],
            [to_json(item.sources).decode() for item in answers],
            parked,
        )

    async def unpark(self, run: RunKey) -> Sequence[Answer]:
        """Clear the mark and return what had it."""
        rows = await self._connection.fetch(
            "UPDATE answers SET parked = false "  # noqa: S608 - a constant
            f"WHERE tenant_id = $1 AND run_id = $2 AND parked RETURNING {_ANSWER}",
            *run,
        )
        return sorted(map(_answer, rows), key=lambda answer: answer.completion_id)

    async def answers_of(self, run: RunKey, after: Answer | None, limit: int) -> Sequence[Answer]:
        """Along the index of the run's answers."""
        rows = await self._connection.fetch(
            f"SELECT {_ANSWER} FROM answers WHERE tenant_id = $1 AND run_id = $2 "  # noqa: S608 - a constant
            "AND ($3::uuid IS NULL OR completion_id > $3) ORDER BY completion_id LIMIT $4",
            *run,
            None if after is None else after.completion_id,
            limit,
        )
        return [_answer(row) for row in rows]

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Insert all in one statement."""
        await self._connection.execute(
            "INSERT INTO analyses (tenant_id, completion_id, revision, analyzer_version, mentions, "
            "citations, findings) SELECT tenant, completion, revision, version, mentions::jsonb, "
            "citations::jsonb, findings::jsonb FROM unnest($1::text[], $2::uuid[], $3::integer[], "
            "$4::text[], $5::text[], $6::text[], $7::text[]) AS row (tenant, completion, revision, "
            "version, mentions, citations, findings) ON CONFLICT DO NOTHING",
            [item.answer.tenant_id for item in analyses],
            [item.answer.completion_id for item in analyses],
            [item.revision for item in analyses],
            [item.analyzer_version for item in analyses],
            [_parts_out(item.mentions) for item in analyses],
            [_parts_out(item.citations) for item in analyses],
            [_parts_out(item.findings) for item in analyses],
        )


_ANSWER = "tenant_id, completion_id, run_id, prompt_id, model, sample, text, simulated, sources"


def _lock_name(run: RunKey) -> str:
    return f"{run[0]}/{run[1]}"


def _answer(row: asyncpg.Record) -> Answer:
    sources = tuple(Source(**item) for item in json.loads(row["sources"]))
    return Answer(**{**dict(row), "sources": sources})


def _brand_set(row: asyncpg.Record) -> BrandSet:
    brands = tuple(_brand_in(item) for item in json.loads(row["brands"]))
    return BrandSet(row["tenant_id"], row["run_id"], brands, row["revision"])


def _brand_out(brand: Brand) -> dict[str, Any]:
    return {**asdict(brand), "brand_id": str(brand.brand_id)}


def _brand_in(item: dict[str, Any]) -> Brand:
    """Sets of older versions have names and aliases only."""
    return Brand(
        brand_id=UUID(item["brand_id"]),
        name=item["name"],
        aliases=tuple(item["aliases"]),
        domains=tuple(item.get("domains", ())),
        exclude=tuple(item.get("exclude", ())),
        own=item.get("own", False),
        case=CaseRule(item.get("case", CaseRule.AUTO)),
    )


def _parts_out(parts: Sequence[Mention | Citation | Finding]) -> str:
    return to_json(parts).decode()
