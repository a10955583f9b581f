"""The loop closed: what models were told to say lies in the intervals that a report gives for it.

Texts of the simulator go through the analyzer's domain into reports, over many seeds. That
every event arrives is tested elsewhere; here it is what the numbers are worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest
from devkit.simulator import GroundTruth, SimulatorConfig
from devkit.simulator.answers import draw
from devkit.simulator.drawing import Message, Question
from gateway.domain.cells import AnswerCell, BrandCell, Cells
from gateway.domain.intervals import Estimate
from mention_analyzer.domain.models import Answer, Brand, CaseRule, Finding
from mention_analyzer.domain.rules import analyze
from tests.load.coverage import MODEL, estimates, true_values, truth_with

SEEDS, PROMPTS, SAMPLES, CORRELATION, NAMED = 200, 12, 5, 0.3, 0.6
# 200 runs of six brands: the standard error of a coverage is below one point.
LEAST, MOST = 0.91, 0.995
METRICS = (
    "visibility_rate",
    "recommended_rate",
    "denied_rate",
    "share_of_voice_by_answers",
    "mean_rank",
)


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return truth_with(CORRELATION, NAMED)


@pytest.fixture(scope="module")
def reports(truth: GroundTruth) -> list[dict[str, list[Estimate]]]:
    """Of each seed every metric by brand."""
    return [estimates(cells(truth, seed), len(truth.brands)) for seed in range(SEEDS)]


def cells(truth: GroundTruth, seed: int) -> Cells:
    """What the answers of a run add up to, as they were read."""
    config = SimulatorConfig(truth, seed=seed)
    brands = tuple(
        Brand(UUID(int=at), brand.name, domains=(brand.domain,), case=CaseRule.ANY)
        for at, brand in enumerate(truth.brands)
    )
    answers: list[AnswerCell] = []
    found: list[BrandCell] = []
    for number in range(PROMPTS):
        prompt = UUID(int=number)
        read = [findings(config, brands, number, sample) for sample in range(SAMPLES)]
        informative = sum(any(one.named for one in each) for each in read)
        answers.append(AnswerCell("api", MODEL, prompt, SAMPLES, informative, 0))
        found += brand_cells(prompt, [one for each in read for one in each])
    return Cells(tuple(answers), tuple(found))


def findings(
    config: SimulatorConfig, brands: tuple[Brand, ...], number: int, sample: int
) -> tuple[Finding, ...]:
    question = Question(MODEL, (Message("user", f"Question {number}?"),), f"call:{sample}")
    text = draw(config, question).text
    none = UUID(int=0)
    return analyze(Answer("t", none, none, none, MODEL, sample, text, True), brands).findings


def brand_cells(prompt: UUID, found: Sequence[Finding]) -> Iterator[BrandCell]:
    for brand_id in sorted({one.brand_id for one in found}):
        own = [one for one in found if one.brand_id == brand_id]
        yield BrandCell(
            surface="api",
            model=MODEL,
            prompt_id=prompt,
            brand_id=brand_id,
            named=sum(one.named for one in own),
            recommended=sum(one.recommended for one in own),
            denied=sum(one.denied for one in own),
            cited=sum(one.cited for one in own),
            link_only=sum(one.link_only for one in own),
            mentions=sum(one.mentions for one in own),
            rank_sum=sum(one.rank or 0 for one in own),
            list_rank_sum=0,
            list_ranked=0,
            sentiment_sum=sum(one.sentiment or 0.0 for one in own),
            sentiments=sum(one.sentiment is not None for one in own),
            citations=0,
            position_adjusted_words=0.0,
        )


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_hold_what_the_models_were_told(
    truth: GroundTruth, reports: list[dict[str, list[Estimate]]], metric: str
) -> None:
    hits = [
        estimate.low <= value <= estimate.high
        for report in reports
        for estimate, value in zip(report[metric], true_values(truth)[metric], strict=True)
        if estimate.low is not None and estimate.high is not None
    ]
    assert len(hits) > 0.97 * SEEDS * len(truth.brands)
    assert LEAST <= sum(hits) / len(hits) <= MOST


def test_the_intervals_are_no_wider_than_they_must_be(
    reports: list[dict[str, list[Estimate]]],
) -> None:
    widths = [
        (estimate.high or 1.0) - (estimate.low or 0.0)
        for report in reports
        for estimate in report["visibility_rate"]
    ]
    assert sum(widths) / len(widths) < 0.45
