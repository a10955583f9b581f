"""JSON shape of a run's report."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from gateway.domain.models import FailureCount
from gateway.domain.readings import Findings
from gateway.domain.reporting import report_groups
from gateway.schemas.brands import BrandView, brand_view
from gateway.schemas.estimates import GroupView, group_view
from gateway.schemas.runs import CostView, ProgressView, cost_view, progress_view


class FailureView(BaseModel):
    """Calls to a model that failed, or were not made, for one reason; in no denominator."""

    model: str
    outcome: Literal["failed", "not_run"]
    kind: str
    count: int
    example: str


class AnalysisView(BaseModel):
    """Which analysis this is, and how far it is: ``analyzed`` of ``answers``."""

    revision: int
    latest_revision: int
    answers: int
    analyzed: int
    analyzer_versions: list[str]


class ReportView(BaseModel):
    """What a run has found, complete once its state is final and all answers are analysed."""

    run_id: UUID
    name: str | None
    kind: str
    state: str
    simulated: bool = Field(description="true if any answer came from a simulator")
    progress: ProgressView
    cost: CostView
    analysis: AnalysisView
    brands: list[BrandView]
    groups: list[GroupView] = Field(
        description="by surface; in each first all answers, then by model, by tag, by both"
    )
    failures: list[FailureView]


def report_view(findings: Findings, *, pool_surfaces: bool) -> ReportView:
    """A report as JSON, brands in the order in which the run names them."""
    status, run = findings.status, findings.status.run
    groups = report_groups(
        findings.cells,
        [brand.brand_id for brand in findings.brands],
        {prompt.prompt_id: prompt.tags for prompt in run.prompts},
        pool_surfaces=pool_surfaces,
        run_key=str(run.run_id),
    )
    return ReportView(
        run_id=run.run_id,
        name=run.name,
        kind=run.kind.value,
        state=run.state.value,
        simulated=status.simulated,
        progress=progress_view(run.expected, status.progress),
        cost=cost_view(status),
        analysis=AnalysisView(
            revision=findings.revision,
            latest_revision=run.revision,
            answers=findings.analysis.answers,
            analyzed=findings.analysis.analyzed,
            analyzer_versions=list(findings.analysis.analyzer_versions),
        ),
        brands=[brand_view(brand) for brand in findings.brands],
        groups=[group_view(group) for group in groups],
        failures=[_failure(item) for item in findings.failures],
    )


def _failure(item: FailureCount) -> FailureView:
    return FailureView(
        model=item.model,
        outcome="not_run" if item.not_run else "failed",
        kind=item.kind,
        count=item.count,
        example=item.example,
    )
