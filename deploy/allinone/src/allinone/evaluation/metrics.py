"""Hit rate, NDCG, coverage, and the paired bootstrap between two rankers on the same people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

TOP = 5
RESAMPLES = 5000
SEED = 20260101
SLICE = 1_000_000
"""Draws at a time."""
Ranking = Sequence[str]


@dataclass(frozen=True)
class Scores:
    """One figure a person, in the order of the people, and the share of campaigns shown."""

    hits: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    coverage: float


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def hit(ranking: Ranking, wanted: Collection[str], top: int = TOP) -> float:
    """1 if one of the first ``top`` is wanted, else 0."""
    return float(any(item in wanted for item in ranking[:top]))


def ndcg(ranking: Ranking, wanted: Collection[str], top: int = TOP) -> float:
    """Normalised discounted cumulative gain with gains of 0 and 1.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    gained = sum(1 / log2(at + 2) for at, item in enumerate(ranking[:top]) if item in wanted)
    best = sum(1 / log2(at + 2) for at in range(min(top, len(wanted))))
    return gained / best if best else 0.0


def scores(
    rankings: Sequence[Ranking], wanted: Sequence[Collection[str]], candidates: Collection[str]
) -> Scores:
    """Judge one ranking a person. ``coverage`` is the share of candidates shown to anybody."""
    pairs = list(zip(rankings, wanted, strict=True))
    shown = {item for ranking in rankings for item in ranking[:TOP]}
    return Scores(
        np.array([hit(*pair) for pair in pairs]),
        np.array([ndcg(*pair) for pair in pairs]),
        len(shown & set(candidates)) / len(candidates) if candidates else 0.0,
    )


def lift(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Interval:
    """The mean difference on the same people, by the percentile bootstrap over people.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. The same seed every time: the
    same figures give the same interval.
    """
    difference = ours - theirs
    low, high = np.quantile(_resampled(difference), (0.025, 0.975))
    return Interval(float(difference.mean()), float(low), float(high))


def _resampled(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each resample. Drawn in slices: of many people not all fit into memory."""
    draws, people = np.random.default_rng(SEED), len(difference)
    rows = max(1, SLICE // people)
    return np.concatenate(
        [
            difference[draws.integers(0, people, (min(rows, RESAMPLES - begun), people))].mean(1)
            for begun in range(0, RESAMPLES, rows)
        ]
    )


def by_popularity(counts: Mapping[str, int], exclude: Sequence[Collection[str]]) -> list[Ranking]:
    """What engaged most people first, without what a person knows; the same for all else."""
    order = sorted(counts, key=lambda item: (-counts[item], item))
    return [[item for item in order if item not in known] for known in exclude]
