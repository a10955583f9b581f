"""Every metric is defined once, of sums that exist, and the page says what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from gateway.domain.cells import AnswerCell, BrandCell
from gateway.domain.intervals import Kind, Method
from gateway.domain.metrics import BRAND_METRICS, INFORMATIVE_RATE, METRICS, Metric, Total
from gateway.metrics_page import PAGE, main, page

BRAND_SUMS = {field.name for field in fields(BrandCell)}
EXPECTED = [
    "informative_rate",
    *("visibility_rate", "share_of_voice_by_answers", "share_of_voice_by_mentions"),
    *("mean_rank", "mean_list_rank", "recommended_rate", "denied_rate", "cited_rate"),
    *("link_only_rate", "sentiment", "citation_share", "position_adjusted_words"),
]


def test_the_metrics_are_these() -> None:
    assert [metric.id for metric in METRICS] == EXPECTED


@pytest.mark.parametrize("metric", BRAND_METRICS, ids=lambda metric: metric.id)
def test_a_metric_is_of_sums_that_cells_have(metric: Metric) -> None:
    assert metric.numerator in BRAND_SUMS
    assert isinstance(metric.denominator, Total) or metric.denominator in BRAND_SUMS


def test_informative_answers_are_of_the_group() -> None:
    assert INFORMATIVE_RATE.numerator in {field.name for field in fields(AnswerCell)}
    assert INFORMATIVE_RATE.denominator is Total.ANSWERS


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_kind_range_and_units_fit(metric: Metric) -> None:
    assert (metric.kind is Kind.MEAN) == (metric.denominator in BRAND_SUMS)
    assert (metric.kind is Kind.MEAN) == (metric.units == ())
    if metric.kind is Kind.RATE:
        assert metric.denominator is Total.ANSWERS
    if metric.kind is not Kind.MEAN:
        assert (metric.least, metric.most) == (0, 1)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_the_page_has_all_of_a_metric(metric: Metric) -> None:
    line = next(one for one in page().splitlines() if one.startswith(f"| `{metric.id}`"))
    for words in (metric.title, metric.formula, metric.unit, metric.source, metric.numerator):
        assert words in line
    assert line.count("|") == 7


@pytest.mark.parametrize("method", Method)
def test_the_page_explains_every_method(method: Method) -> None:
    assert f"\n| `{method}` | " in page()


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_bytes().decode() == page()
    assert main(["--check"]) == 0


def test_check_finds_a_page_that_is_old_or_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "metrics.md"
    assert main(["--check"], target) == 1
    assert not target.exists()
    assert main([], target) == 0
    assert main(["--check"], target) == 0
    target.write_text(page() + "\n")
    assert main(["--check"], target) == 1
    assert "run python -m gateway.metrics_page" in capsys.readouterr().err
