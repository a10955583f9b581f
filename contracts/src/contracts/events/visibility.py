"""AI visibility: who is named in what assistants say."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from contracts.events.base import Event, ModelName, Part, Slug


class TrackedBrand(Part):
    """A brand as it is looked for in a run: a copy, so that later edits do not rewrite history."""

    brand_id: UUID
    name: Annotated[str, Field(min_length=1, max_length=200)]
    aliases: tuple[str, ...] = ()


class VisibilityRunStarted(Event):
    """A run was accepted: which brands to look for in its answers."""

    run_id: UUID
    brands: Annotated[tuple[TrackedBrand, ...], Field(min_length=1)]
    expected_completions: Annotated[int, Field(ge=1)]
    started_at: AwareDatetime


class Mention(Part):
    """One occurrence of a brand. ``start`` and ``end`` count code points, end exclusive."""

    brand_id: UUID
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    text: str = Field(description="as it stands in the answer")
    rule: Slug = Field(description="which matching rule found it")

    @model_validator(mode="after")
    def _has_a_length(self) -> Mention:
        if self.end <= self.start:
            raise ValueError("end must be greater than start")
        return self


class AnswerAnalyzed(Event):
    """Everything found in one answer. Analysing again with another version is another event."""

    completion_id: UUID
    run_id: UUID
    prompt_id: UUID
    model: ModelName
    sample: Annotated[int, Field(ge=0)]
    analyzer_version: str
    mentions: tuple[Mention, ...]
    simulated: bool
    analyzed_at: AwareDatetime
