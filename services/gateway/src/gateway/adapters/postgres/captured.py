"""Answers that were given elsewhere, and the providers' lists of models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gateway.adapters.postgres.prompts import PromptRows
from gateway.adapters.postgres.rows import columns
from gateway.domain.catalog import ModelCatalog, Price
from gateway.domain.models import CapturedAnswer, Prompt


class CapturedRows(PromptRows):
    """The part of the repository that imports write through."""

    async def answer_owners(self, answer_ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """Whose they are, calls of runs included."""
        rows = await self._connection.fetch(
            "SELECT completion_id, tenant_id FROM completions "
            "WHERE completion_id = ANY($1::uuid[])",
            answer_ids,
        )
        return {row["completion_id"]: row["tenant_id"] for row in rows}

    async def add_captured(self, items: Sequence[CapturedAnswer], now: datetime) -> set[UUID]:
        """Lock their runs, insert what is new, and let runs that had ended go on."""
        await self._connection.execute(
            "SELECT FROM runs WHERE run_id = ANY($1::uuid[]) ORDER BY run_id FOR NO KEY UPDATE",
            sorted({item.run_id for item in items}),
        )
        added = await self._insert(items)
        own: dict[UUID, list[CapturedAnswer]] = {}
        for item in added:
            own.setdefault(item.run_id, []).append(item)
        for run_id, answers in sorted(own.items()):
            await self._add_prompts(
                answers[0].tenant_id, run_id, _prompts(item.prompt for item in answers)
            )
            await self._grow(run_id, answers)
        return {item.answer_id for item in added}

    async def _insert(self, items: Sequence[CapturedAnswer]) -> Sequence[CapturedAnswer]:
        first: dict[UUID, CapturedAnswer] = {}
        for item in items:
            first.setdefault(item.answer_id, item)
        kept = list(first.values())
        rows = await self._connection.fetch(
            "INSERT INTO completions (completion_id, tenant_id, run_id, prompt_id, model, sample, "
            "surface, simulated, finished, finished_at) "
            "SELECT id, tenant, run, prompt, model, 0, surface, simulated, true, at "
            "FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], "
            "$7::boolean[], $8::timestamptz[]) "
            "AS row (id, tenant, run, prompt, model, surface, simulated, at) "
            "ON CONFLICT DO NOTHING RETURNING completion_id",
            *columns(kept, "answer_id", "tenant_id", "run_id"),
            [item.prompt.prompt_id for item in kept],
            *columns(kept, "model", "surface", "simulated", "captured_at"),
        )
        new = {row["completion_id"] for row in rows}
        added = [item for item in kept if item.answer_id in new]
        await self._connection.execute(
            "INSERT INTO answers (completion_id, text, sources) SELECT id, text, sources::jsonb "
            "FROM unnest($1::uuid[], $2::text[], $3::text[]) AS row (id, text, sources)",
            *columns(added, "answer_id", "text"),
            [_sources(item) for item in added],
        )
        return added

    async def _grow(self, run_id: UUID, added: Sequence[CapturedAnswer]) -> None:
        await self._connection.execute(
            "WITH grown AS (UPDATE runs SET expected = expected + $2, state = 'running', "
            "finished_at = NULL, event_seq = event_seq + 1, models = ARRAY(SELECT DISTINCT model "
            "FROM unnest(models || $3::text[]) AS model ORDER BY model) "
            "WHERE run_id = $1 RETURNING event_seq) INSERT INTO run_events (run_id, seq, settled) "
            "SELECT $1, event_seq, $4::jsonb FROM grown",
            run_id,
            len(added),
            sorted({item.model for item in added}),
            json.dumps({"answered": [str(item.answer_id) for item in added]}),
        )

    async def learn_catalogs(self, catalogs: Sequence[ModelCatalog]) -> None:
        """An older list never replaces a newer one."""
        for item in catalogs:
            await self._connection.execute(
                "INSERT INTO model_catalogs (provider, version, simulated, complete, models, "
                "fetched_at) VALUES ($1, $2, $3, $4, $5::jsonb, $6) "
                "ON CONFLICT (provider) DO UPDATE SET "
                "version = excluded.version, simulated = excluded.simulated, "
                "complete = excluded.complete, models = excluded.models, "
                "fetched_at = excluded.fetched_at "
                "WHERE model_catalogs.fetched_at <= excluded.fetched_at",
                item.provider,
                item.version,
                item.simulated,
                item.complete,
                json.dumps({name: _price(price) for name, price in item.models.items()}),
                item.fetched_at,
            )


def _prompts(asked: Iterable[Prompt]) -> list[Prompt]:
    """Each prompt once, with the tags that any of its answers gives it."""
    found: dict[UUID, Prompt] = {}
    for prompt in asked:
        known = found.setdefault(prompt.prompt_id, prompt)
        tags = tuple(dict.fromkeys((*known.tags, *prompt.tags)))
        found[prompt.prompt_id] = replace(known, tags=tags)
    return list(found.values())


def _sources(item: CapturedAnswer) -> str:
    return json.dumps([{"url": url, "title": title} for url, title in item.sources])


def _price(price: Price) -> dict[str, str | None]:
    parts = (price.input_usd, price.output_usd, price.request_usd)
    names = ("input", "output", "request")
    return {name: _text(part) for name, part in zip(names, parts, strict=True)}


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"
