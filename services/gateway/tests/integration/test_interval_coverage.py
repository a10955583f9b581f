"""The intervals of reports hold the truth about as often as they say: 95 times in 100.

Answers are drawn from the simulator's ground truth. What is estimated is the value over all prompts
of a tag, of which those that were asked are a sample: a prompt's own leaning, which its repeats
share, is a part of the error. A share of seeds is itself uncertain: with 300 runs of six brands
its standard error is about half a point, so the band is a little wider than 95 +- 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
from _pytest.mark import ParameterSet
from tests.load.coverage import DESIGNS, METRICS, Covered, Design, study

SEEDS = range(300)
LEAST, MOST = 0.92, 0.985


def _designs(*correlations: float) -> list[ParameterSet]:
    """Brands are named 0.6 times as often as in the demo, so that some answers name none at all."""
    return [
        pytest.param(design, id=name, marks=pytest.mark.xdist_group(name))  # each drawn once
        for design in DESIGNS
        if design.named < 1 and design.correlation in correlations
        for name in [f"{design.prompts}x{design.samples}-{design.correlation}"]
    ]


@cache
def studied(design: Design) -> Mapping[str, tuple[Covered, Covered | None]]:
    return study(design, SEEDS)


def plain(design: Design, metric: str) -> Covered:
    found = studied(design)[metric][1]
    assert found is not None
    return found


@pytest.mark.parametrize("design", _designs(0.0, 0.3, 0.6))
def test_intervals_hold_the_truth_as_often_as_they_say(design: Design) -> None:
    covered = {name: round(ours.mean, 4) for name, (ours, _) in studied(design).items()}
    assert covered.keys() == set(METRICS)
    # One rate close to 1, not the mean of six brands: what Wilson covers jumps with the value.
    lumpy = covered.pop("informative_rate")
    assert {name: one for name, one in covered.items() if not LEAST <= one <= MOST} == {}
    assert lumpy >= LEAST


@pytest.mark.parametrize("design", _designs(0.0, 0.3, 0.6))
def test_no_brand_is_left_out(design: Design) -> None:
    for ours, _ in studied(design).values():
        assert min(ours.by_brand) >= 0.86
        assert ours.missing < 0.03


@pytest.mark.parametrize("design", _designs(0.0))
def test_intervals_are_not_wide_for_nothing(design: Design) -> None:
    ours, _ = studied(design)["visibility_rate"]
    assert ours.width < 1.2 * plain(design, "visibility_rate").width


@pytest.mark.parametrize("design", _designs(0.0))
def test_plain_wilson_on_independent_answers_does(design: Design) -> None:
    assert LEAST <= plain(design, "visibility_rate").mean <= MOST


@pytest.mark.parametrize("design", _designs(0.6))
def test_plain_wilson_on_answers_would_not(design: Design) -> None:
    """What makes the test above one that can fail."""
    assert plain(design, "visibility_rate").mean < 0.85
