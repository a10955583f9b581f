"""Prompts on PostgreSQL: shared by the runs of a tenant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from bus.stores.postgres import Connection

from gateway.adapters.postgres.rows import columns
from gateway.domain.models import Prompt


class PromptRows:
    """The part of the run repository that ties runs to prompts."""

    _connection: Connection

    async def _add_prompts(self, tenant_id: str, run_id: UUID, prompts: Sequence[Prompt]) -> None:
        """A prompt that is known stays as it is; the tags of a run's prompt add up."""
        await self._connection.execute(
            "INSERT INTO prompts (tenant_id, prompt_id, text, locale, persona) SELECT $1, * "
            "FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS row (prompt) "
            "ORDER BY prompt ON CONFLICT DO NOTHING",  # else two runs could wait for each other
            tenant_id,
            *columns(prompts, "prompt_id", "text", "locale", "persona"),
        )
        await self._connection.execute(
            "INSERT INTO run_prompts (run_id, prompt_id, ordinal, tags) "
            "SELECT $1, prompt, n + "
            "(SELECT coalesce(max(ordinal), 0) FROM run_prompts WHERE run_id = $1), "
            "ARRAY(SELECT jsonb_array_elements_text(tags::jsonb)) "
            "FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS row (prompt, tags, n) "
            "ON CONFLICT (run_id, prompt_id) DO UPDATE SET tags = "
            "ARRAY(SELECT DISTINCT tag FROM unnest(run_prompts.tags || excluded.tags) AS tag "
            "ORDER BY tag)",
            run_id,
            [prompt.prompt_id for prompt in prompts],
            [json.dumps(prompt.tags) for prompt in prompts],
        )
