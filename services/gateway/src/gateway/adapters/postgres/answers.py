"""Single answers of a run, with what was found in them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain.models import Finding
from gateway.domain.readings import AnswerFilter, AnswerRow

ANSWERS = """
SELECT c.completion_id, c.prompt_id, prompts.text AS prompt, run_prompts.tags, c.model, c.surface,
       c.sample, c.simulated, c.finished_at, c.failure_kind, c.failure_message, c.cost_usd,
       answers.text, coalesce(answers.sources, '[]') AS sources,
       a.analyzer_version, a.detail, s.state,
       (SELECT json_agg(row_to_json(f)) FROM findings AS f WHERE f.run_id = c.run_id
        AND f.revision = $3 AND f.completion_id = c.completion_id) AS findings
FROM completions AS c
JOIN runs USING (run_id)
JOIN prompts USING (prompt_id)
JOIN run_prompts USING (run_id, prompt_id)
LEFT JOIN answers USING (completion_id)
LEFT JOIN analyses AS a
     ON a.run_id = c.run_id AND a.revision = $3 AND a.completion_id = c.completion_id,
LATERAL (SELECT CASE WHEN not_run THEN 'not_run' WHEN failure_kind IS NOT NULL THEN 'failed'
                     WHEN a.completion_id IS NOT NULL THEN 'analyzed'
                     WHEN finished OR analyzed THEN 'answered' ELSE 'waiting' END AS state) AS s
WHERE runs.tenant_id = $1 AND c.run_id = $2
  AND c.completion_id >= $5
  AND ($6::text IS NULL OR c.model = $6)
  AND ($7::text IS NULL OR c.surface = $7)
  AND ($8::uuid IS NULL OR c.prompt_id = $8)
  AND ($9::text IS NULL OR s.state = $9)
  AND ($10::uuid IS NULL AND $11::text IS NULL OR EXISTS (
       SELECT FROM findings AS f WHERE f.run_id = c.run_id AND f.revision = $3
       AND f.completion_id = c.completion_id AND ($10::uuid IS NULL OR f.brand_id = $10)
       AND CASE $11 WHEN 'recommended' THEN recommended WHEN 'denied' THEN denied
                    WHEN 'cited' THEN cited WHEN 'link-only' THEN link_only
                    WHEN 'named' THEN named ELSE true END))
ORDER BY c.completion_id LIMIT $4
"""
_LAST = (1 << 128) - 1
_FINDING = (
    "mentions",
    "named",
    "recommended",
    "denied",
    "cited",
    "link_only",
    "rank",
    "list_rank",
    "sentiment",
    "citations",
    "position_adjusted_words",
)


def parameters(tenant_id: str, run_id: UUID, wanted: AnswerFilter) -> tuple[Any, ...]:
    """The parameters of ``ANSWERS`` in their order."""
    return (
        tenant_id,
        run_id,
        wanted.revision,
        wanted.limit,
        _next(wanted.after),
        wanted.model,
        wanted.surface,
        wanted.prompt_id,
        wanted.state,
        wanted.brand_id,
        wanted.outcome,
    )


def _next(after: UUID | None) -> UUID:
    """The first id of the page: a bound that an index knows, whatever the page."""
    return UUID(int=0 if after is None else min(after.int + 1, _LAST))


def answer_row(row: asyncpg.Record) -> AnswerRow:
    """A row of ``ANSWERS``."""
    fields = {name: value for name, value in row.items() if name not in {"findings", "tags"}}
    found = json.loads(row["findings"] or "[]")
    return AnswerRow(
        **fields,
        tags=tuple(row["tags"]),
        findings=tuple(
            Finding(UUID(item["brand_id"]), **{name: item[name] for name in _FINDING})
            for item in found
        ),
    )
