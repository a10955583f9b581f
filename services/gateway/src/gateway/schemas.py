"""JSON shapes of the public API. Requests refuse unknown fields, so that a typo is not ignored."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from contracts.events.base import Usd
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.domain.models import ApiKey, BrandCount, Progress, Report

NoNul = r"^[^\x00]*$"
BrandName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NoNul)
]
PromptText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=NoNul)
]
Model = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*/[^\s\x00]+$", max_length=200)
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BrandIn(_Request):
    """A brand to look for."""

    name: BrandName
    aliases: list[BrandName] = Field(default_factory=list, max_length=50)


class RunRequest(_Request):
    """A visibility run: every prompt to every model, ``samples`` times."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "brands": [{"name": "Notion"}, {"name": "Roam Research", "aliases": ["Roam"]}],
                    "prompts": ["Which note-taking app should a small team use?"],
                    "models": ["simulator/sim-large"],
                    "samples": 5,
                }
            ]
        },
    )

    brands: list[BrandIn] = Field(min_length=1, max_length=1000)
    prompts: list[PromptText] = Field(min_length=1, max_length=1000)
    models: list[Model] = Field(
        min_length=1, max_length=50, description="provider/model, e.g. openai/gpt-5"
    )
    samples: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    budget_usd: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)] | None = Field(
        default=None,
        description="what all calls together may cost at most; those that no longer fit are not "
        "made, and a model without a known price is not called",
    )


class RunAccepted(BaseModel):
    """The run was stored; its calls are being made."""

    run_id: UUID
    state: str
    expected_completions: int
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


class RunView(BaseModel):
    """Where a run stands."""

    run_id: UUID
    state: str
    simulated: bool = Field(description="true if any answer came from a simulator")
    samples: int
    models: list[str]
    prompts: list[str]
    brands: list[str]
    progress: ProgressView
    cost: CostView
    started_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None


class ModelCountView(BaseModel):
    """A brand in the answers of one model."""

    model: str
    answers: int = Field(description="analysed answers: the denominator")
    named_in: int = Field(description="answers that name the brand: the numerator")
    mentions: int = Field(description="occurrences in all these answers")


class BrandCountView(BaseModel):
    """A brand over all models of the run."""

    brand_id: UUID
    name: str
    answers: int
    named_in: int
    mentions: int
    models: list[ModelCountView]


class FailureView(BaseModel):
    """Calls to a model that failed, or were not made, for one reason; in no denominator."""

    model: str
    outcome: Literal["failed", "not_run"]
    kind: str
    count: int
    example: str


class ReportView(BaseModel):
    """Counts of a run, complete once its state is final."""

    run_id: UUID
    state: str
    simulated: bool
    progress: ProgressView
    cost: CostView
    brands: list[BrandCountView]
    failures: list[FailureView]


class KeyRequest(_Request):
    """A new API key."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NoNul)
    ]


class KeyView(BaseModel):
    """A key without its secret."""

    key_id: UUID
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None


class CreatedKeyView(KeyView):
    """A key with its secret, shown once."""

    secret: str


class Problem(BaseModel):
    """RFC 9457 problem details with a hint what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    hint: str


def key_view(key: ApiKey) -> KeyView:
    """A key as JSON."""
    return KeyView(
        key_id=key.key_id,
        name=key.name,
        prefix=key.prefix,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
    )


def run_view(report: Report) -> RunView:
    """A run as JSON."""
    run = report.run
    return RunView(
        **_head(report),
        samples=run.samples,
        models=list(run.models),
        prompts=[prompt.text for prompt in run.prompts],
        brands=[brand.name for brand in run.brands],
        started_at=run.started_at,
        cancelled_at=run.cancelled_at,
        finished_at=run.finished_at,
    )


def report_view(report: Report) -> ReportView:
    """A report as JSON, brands in the order of the request."""
    brands = [
        _brand([item for item in report.counts if item.brand_id == brand.brand_id])
        for brand in report.run.brands
    ]
    failures = [
        FailureView(
            model=item.model,
            outcome="not_run" if item.not_run else "failed",
            kind=item.kind,
            count=item.count,
            example=item.example,
        )
        for item in report.failures
    ]
    return ReportView(**_head(report), brands=brands, failures=failures)


def _head(report: Report) -> dict[str, Any]:
    return {
        "run_id": report.run.run_id,
        "state": report.run.state.value,
        "simulated": report.simulated,
        "progress": _progress(report.run.expected, report.progress),
        "cost": CostView(
            usd=report.spent.usd,
            unpriced_calls=report.spent.unpriced,
            budget_usd=report.run.budget_usd,
        ),
    }


def _progress(expected: int, progress: Progress) -> ProgressView:
    return ProgressView(
        expected=expected,
        waiting=progress.waiting,
        answered=progress.answered,
        analyzed=progress.analyzed,
        failed=progress.failed,
        not_run=progress.not_run,
    )


def _brand(counts: list[BrandCount]) -> BrandCountView:
    return BrandCountView(
        brand_id=counts[0].brand_id,
        name=counts[0].name,
        answers=sum(item.answers for item in counts),
        named_in=sum(item.named_in for item in counts),
        mentions=sum(item.mentions for item in counts),
        models=[
            ModelCountView(
                model=item.model,
                answers=item.answers,
                named_in=item.named_in,
                mentions=item.mentions,
            )
            for item in counts
        ],
    )
