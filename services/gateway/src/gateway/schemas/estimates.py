"""JSON shapes of visibility reports. Decimals are rounded to 6 digits after the point."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from gateway.domain.intervals import Estimate, Method
from gateway.domain.reporting import BrandMetrics, Group

DIGITS = 6


class EstimateView(BaseModel):
    """A metric with its interval; docs/metrics.md says how each is made."""

    value: float | None = Field(
        description="numerator / denominator; null where the denominator is 0"
    )
    numerator: int | float = Field(description="the sum above the line; failed calls are in none")
    denominator: int | float = Field(description="the sum below the line")
    low: float | None = Field(description="lower bound of the interval, null if there is none")
    high: float | None = Field(description="upper bound of the interval, null if there is none")
    method: Method = Field(
        description="how the interval was made. wilson-one-prompt is about the one prompt that was "
        "asked, all others about the prompts it could have been"
    )
    confidence: float = Field(description="how often such an interval holds the truth, e.g. 0.95")


class BrandMetricsView(BaseModel):
    """A brand in one group."""

    brand_id: UUID
    metrics: dict[str, EstimateView] = Field(
        description="by the metric's id, e.g. visibility_rate; always all of docs/metrics.md"
    )


class GroupView(BaseModel):
    """The answers of one surface, or a part of them."""

    surface: str = Field(description='where answers come from; "all" if they were pooled')
    model: str | None = Field(description="null: all models of the surface together")
    tag: str | None = Field(description="null: prompts of all tags, and of none")
    answers: int = Field(description="analysed answers")
    prompts: int = Field(description="prompts with at least one analysed answer")
    citations: int = Field(description="pages cited in these answers, whoever's they are")
    informative: EstimateView = Field(description="share of answers that name any tracked brand")
    brands: list[BrandMetricsView]


def estimate_view(estimate: Estimate) -> EstimateView:
    """An estimate as JSON."""
    return EstimateView(
        value=_rounded(estimate.value),
        numerator=_sum(estimate.numerator),
        denominator=_sum(estimate.denominator),
        low=_rounded(estimate.low),
        high=_rounded(estimate.high),
        method=Method(estimate.method),
        confidence=estimate.confidence,
    )


def brand_metrics_view(brand: BrandMetrics) -> BrandMetricsView:
    """A brand as JSON, metrics in the order of the dictionary."""
    metrics = {name: estimate_view(estimate) for name, estimate in brand.metrics.items()}
    return BrandMetricsView(brand_id=brand.brand_id, metrics=metrics)


def group_view(group: Group) -> GroupView:
    """A group as JSON, brands in the order of the report."""
    return GroupView(
        surface=group.surface,
        model=group.model,
        tag=group.tag,
        answers=group.answers,
        prompts=group.prompts,
        citations=group.citations,
        informative=estimate_view(group.informative),
        brands=[brand_metrics_view(brand) for brand in group.brands],
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DIGITS)


def _sum(number: float) -> int | float:
    """Counts stay whole numbers."""
    return number if isinstance(number, int) else round(number, DIGITS)
