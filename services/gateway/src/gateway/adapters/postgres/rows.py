"""Rows of the gateway's tables as the domain has them, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain.models import Brand, Progress, Prompt, Run, RunKind, RunState, Spent
from gateway.domain.readings import RunStatus

RUN = """
SELECT runs.*, revisions.brands,
       (SELECT json_agg(json_build_object('prompt_id', prompt_id, 'text', text, 'locale', locale,
                                          'persona', persona, 'tags', tags) ORDER BY ordinal)
        FROM run_prompts JOIN prompts USING (prompt_id)
        WHERE run_prompts.run_id = runs.run_id) AS prompts
FROM runs JOIN revisions USING (run_id, revision)
"""

RUN_ALONE = """
SELECT runs.*, revisions.brands, NULL AS prompts
FROM runs JOIN revisions USING (run_id, revision)
"""

PROGRESS = """
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
NOTHING: dict[str, Any] = {
    "waiting": 0,
    "answered": 0,
    "analyzed": 0,
    "failed": 0,
    "not_run": 0,
    "cost_usd": Decimal(0),
    "unpriced": 0,
    "simulated": False,
}


def brands_out(brands: Iterable[Brand]) -> str:
    """Brands as they are kept with a revision."""
    return json.dumps([_brand_out(brand) for brand in brands])


def brands_in(text: str) -> tuple[Brand, ...]:
    """Brands of a revision; fields that older versions did not write have their defaults."""
    return tuple(_brand_in(item) for item in json.loads(text))


def brand_of(row: asyncpg.Record) -> Brand:
    """A row of the table of brands."""
    return Brand(
        brand_id=row["brand_id"],
        name=row["name"],
        aliases=tuple(row["aliases"]),
        domains=tuple(row["domains"]),
        exclude=tuple(row["exclude"]),
        own=row["own"],
        case=row["case_rule"],
    )


def progress_of(row: Any) -> Progress:
    """Counts by state."""
    return Progress(row["waiting"], row["answered"], row["analyzed"], row["failed"], row["not_run"])


def status_of(row: asyncpg.Record, progress: Any) -> RunStatus:
    """A run with its counts; ``progress`` None: it has no completion yet."""
    counts = NOTHING if progress is None else progress
    return RunStatus(
        run=run_of(row),
        progress=progress_of(counts),
        simulated=counts["simulated"],
        spent=Spent(counts["cost_usd"], counts["unpriced"]),
    )


def run_of(row: asyncpg.Record) -> Run:
    """A row of ``RUN``."""
    return Run(
        run_id=row["run_id"],
        tenant_id=row["tenant_id"],
        brands=brands_in(row["brands"]),
        prompts=tuple(_prompt_in(item) for item in json.loads(row["prompts"] or "[]")),
        models=tuple(row["models"]),
        samples=row["samples"],
        expected=row["expected"],
        state=RunState(row["state"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        budget_usd=row["budget_usd"],
        cancelled_at=row["cancelled_at"],
        kind=RunKind(row["kind"]),
        name=row["name"],
        system_prompt=row["system_prompt"],
        temperature=row["temperature"],
        stream=row["stream"],
        input_hash=row["input_hash"],
        revision=row["revision"],
        event_seq=row["event_seq"],
    )


def prompt_of(row: asyncpg.Record) -> Prompt:
    """A row of the table of prompts."""
    return Prompt(row["prompt_id"], row["text"], (), row["locale"], row["persona"])


def columns(items: Sequence[Any], *names: str) -> list[list[Any]]:
    """One list for each attribute: what ``unnest`` takes."""
    return [[getattr(item, name) for item in items] for name in names]


def _brand_out(brand: Brand) -> dict[str, Any]:
    return {
        "brand_id": str(brand.brand_id),
        "name": brand.name,
        "aliases": list(brand.aliases),
        "domains": list(brand.domains),
        "exclude": list(brand.exclude),
        "own": brand.own,
        "case": brand.case,
    }


def _brand_in(item: dict[str, Any]) -> Brand:
    return Brand(
        brand_id=UUID(item["brand_id"]),
        name=item["name"],
        aliases=tuple(item["aliases"]),
        domains=tuple(item.get("domains", ())),
        exclude=tuple(item.get("exclude", ())),
        own=item.get("own", False),
        case=item.get("case", "auto"),
    )


def _prompt_in(item: dict[str, Any]) -> Prompt:
    return Prompt(
        prompt_id=UUID(item["prompt_id"]),
        text=item["text"],
        tags=tuple(item["tags"]),
        locale=item["locale"],
        persona=item["persona"],
    )
