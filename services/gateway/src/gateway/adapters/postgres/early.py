"""Analyses that came before the answers from outside that they are about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bus.stores.postgres import Connection
from pydantic_core import to_json

from gateway.domain.models import AnalyzedAnswer, Finding


class EarlyRows:
    """The part of the repository that keeps analyses until their answers are there.

    Both the analyzer and the gateway read what producers outside say, and one may be faster.
    """

    _connection: Connection

    async def lock_imports(self, items: Sequence[AnalyzedAnswer]) -> list[AnalyzedAnswer]:
        """Those whose run is an import of their tenant; no answer comes to it until the end."""
        rows = await self._connection.fetch(
            "SELECT tenant_id, run_id FROM runs WHERE run_id = ANY($1::uuid[]) "
            "AND kind = 'imported' ORDER BY run_id FOR NO KEY UPDATE",
            [item.run_id for item in items],
        )
        known = {(row["tenant_id"], row["run_id"]) for row in rows}
        return [item for item in items if (item.tenant_id, item.run_id) in known]

    async def keep_early(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Keep them for as long as the log may still hold the answers."""
        await self._connection.execute(
            "DELETE FROM early_analyses WHERE received_at < now() - interval '8 days'"
        )
        await self._connection.execute(
            "INSERT INTO early_analyses (tenant_id, run_id, completion_id, revision, analysis) "
            "SELECT tenant, run, completion, revision, analysis::jsonb FROM unnest($1::text[], "
            "$2::uuid[], $3::uuid[], $4::integer[], $5::text[]) "
            "AS row (tenant, run, completion, revision, analysis) "
            "ON CONFLICT (tenant_id, run_id, completion_id, revision) "
            "DO UPDATE SET analysis = excluded.analysis",
            [item.tenant_id for item in items],
            [item.run_id for item in items],
            [item.completion_id for item in items],
            [item.revision for item in items],
            [to_json(item).decode() for item in items],
        )

    async def take_early(self, answer_ids: Sequence[UUID]) -> Sequence[AnalyzedAnswer]:
        """What was kept of these answers, and keep it no longer."""
        rows = await self._connection.fetch(
            "DELETE FROM early_analyses USING completions WHERE early_analyses.completion_id = "
            "ANY($1::uuid[]) AND completions.completion_id = early_analyses.completion_id "
            "AND completions.run_id = early_analyses.run_id "
            "AND completions.tenant_id = early_analyses.tenant_id RETURNING analysis",
            list(answer_ids),
        )
        return [_analyzed(json.loads(row["analysis"])) for row in rows]


def _analyzed(kept: dict[str, Any]) -> AnalyzedAnswer:
    findings = tuple(
        Finding(**{**found, "brand_id": UUID(found["brand_id"])}) for found in kept["findings"]
    )
    ids = {name: UUID(kept[name]) for name in ("run_id", "completion_id")}
    at = datetime.fromisoformat(kept["analyzed_at"])
    return AnalyzedAnswer(**{**kept, **ids, "findings": findings, "analyzed_at": at})
