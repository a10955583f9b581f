"""AI visibility: who is named in what assistants say."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from contracts.events.base import Event, OfOurTime, Part, Slug

Surface = Literal["api", "app", "import"]
"""Where an answer was given: asked over an API, seen in an assistant's app, or unknown."""

AnsweringModel = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""``provider/model`` of answers asked for here, whatever the capturing tool says of others."""


class TrackedBrand(Part):
    """A brand as it is looked for in a run: a copy, so that later edits do not rewrite history.

    ``domains`` are its sites; ``exclude`` phrases that contain a name and are not the brand.
    """

    brand_id: UUID
    name: Annotated[str, Field(min_length=1, max_length=200)]
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    own: bool = Field(default=False, description="the tenant's own, not a competitor")
    case: Slug = Field(
        default="auto",
        description="exact or any; auto: exact for ordinary words and very short names",
    )


class VisibilityRunStarted(Event):
    """A run or import was accepted: which brands to look for in its answers."""

    run_id: UUID
    brands: tuple[TrackedBrand, ...]
    expected_completions: Annotated[int, Field(ge=0)] = Field(
        description="0: answers are captured elsewhere and come as they come"
    )
    started_at: AwareDatetime


class ReanalysisRequested(Event):
    """Look for other brands in the stored answers of a run; no model is called.

    ``revision`` counts from 2. The highest holds for answers that come later, too.
    """

    run_id: UUID
    revision: Annotated[int, Field(ge=2)]
    brands: tuple[TrackedBrand, ...]
    requested_at: AwareDatetime


class Source(Part):
    """A page that an assistant named beside its answer."""

    url: Annotated[str, Field(min_length=1, max_length=4096)]
    title: Annotated[str, Field(max_length=1000)] = ""


class AnswerCaptured(Event):
    """An answer that was given elsewhere. ``answer_id`` is its identity: sent twice, kept once.

    ``run_id`` names the import that it belongs to; without one it joins the tenant's collection
    of the month in which it was captured.
    """

    answer_id: UUID
    run_id: UUID | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    locale: Annotated[str, Field(max_length=35)] | None = None
    tags: tuple[str, ...] = ()
    surface: Surface
    model: AnsweringModel
    text: Annotated[str, Field(min_length=1)]
    sources: tuple[Source, ...] = ()
    captured_at: OfOurTime
    simulated: bool = False
    tenant_id: str | None = Field(
        default=None,
        description="whose it is, where the record has no ce_* headers; with them, if it is there, "
        "the same as ce_tenantid",
    )


class Mention(Part):
    """One occurrence of a brand. ``start`` and ``end`` count code points, end exclusive."""

    brand_id: UUID
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    text: str = Field(description="as it stands in the answer")
    rule: Slug = Field(description="which matching rule found it")
    alias: str = Field(default="", description="the name that matched, as the brand declares it")
    outcome: Slug = Field(
        default="named", description="named, recommended, denied, cited or link-only"
    )
    sentiment: Annotated[float, Field(ge=-1, le=1)] | None = None

    @model_validator(mode="after")
    def _has_a_length(self) -> Mention:
        if self.end <= self.start:
            raise ValueError("end must be greater than start")
        return self


class Citation(Part):
    """A page that an answer refers to. ``start`` null: beside the text, not in it."""

    url: str
    domain: str = Field(description="registrable, by the public suffix list; else the host")
    owner: Slug = Field(description="own, competitor or third-party")
    brand_id: UUID | None = None
    start: Annotated[int, Field(ge=0)] | None = None


class Finding(Part):
    """What an answer says of one brand. ``rank`` counts brands by their first mention, from 1."""

    brand_id: UUID
    mentions: Annotated[int, Field(ge=0)] = Field(description="occurrences that name the brand")
    named: bool
    recommended: bool
    denied: bool
    cited: bool
    link_only: bool
    rank: Annotated[int, Field(ge=1)] | None = None
    list_rank: Annotated[int, Field(ge=1)] | None = None
    sentiment: Annotated[float, Field(ge=-1, le=1)] | None = None
    citations: Annotated[int, Field(ge=0)] = 0
    position_adjusted_words: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="of the GEO paper, arXiv 2311.09735; 0 if no page is cited"
    )


class AnswerAnalyzed(Event):
    """Everything found in one answer. Analysing again with another version is another event.

    ``revision`` counts the sets of brands that a run was analysed with, from 1.
    """

    completion_id: UUID
    run_id: UUID
    prompt_id: UUID
    model: AnsweringModel
    sample: Annotated[int, Field(ge=0)]
    analyzer_version: str
    revision: Annotated[int, Field(ge=1)] = 1
    mentions: tuple[Mention, ...]
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()
    simulated: bool
    analyzed_at: AwareDatetime
