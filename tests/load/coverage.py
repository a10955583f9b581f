"""How often 95 % intervals of reports hold the truth, beside plain Wilson on answers.

Answers are drawn from the provider simulator's ground truth, so that the truth is known: prompts
are a sample of all prompts of one tag, and the truth is what all of them would give for ever.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

if __name__ == "__main__":  # a test imports this too
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.simulator import GroundTruth, Message, Outcome, Question, default_config
from devkit.simulator.drawing import BrandDraw, draw_brands, prompt_key
from gateway.domain.cells import AnswerCell, BrandCell, Cells
from gateway.domain.intervals import Estimate
from gateway.domain.reporting import report_groups
from tests.load.markdown import table

MODEL = "sim-large"
TONES = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
RATES = ("visibility_rate", "recommended_rate", "denied_rate", "informative_rate")
METRICS = (*RATES, "share_of_voice_by_answers", "mean_rank", "sentiment")
_HEADINGS = (
    *("prompts x samples, correlation", "metric", "coverage", "worst brand", "mean width"),
    *("plain Wilson", "its worst brand", "its mean width", "without interval"),
)


class Design(NamedTuple):
    """A run: how often what is asked, how much repeats agree, how often brands are named."""

    prompts: int
    samples: int
    correlation: float
    named: float


# Without repeats their correlation does not matter.
DESIGNS = tuple(
    Design(*size, correlation, named)
    for named in (1.0, 0.6)
    for size, correlations in (
        ((12, 5), (0.0, 0.3, 0.6)),
        ((40, 3), (0.0, 0.3, 0.6)),
        ((30, 1), (0.0,)),
    )
    for correlation in correlations
)


@dataclass(frozen=True)
class Covered:
    """Of one metric over all seeds: shares by brand, then what they come to."""

    by_brand: Sequence[float]
    width: float
    missing: float

    @property
    def mean(self) -> float:
        """Over the brands."""
        return sum(self.by_brand) / len(self.by_brand)


def truth_with(correlation: float, named: float = 1.0) -> GroundTruth:
    """The demo's brands as one model sees them, with this correlation between repeats.

    Each is named so many times as often as in the demo.
    """
    truth = default_config().truth
    model = truth.model_by_id[MODEL]
    odds = {
        name: replace(one, named={tag: p * named for tag, p in one.named.items()})
        for name, one in model.odds.items()
    }
    only = replace(model, repeat_correlation=correlation, odds=odds)
    return GroundTruth(truth.brands, (only,), truth.tags)


def true_values(truth: GroundTruth) -> dict[str, list[float]]:
    """What each metric would be over all prompts of the default tag, by brand, in closed form.

    Brands are named independently of each other, and of two that are named the first is so with
    the probability of its weight among both (Plackett-Luce), whatever else is named.
    """
    odds = [truth.models[0].odds[brand.name] for brand in truth.brands]
    named = [one.probability("default") for one in odds]
    ranks = [
        1
        + sum(p * b.weight / (a.weight + b.weight) for p, b in zip(named, odds, strict=True))
        - own * 0.5
        for a, own in zip(odds, named, strict=True)
    ]
    return {
        "visibility_rate": named,
        "recommended_rate": [p * one.recommended for p, one in zip(named, odds, strict=True)],
        "denied_rate": [p * one.denied for p, one in zip(named, odds, strict=True)],
        "informative_rate": [1 - prod(1 - p for p in named)],
        "share_of_voice_by_answers": [p / sum(named) for p in named],
        "mean_rank": ranks,
        "sentiment": [one.positive - one.negative for one in odds],
    }


def drawn_cells(truth: GroundTruth, seed: int, prompts: int, samples: int) -> Cells:
    """The cells of a run of ``prompts`` x ``samples``, from the truth of each drawn answer."""
    answers: list[AnswerCell] = []
    brands: list[BrandCell] = []
    for number in range(prompts):
        drawn = list(_drawn(truth, seed, number, samples))
        informative = sum(bool(answer) for answer in drawn)
        answers.append(AnswerCell("api", MODEL, UUID(int=number), samples, informative, 0))
        brands += _brand_cells(truth, UUID(int=number), drawn)
    return Cells(tuple(answers), tuple(brands))


def _drawn(
    truth: GroundTruth, seed: int, number: int, samples: int
) -> Iterator[tuple[BrandDraw, ...]]:
    model, messages = truth.models[0].id, (Message("user", f"Question {number}?"),)
    key = prompt_key(model, messages)
    for sample in range(samples):
        question = Question(model, messages, f"call:{sample}", known_key=key)
        yield draw_brands(truth, seed, question).brands


def _brand_cells(
    truth: GroundTruth, prompt: UUID, answers: Sequence[Sequence[BrandDraw]]
) -> Iterator[BrandCell]:
    for at, brand in enumerate(truth.brands):
        found = [one for answer in answers for one in answer if one.brand == brand]
        if found:
            yield _brand_cell(prompt, UUID(int=at), found)


def _brand_cell(prompt: UUID, brand: UUID, found: Sequence[BrandDraw]) -> BrandCell:
    return BrandCell(
        surface="api",
        model=MODEL,
        prompt_id=prompt,
        brand_id=brand,
        named=len(found),
        recommended=sum(one.outcome is Outcome.RECOMMENDED for one in found),
        denied=sum(one.outcome is Outcome.DENIED for one in found),
        cited=0,
        link_only=0,
        mentions=len(found),
        rank_sum=sum(one.rank for one in found),
        list_rank_sum=0,
        list_ranked=0,
        sentiment_sum=sum(TONES[one.sentiment.value] for one in found),
        sentiments=len(found),
        citations=0,
        position_adjusted_words=0.0,
    )


def estimates(cells: Cells, brands: int) -> dict[str, list[Estimate]]:
    """Every metric of METRICS by brand, from a report of these cells."""
    ids = [UUID(int=at) for at in range(brands)]
    group = next(one for one in report_groups(cells, ids, {}) if one.model)
    found = {
        name: [brand.metrics[name] for brand in group.brands]
        for name in METRICS
        if name != "informative_rate"
    }
    return {**found, "informative_rate": [group.informative]}


def plain_wilson(estimate: Estimate) -> Estimate:
    """The same rate as if all answers were independent of each other."""
    value, size, z = estimate.value or 0.0, estimate.denominator, 1.959964
    middle, square = value + z * z / 2 / size, z * z / size
    half = z * sqrt(value * (1 - value) / size + square / 4 / size)
    bounds = ((middle + sign * half) / (1 + square) for sign in (-1, 1))
    return replace(estimate, low=next(bounds), high=next(bounds), method="wilson")


def study(design: Design, seeds: range) -> Mapping[str, tuple[Covered, Covered | None]]:
    """Each metric's coverage in a design, and plain Wilson's where it is a rate of answers."""
    truth = truth_with(design.correlation, design.named)
    brands, true = len(truth.brands), true_values(truth)
    reports = [
        estimates(drawn_cells(truth, seed, design.prompts, design.samples), brands)
        for seed in seeds
    ]
    return {
        name: (
            _covered(name, reports, true[name], lambda one: one),
            _covered(name, reports, true[name], plain_wilson) if name in RATES else None,
        )
        for name in METRICS
    }


def _covered(
    name: str,
    reports: Sequence[Mapping[str, Sequence[Estimate]]],
    true: Sequence[float],
    made: Callable[[Estimate], Estimate],
) -> Covered:
    by_brand, widths, missing = [], [], 0
    for at, value in enumerate(true):
        pairs = [(one.low, one.high) for one in (made(report[name][at]) for report in reports)]
        known = [(low, high) for low, high in pairs if low is not None and high is not None]
        missing += len(pairs) - len(known)
        widths += [high - low for low, high in known]
        # A bound at the end of the range may miss it by a rounding error.
        by_brand.append(sum(low - 1e-9 <= value <= high + 1e-9 for low, high in known) / len(known))
    return Covered(by_brand, sum(widths) / len(widths), missing / (len(true) * len(reports)))


def rows(seeds: range, named: float) -> Iterator[tuple[str, ...]]:
    """The table of brands named so many times as often as in the demo, as text."""
    for design in (one for one in DESIGNS if one.named == named):
        size = f"{design.prompts} x {design.samples}, {design.correlation:.1f}"
        for name, (ours, plain) in study(design, seeds).items():
            yield (
                *(size, name, *_shown(ours)),
                *(_shown(plain) if plain else ("", "", "")),
                f"{ours.missing:.3f}",
            )


def _shown(covered: Covered) -> tuple[str, str, str]:
    return f"{covered.mean:.3f}", f"{min(covered.by_brand):.3f}", f"{covered.width:.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="runs drawn for each design")
    seeds, begun = parser.parse_args().seeds, time.perf_counter()
    for named in sorted({design.named for design in DESIGNS}, reverse=True):
        print(f"Brands are named {named:g} times as often as in the demo\n")
        print(table([_HEADINGS, *rows(range(seeds), named)]), end="\n\n", flush=True)
    print(f"{seeds} runs of each design, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
