"""What events tell of completions, projected into the read model of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.adapters.postgres.early import EarlyRows
from gateway.adapters.postgres.rows import PROGRESS, columns, progress_of
from gateway.domain.models import AnalyzedAnswer, FinishedCompletion, Key
from gateway.domain.rules import final_state


class ProjectionRows(EarlyRows):
    """The part of the repository that handlers write through."""

    async def note_finished(self, items: Sequence[FinishedCompletion]) -> set[Key]:
        """Set ends; the tenant must match, a foreign event changes nothing."""
        await self._lock(items)
        rows = await self._connection.fetch(
            "UPDATE completions SET finished = true, failure_kind = item.kind, "
            "failure_message = item.message, simulated = completions.simulated OR item.simulated, "
            "not_run = item.not_run, cost_usd = item.cost_usd, cost_known = item.cost_known, "
            "finished_at = item.at, provider_ms = item.ms "
            "FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], "
            "$6::boolean[], $7::boolean[], $8::numeric[], $9::boolean[], $10::timestamptz[], "
            "$11::integer[]) AS item (tenant_id, run_id, completion_id, kind, message, simulated, "
            "not_run, cost_usd, cost_known, at, ms) "
            "WHERE completions.completion_id = item.completion_id "
            "AND completions.run_id = item.run_id AND completions.tenant_id = item.tenant_id "
            "RETURNING completions.tenant_id, completions.run_id, completions.completion_id",
            *columns(items, "tenant_id", "run_id", "completion_id", "failure_kind"),
            *columns(items, "failure_message", "simulated", "not_run", "cost_usd", "cost_known"),
            *columns(items, "finished_at", "provider_ms"),
        )
        own: set[Key] = {tuple(row) for row in rows}
        texts = {i.completion_id: i.text for i in items if i.text and i.key in own}
        await self._connection.execute(
            "INSERT INTO answers (completion_id, text) SELECT * FROM unnest($1::uuid[], $2::text[])"
            " ON CONFLICT DO NOTHING",
            list(texts),
            list(texts.values()),
        )
        return own

    async def _lock(self, items: Sequence[FinishedCompletion | AnalyzedAnswer]) -> None:
        """In the order of ids: an update locks in any, and two would wait for each other."""
        await self._connection.execute(
            "SELECT FROM completions WHERE completion_id = ANY($1::uuid[]) "
            "ORDER BY completion_id FOR NO KEY UPDATE",
            [item.completion_id for item in items],
        )

    async def note_analyzed(self, items: Sequence[AnalyzedAnswer]) -> set[Key]:
        """Mark answers and store what was found, for those that are the tenant's own."""
        latest = {(i.key, i.revision): i for i in items}
        own = await self._marked(list(latest.values()))
        missing = [item for item in latest.values() if item.key not in own]
        if missing:
            own |= await self._marked_late(missing)
        kept = [item for item in latest.values() if item.key in own]
        await self._replace_analyses(kept)
        await self._add_findings(kept)
        return own

    async def _marked_late(self, missing: Sequence[AnalyzedAnswer]) -> set[Key]:
        """Look again with the imports locked: what is not there now will find what is kept."""
        due = await self.lock_imports(missing)
        if not due:
            return set()
        own = await self._marked(due)
        await self.keep_early([item for item in due if item.key not in own])
        return own

    async def _marked(self, items: Sequence[AnalyzedAnswer]) -> set[Key]:
        await self._lock(items)
        rows = await self._connection.fetch(
            "UPDATE completions SET analyzed = true, "
            "simulated = completions.simulated OR item.simulated "
            "FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[]) "
            "AS item (tenant_id, run_id, completion_id, simulated) "
            "WHERE completions.completion_id = item.completion_id "
            "AND completions.run_id = item.run_id AND completions.tenant_id = item.tenant_id "
            "RETURNING completions.tenant_id, completions.run_id, completions.completion_id",
            *columns(items, "tenant_id", "run_id", "completion_id", "simulated"),
        )
        return {tuple(row) for row in rows}

    async def _replace_analyses(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Another matcher may find other things under the same revision: the last one counts."""
        keys = columns(items, "run_id", "revision", "completion_id")
        await self._connection.execute(
            "DELETE FROM findings USING unnest($1::uuid[], $2::integer[], $3::uuid[]) "
            "AS item (run_id, revision, completion_id) WHERE findings.run_id = item.run_id "
            "AND findings.revision = item.revision AND findings.completion_id = item.completion_id",
            *keys,
        )
        await self._connection.execute(
            "INSERT INTO analyses (run_id, revision, completion_id, analyzer_version, informative, "
            "citations, detail, analyzed_at) SELECT run, revision, completion, version, "
            "informative, citations, detail::jsonb, at FROM unnest($1::uuid[], $2::integer[], "
            "$3::uuid[], $4::text[], $5::boolean[], $6::integer[], $7::text[], $8::timestamptz[]) "
            "AS row (run, revision, completion, version, informative, citations, detail, at) "
            "ON CONFLICT (run_id, revision, completion_id) DO UPDATE SET "
            "analyzer_version = excluded.analyzer_version, informative = excluded.informative, "
            "citations = excluded.citations, detail = excluded.detail, "
            "analyzed_at = excluded.analyzed_at",
            *keys,
            [item.analyzer_version for item in items],
            [any(found.named for found in item.findings) for item in items],
            *columns(items, "citations", "detail", "analyzed_at"),
        )

    async def _add_findings(self, items: Sequence[AnalyzedAnswer]) -> None:
        pairs = [(item, found) for item in items for found in item.findings]
        found = [one for _, one in pairs]
        await self._connection.execute(
            "INSERT INTO findings (run_id, revision, completion_id, brand_id, mentions, named, "
            "recommended, denied, cited, link_only, rank, list_rank, sentiment, citations, "
            "position_adjusted_words) SELECT * FROM unnest($1::uuid[], $2::integer[], $3::uuid[], "
            "$4::uuid[], $5::integer[], $6::boolean[], $7::boolean[], $8::boolean[], "
            "$9::boolean[], $10::boolean[], $11::integer[], $12::integer[], "
            "$13::double precision[], $14::integer[], $15::double precision[])",
            *columns([item for item, _ in pairs], "run_id", "revision", "completion_id"),
            *columns(found, "brand_id", "mentions", "named", "recommended", "denied", "cited"),
            *columns(found, "link_only", "rank", "list_rank", "sentiment", "citations"),
            *columns(found, "position_adjusted_words"),
        )

    async def _close(self, locked: Sequence[Any], now: datetime) -> None:
        """End those of the locked runs that have no open completion.

        An analysis may come before the end that it is of: the run waits for the text and the cost.
        """
        ended = await self._connection.fetch(
            "SELECT run_id FROM unnest($1::uuid[]) AS run_id WHERE NOT EXISTS (SELECT FROM "
            "completions WHERE completions.run_id = run_id.run_id AND NOT analyzed "
            "AND failure_kind IS NULL) AND NOT EXISTS (SELECT FROM completions "
            "WHERE completions.run_id = run_id.run_id AND NOT finished)",
            [row["run_id"] for row in locked],
        )
        cancelled = {row["run_id"]: row["cancelled_at"] is not None for row in locked}
        for row in await self._connection.fetch(PROGRESS, [row["run_id"] for row in ended]):
            await self._connection.execute(
                "UPDATE runs SET state = $2, finished_at = $3 WHERE run_id = $1",
                row["run_id"],
                final_state(progress_of(row), cancelled=cancelled[row["run_id"]]).value,
                now,
            )
