"""The repository on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from bus.stores.postgres import Connection, PostgresTransaction

from mention_analyzer.domain.models import Analysis, Answer, Brand, BrandSet, Mention
from mention_analyzer.domain.ports import RunKey


class PostgresAnalysisRepository:
    """Plain SQL inside the caller's transaction, one statement per call."""

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._connection: Connection = transaction.connection

    async def save_brand_set(self, brand_set: BrandSet) -> None:
        """Insert under an exclusive lock on the run; parking holds the shared one."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            _lock_name((brand_set.tenant_id, brand_set.run_id)),
        )
        await self._connection.execute(
            "INSERT INTO brand_sets (tenant_id, run_id, brands) VALUES ($1, $2, $3::jsonb) "
            "ON CONFLICT DO NOTHING",
            brand_set.tenant_id,
            brand_set.run_id,
            json.dumps([_brand_out(brand) for brand in brand_set.brands]),
        )

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, tuple[Brand, ...]]:
        """Read under shared locks, taken in one order so that no two readers deadlock."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock_shared(key) FROM (SELECT hashtextextended(name, 0) "
            "AS key FROM unnest($1::text[]) AS name ORDER BY key) AS keys",
            [_lock_name(run) for run in set(runs)],
        )
        rows = await self._connection.fetch(
            "SELECT tenant_id, run_id, brands FROM brand_sets JOIN unnest($1::text[], $2::uuid[]) "
            "AS wanted (tenant_id, run_id) USING (tenant_id, run_id)",
            [tenant for tenant, _ in set(runs)],
            [run for _, run in set(runs)],
        )
        return {(row["tenant_id"], row["run_id"]): _brands_in(row["brands"]) for row in rows}

    async def add_answers(self, answers: Sequence[Answer], *, parked: bool) -> None:
        """Insert all in one statement."""
        await self._connection.execute(
            "INSERT INTO answers (tenant_id, completion_id, run_id, prompt_id, model, sample, "
            "text, simulated, parked) SELECT *, $9::boolean FROM unnest($1::text[], $2::uuid[], "
            "$3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::text[], $8::boolean[]) "
            "ON CONFLICT DO NOTHING",
            [item.tenant_id for item in answers],
            [item.completion_id for item in answers],
            [item.run_id for item in answers],
            [item.prompt_id for item in answers],
            [item.model for item in answers],
            [item.sample for item in answers],
            [item.text for item in answers],
            [item.simulated for item in answers],
            parked,
        )

    async def unpark(self, run: RunKey) -> Sequence[Answer]:
        """Clear the mark and return what had it."""
        rows = await self._connection.fetch(
            "UPDATE answers SET parked = false WHERE tenant_id = $1 AND run_id = $2 AND parked "
            "RETURNING tenant_id, completion_id, run_id, prompt_id, model, sample, text, simulated",
            *run,
        )
        answers = [Answer(**dict(row)) for row in rows]
        return sorted(answers, key=lambda answer: answer.completion_id)

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Insert all in one statement."""
        await self._connection.execute(
            "INSERT INTO analyses (tenant_id, completion_id, analyzer_version, mentions) "
            "SELECT tenant, completion, version, mentions::jsonb FROM unnest($1::text[], "
            "$2::uuid[], $3::text[], $4::text[]) AS row (tenant, completion, version, mentions) "
            "ON CONFLICT DO NOTHING",
            [item.answer.tenant_id for item in analyses],
            [item.answer.completion_id for item in analyses],
            [item.analyzer_version for item in analyses],
            [json.dumps([_mention_out(found) for found in item.mentions]) for item in analyses],
        )


def _lock_name(run: RunKey) -> str:
    return f"{run[0]}/{run[1]}"


def _brand_out(brand: Brand) -> dict[str, Any]:
    return {"brand_id": str(brand.brand_id), "name": brand.name, "aliases": list(brand.aliases)}


def _brands_in(text: str) -> tuple[Brand, ...]:
    return tuple(
        Brand(UUID(item["brand_id"]), item["name"], tuple(item["aliases"]))
        for item in json.loads(text)
    )


def _mention_out(mention: Mention) -> dict[str, Any]:
    return {
        "brand_id": str(mention.brand_id),
        "start": mention.start,
        "end": mention.end,
        "text": mention.text,
        "rule": mention.rule,
    }
