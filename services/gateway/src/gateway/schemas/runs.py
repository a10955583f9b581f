"""JSON shapes of visibility runs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from contracts.events.base import Usd
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.domain.catalog import Estimate
from gateway.domain.models import Progress, Run
from gateway.domain.readings import RunStatus
from gateway.schemas.brands import BrandIn, BrandView, brand_view
from gateway.schemas.common import NoNul, RequestBody, ShortText

PromptText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=NoNul)
]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]
Persona = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=NoNul)]
Model = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*/[^\s\x00]+$", max_length=200)
]


class PromptIn(RequestBody):
    """A question with who asks it from where, and tags to report by."""

    text: PromptText
    tags: list[ShortText] = Field(default_factory=list, max_length=20)
    locale: Locale | None = Field(default=None, description="e.g. de-AT; models are told")
    persona: Persona = Field(default="", description="who asks; models are told")


class RunRequest(RequestBody):
    """A visibility run: every prompt to every model, ``samples`` times."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "brands": [
                        {"name": "Notion", "domains": ["notion.so"], "own": True},
                        {"name": "Roam Research", "aliases": ["Roam"]},
                    ],
                    "prompts": [
                        "Which note-taking app should a small team use?",
                        {"text": "Best app for private notes?", "tags": ["privacy"]},
                    ],
                    "models": ["simulator/sim-large"],
                    "samples": 5,
                }
            ]
        },
    )

    name: ShortText | None = None
    brands: list[UUID | BrandIn] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="ids of your brands, or brands in full; left out: all of yours",
    )
    prompts: list[PromptText | PromptIn] = Field(min_length=1, max_length=1000)
    models: list[Model] = Field(
        min_length=1, max_length=50, description="provider/model, e.g. openai/gpt-5"
    )
    samples: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    budget_usd: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)] | None = Field(
        default=None,
        description="what all calls together may cost at most; those that no longer fit are not "
        "made, and a model without a known price is not called",
    )
    system_prompt: PromptText | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    stream: bool = Field(default=False, description="show answers while they are written")
    deduplicate: bool = Field(
        default=False,
        description="answer with the newest run of the same input, if there is one; one that is "
        "still going is answered with in any case",
    )


class EstimateView(BaseModel):
    """What the run will cost, by rule of thumb: 3 characters a token, 600 tokens an answer."""

    usd: Usd
    unpriced_models: list[str] = Field(description="not in the sum: their prices are not known")


class RunAccepted(BaseModel):
    """The run is stored; its calls are being made."""

    run_id: UUID
    state: str
    input_hash: str
    expected_completions: int
    estimated_cost: EstimateView
    deduplicated: bool = Field(description="true: this is an earlier run of the same input")
    links: dict[str, str]


class ProgressView(BaseModel):
    """Completions by state. The five add up to ``expected``."""

    expected: int
    waiting: int
    answered: int = Field(description="answered, not analysed yet")
    analyzed: int
    failed: int
    not_run: int = Field(description="not called: budget, cancelled or deadline")


class CostView(BaseModel):
    """What the calls cost so far. ``usd`` is exact, of the calls whose price is known."""

    usd: Usd
    unpriced_calls: int = Field(description="calls made whose price is not known")
    budget_usd: Usd | None


class RunPromptView(BaseModel):
    """A question of a run."""

    prompt_id: UUID
    text: str
    tags: list[str]
    locale: str | None
    persona: str


class RunSummary(BaseModel):
    """Where a run stands."""

    run_id: UUID
    name: str | None
    kind: str = Field(description="asked, or imported")
    state: str = Field(
        description="running, completed, completed_with_errors, failed (all calls), cancelled"
    )
    simulated: bool = Field(description="true if any answer came from a simulator")
    samples: int
    models: list[str]
    revision: int = Field(description="sets of brands it was analysed with")
    input_hash: str
    progress: ProgressView
    cost: CostView
    started_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None


class RunView(RunSummary):
    """A run with what it asks and looks for."""

    prompts: list[RunPromptView]
    brands: list[BrandView]
    system_prompt: str | None
    temperature: float | None
    stream: bool


class RunPage(BaseModel):
    """Runs and imports, newest first."""

    items: list[RunSummary]
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


class ReanalysisRequest(RequestBody):
    """Look for other brands in the answers that are there. Without brands: the same ones anew."""

    brands: list[UUID | BrandIn] | None = Field(default=None, min_length=1, max_length=1000)


class ReanalysisAccepted(BaseModel):
    """The answers are being analysed again; no model is called."""

    run_id: UUID
    revision: int
    brands: list[BrandView]
    links: dict[str, str]


def links(run_id: UUID) -> dict[str, str]:
    """Where the parts of a run are."""
    base = f"/v1/visibility/runs/{run_id}"
    parts = ("report", "answers", "events", "export")
    return {"run": base, **{part: f"{base}/{part}" for part in parts}}


def accepted_view(run: Run, estimate: Estimate, *, deduplicated: bool) -> RunAccepted:
    """The answer to a request for a run."""
    return RunAccepted(
        run_id=run.run_id,
        state=run.state.value,
        input_hash=run.input_hash,
        expected_completions=run.expected,
        estimated_cost=EstimateView(usd=estimate.usd, unpriced_models=list(estimate.unpriced)),
        deduplicated=deduplicated,
        links=links(run.run_id),
    )


def run_summary(status: RunStatus) -> RunSummary:
    """A run in a list."""
    return RunSummary(**_summary(status))


def run_view(status: RunStatus) -> RunView:
    """A run as JSON."""
    run = status.run
    return RunView(
        **_summary(status),
        prompts=[
            RunPromptView(
                prompt_id=prompt.prompt_id,
                text=prompt.text,
                tags=list(prompt.tags),
                locale=prompt.locale,
                persona=prompt.persona,
            )
            for prompt in run.prompts
        ],
        brands=[brand_view(brand) for brand in run.brands],
        system_prompt=run.system_prompt,
        temperature=run.temperature,
        stream=run.stream,
    )


def _summary(status: RunStatus) -> dict[str, Any]:
    run = status.run
    return {
        "run_id": run.run_id,
        "name": run.name,
        "kind": run.kind.value,
        "state": run.state.value,
        "simulated": status.simulated,
        "samples": run.samples,
        "models": list(run.models),
        "revision": run.revision,
        "input_hash": run.input_hash,
        "progress": progress_view(run.expected, status.progress),
        "cost": cost_view(status),
        "started_at": run.started_at,
        "cancelled_at": run.cancelled_at,
        "finished_at": run.finished_at,
    }


def progress_view(expected: int, progress: Progress) -> ProgressView:
    """Counts by state."""
    return ProgressView(
        expected=expected,
        waiting=progress.waiting,
        answered=progress.answered,
        analyzed=progress.analyzed,
        failed=progress.failed,
        not_run=progress.not_run,
    )


def cost_view(status: RunStatus) -> CostView:
    """What a run cost so far."""
    return CostView(
        usd=status.spent.usd,
        unpriced_calls=status.spent.unpriced,
        budget_usd=status.run.budget_usd,
    )
