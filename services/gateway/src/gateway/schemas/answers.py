"""JSON shapes of single answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from contracts.events.base import Usd
from contracts.events.visibility import Citation, Finding, Mention, Source
from pydantic import BaseModel, Field

from gateway.domain.readings import AnswerRow

Outcome = Literal["named", "recommended", "denied", "cited", "link-only"]
State = Literal["waiting", "answered", "analyzed", "failed", "not_run"]


class AnswerFailure(BaseModel):
    """Why there is no answer."""

    kind: str
    message: str


class AnswerView(BaseModel):
    """One answer with what was found in it, or the failure in its place."""

    completion_id: UUID
    prompt_id: UUID
    prompt: str
    tags: list[str]
    model: str
    surface: str
    sample: int
    state: str
    simulated: bool
    finished_at: datetime | None
    failure: AnswerFailure | None
    cost_usd: Usd | None
    text: str | None
    sources: list[Source]
    analyzer_version: str | None
    mentions: list[Mention] = Field(description="offsets count code points of the text")
    citations: list[Citation]
    findings: list[Finding] = Field(description="one for each brand that occurs")


class AnswerPage(BaseModel):
    """Answers of a run, in the order of their ids."""

    items: list[AnswerView]
    revision: int
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


def answer_view(row: AnswerRow) -> AnswerView:
    """An answer as JSON."""
    detail: dict[str, Any] = json.loads(row.detail or "{}")
    failed = row.failure_kind is not None
    return AnswerView(
        completion_id=row.completion_id,
        prompt_id=row.prompt_id,
        prompt=row.prompt,
        tags=list(row.tags),
        model=row.model,
        surface=row.surface,
        sample=row.sample,
        state=row.state,
        simulated=row.simulated,
        finished_at=row.finished_at,
        failure=(
            AnswerFailure(kind=row.failure_kind or "", message=row.failure_message or "")
            if failed
            else None
        ),
        cost_usd=row.cost_usd,
        text=row.text,
        sources=json.loads(row.sources),
        analyzer_version=row.analyzer_version,
        mentions=detail.get("mentions", []),
        citations=detail.get("citations", []),
        findings=[Finding.model_validate(found, from_attributes=True) for found in row.findings],
    )
