"""How surely a ratio is known: 95 % intervals whose unit is the prompt, not the answer.

Repeats of a prompt resemble each other, so that answers are not independent; prompts are, as a
sample of all prompts that might have been asked. One call makes the intervals of one metric for
all brands. Shapes: ``prompts`` rows, one column for each brand. What follows what:

- **wilson**: every prompt was asked once, so that answers are independent: score interval
  (Wilson 1927).
- **cluster-bootstrap**: prompts are drawn anew with all their answers, the ratio of sums is taken
  each time; the tails are those of Hesterberg's expanded percentile interval (2015), because the
  plain one is too narrow for few prompts.
- **wilson-effective-size**: where a bootstrap would lie, as no or nearly no prompt differs from
  the others (0 hits have a bootstrap of width 0): Wilson with the number of answers divided by
  Kish's design effect. Franco, Little, Louis and Slud (2019, J. Surv. Stat. Methodol. 7, 334)
  recommend this, with a modelled design effect, for proportions in clusters.
- **cluster-t**: a mean that few prompts contribute to: Student's t on the linearised variance
  between prompts (Cochran 1977, Sampling Techniques).
- **wilson-one-prompt**: only one prompt to go by: how sure this prompt's own value is.
- **none**: nothing to judge by.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
DRAWS = 2000
FEW_SPLITS = 5
"""So many prompts must have a hit, and so many a miss, for a bootstrap of a proportion."""
FEW_PROMPTS = 10
"""So many prompts must contribute for a bootstrap of a mean."""

_TAIL = (1 - CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(1 - _TAIL)
_COLUMNS_AT_ONCE = 128
_NO_SPREAD = 1e-9

Floats = NDArray[np.float64]


class Method(StrEnum):
    """How an interval was made."""

    WILSON = "wilson"
    ONE_PROMPT = "wilson-one-prompt"
    EFFECTIVE_SIZE = "wilson-effective-size"
    BOOTSTRAP = "cluster-bootstrap"
    CLUSTER_T = "cluster-t"
    NONE = "none"


class Kind(StrEnum):
    """What is divided by what, which decides how its interval is made.

    A ``RATE`` is a share of answers, each of which counts 0 or 1. A ``SHARE`` is any other ratio
    between 0 and 1. A ``MEAN`` is over answers that have a value.
    """

    RATE = "rate"
    SHARE = "share"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio with what it was made from; ``low`` to ``high`` is its interval, of its own unit.

    ``value`` is None where the denominator is 0, the bounds are None where ``method`` is "none".
    """

    value: float | None
    numerator: float | int
    denominator: float | int
    low: float | None
    high: float | None
    method: str
    confidence: float = CONFIDENCE


@dataclass(frozen=True, slots=True)
class Ratio:
    """The sums by prompt whose ratio is wanted, with what is known about them.

    Attributes:
        above: The numerators, (prompts, columns).
        below: The denominators, (prompts, columns), or (prompts, 1) if all columns share them.
        sizes: Answers by prompt that could count, of the shape of ``below``.
        units: How many answers, or things in them, a Wilson interval may count on: (columns,).
        correlation: Between answers to one prompt, 0 to 1: (columns,). See ``correlations``.
        least: No single value is below it.
        most: No single value is above it; infinite if nothing bounds it.
    """

    kind: Kind
    above: Floats
    below: Floats
    sizes: Floats
    units: Floats
    correlation: Floats
    least: float = 0.0
    most: float = 1.0

    @property
    def value(self) -> Floats:
        """The ratio of sums, (columns,); not a number where there is nothing to divide by."""
        return divided(self.above.sum(0), np.broadcast_to(self.below.sum(0), self.units.shape))

    def only(self, at: NDArray[np.intp]) -> Ratio:
        """The same for some of the columns."""
        shared = self.below.shape[1] == 1
        return replace(
            self,
            above=self.above[:, at],
            below=self.below if shared else self.below[:, at],
            sizes=self.sizes if self.sizes.shape[1] == 1 else self.sizes[:, at],
            units=self.units[at],
            correlation=self.correlation[at],
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Intervals of all columns; not a number where the method is none."""

    low: Floats
    high: Floats
    method: tuple[Method, ...]


class Resamples:
    """Which prompts each bootstrap draw takes.

    They follow from the key and the number of prompts alone: the same report always has the same
    bounds, and groups of equal size share their draws.
    """

    def __init__(self, key: str, draws: int = DRAWS) -> None:
        self._key = key
        self._draws = draws
        self._made: dict[int, NDArray[np.float32]] = {}

    def weights(self, prompts: int) -> NDArray[np.float32]:
        """How often each draw takes each prompt, (prompts, draws); columns sum to ``prompts``."""
        if prompts not in self._made:
            self._made[prompts] = self._drawn(prompts)
        return self._made[prompts]

    def _drawn(self, prompts: int) -> NDArray[np.float32]:
        seed = hashlib.sha256(f"{self._key}\n{prompts}".encode()).digest()
        luck = np.random.default_rng(int.from_bytes(seed, "big"))
        taken = luck.integers(prompts, size=(self._draws, prompts), dtype=np.int64)
        taken += np.arange(self._draws)[:, None] * prompts
        counts = np.bincount(taken.ravel(), minlength=self._draws * prompts)
        # 32 bits hold every count up to 16 million exactly, at twice the speed.
        return np.ascontiguousarray(counts.reshape(self._draws, prompts).T, dtype=np.float32)


def bounds(ratio: Ratio, resamples: Resamples) -> Bounds:
    """The intervals of every column, by the method that fits it; they enclose the value."""
    method, value = _CHOICES[ratio.kind](ratio), ratio.value
    low, high = np.full((2, *value.shape), np.nan)
    for name, make in _MAKERS.items():
        at = np.flatnonzero(method == name)
        if at.size:
            low[at], high[at] = make(ratio.only(at), resamples)
    low = np.minimum(np.maximum(low, ratio.least), value)
    high = np.maximum(np.minimum(high, ratio.most), value)
    return Bounds(low, high, tuple(Method(name) for name in method))


def wilson(share: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Score interval of a proportion between 0 and 1 of ``size`` > 0 independent trials.

    Wilson (1927), JASA 22, 209. Takes and gives arrays of one shape.
    """
    square = _Z * _Z / size
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(share * (1 - share) / size * _Z**2 + square * square / 4) / (1 + square)
    # At 0 and at 1 a bound is the share itself, but for a rounding error.
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)


def correlations(hits: Floats, answers: Floats, default: float) -> Floats:
    """Intra-class correlation of 0 or 1 within prompts, for each column, 0 to 1.

    By analysis of variance (Donner 1986, Int. Stat. Review 54, 67), pooled over the columns, as
    one brand alone has too few hits to tell; but never less than the column's own, as brands
    differ. ``default`` where no column has any spread. ``hits`` is (prompts, columns), ``answers``
    (prompts, 1).
    """
    between, within, size = _mean_squares(hits, answers)
    pooled = _correlation(between.sum(keepdims=True), within.sum(keepdims=True), size)
    own = _correlation(between, within, size)
    return np.fmax(own, np.nan_to_num(pooled, nan=default))


def pooled_correlation(hits: Floats, answers: Floats, default: float) -> float:
    """The same over all columns together, without regard to a single one."""
    between, within, size = _mean_squares(hits, answers)
    pooled = _correlation(between.sum(keepdims=True), within.sum(keepdims=True), size)
    return float(np.nan_to_num(pooled, nan=default)[0])


def effective_size(ratio: Ratio) -> Floats:
    """Units divided by Kish's design effect 1 + (n' - 1) * correlation, (columns,).

    n' is the mean size of a prompt, weighted by size (Kish 1965, Survey Sampling). Never more than
    the units, never less than the prompts (or the units, if there are fewer).
    """
    size = divided((ratio.sizes**2).sum(0), ratio.sizes.sum(0))
    effective = ratio.units / (1 + np.maximum(size - 1, 0) * ratio.correlation)
    least = np.minimum((ratio.sizes > 0).sum(0), ratio.units)
    return np.asarray(np.maximum(effective, least), dtype=np.float64)


def t_quantile(degrees: Floats) -> Floats:
    """The 97.5 % point of Student's t for whole degrees of freedom from 1 on.

    Exact for 1 and 2, else Abramowitz and Stegun 26.7.5 (within 0.2 %).
    """
    z, square = _Z, _Z * _Z
    terms = (
        z * (square + 1) / 4,
        z * ((5 * square + 16) * square + 3) / 96,
        z * (((3 * square + 19) * square + 17) * square - 15) / 384,
        z * ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92160,
    )
    expanded = z + sum(term / degrees ** (at + 1) for at, term in enumerate(terms))
    first, second = (
        math.tan(math.pi * CONFIDENCE / 2),
        CONFIDENCE * math.sqrt(2 / (1 - CONFIDENCE**2)),
    )
    return np.select([degrees <= 1, degrees <= 2], [first, second], expanded)


@lru_cache(maxsize=4096)
def expanded_tail(prompts: int) -> float:
    """Which quantile of the bootstrap is the lower bound, for so many (2 or more) prompts.

    Hesterberg (2015), The American Statistician 69, 371: the percentile interval
    lacks the factor n / (n - 1) of the variance and the t of few degrees of freedom.
    """
    t = float(t_quantile(np.array([prompts - 1.0]))[0])
    return NormalDist().cdf(-math.sqrt(prompts / (prompts - 1)) * t)


def divided(above: Floats, below: Floats) -> Floats:
    """Above by below; not a number where below is 0."""
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def _mean_squares(hits: Floats, answers: Floats) -> tuple[Floats, Floats, float]:
    """Mean squares between and within prompts, (columns,), and the size for unequal prompts."""
    prompts, total = len(hits), float(answers.sum())
    if prompts < 2 or total <= prompts:
        nothing = np.zeros(hits.shape[1])
        return nothing, nothing, 1.0
    explained = (hits**2 / answers).sum(0)
    between = (explained - hits.sum(0) ** 2 / total) / (prompts - 1)
    within = (hits.sum(0) - explained) / (total - prompts)
    return between, within, (total - float((answers**2).sum()) / total) / (prompts - 1)


def _correlation(between: Floats, within: Floats, size: float) -> Floats:
    return np.clip(divided(between - within, between + (size - 1) * within), 0, 1)


def _rate_methods(ratio: Ratio) -> NDArray[np.str_]:
    if ratio.below.max() <= 1:
        return np.full(ratio.units.shape, Method.WILSON.value)
    return _share_methods(ratio)


def _share_methods(ratio: Ratio) -> NDArray[np.str_]:
    hits, misses = (ratio.above > 0).sum(0), (ratio.above < ratio.below).sum(0)
    prompts = np.broadcast_to((ratio.below > 0).sum(0), hits.shape)
    return np.select(
        [prompts == 0, prompts == 1, np.minimum(hits, misses) < FEW_SPLITS],
        [Method.NONE.value, Method.ONE_PROMPT.value, Method.EFFECTIVE_SIZE.value],
        Method.BOOTSTRAP.value,
    )


def _mean_methods(ratio: Ratio) -> NDArray[np.str_]:
    """A mean whose values do not differ has an interval only if something bounds them."""
    prompts = (ratio.below > 0).sum(0)
    same = ~(_standard_error(ratio) > _NO_SPREAD)
    unknown = (ratio.below.sum(0) <= 1) | (same & math.isinf(ratio.most))
    return np.select(
        [unknown, prompts == 1, same, prompts < FEW_PROMPTS],
        [
            *(Method.NONE.value, Method.ONE_PROMPT.value),
            *(Method.EFFECTIVE_SIZE.value, Method.CLUSTER_T.value),
        ],
        Method.BOOTSTRAP.value,
    )


def _standard_error(ratio: Ratio) -> Floats:
    """Of a ratio of sums over prompts, linearised; 0 where fewer than two contribute."""
    rest = ratio.above - np.nan_to_num(ratio.value) * ratio.below
    prompts = (ratio.below > 0).sum(0)
    variance = (rest**2).sum(0) * divided(prompts * 1.0, np.maximum(prompts - 1.0, 0))
    return np.nan_to_num(divided(np.sqrt(variance), ratio.below.sum(0)))


def _plain(ratio: Ratio, _: Resamples) -> tuple[Floats, Floats]:
    return _scaled_wilson(ratio, ratio.units)


def _effective(ratio: Ratio, _: Resamples) -> tuple[Floats, Floats]:
    return _scaled_wilson(ratio, effective_size(ratio))


def _scaled_wilson(ratio: Ratio, size: Floats) -> tuple[Floats, Floats]:
    """Of a value between ``least`` and ``most``: none of them varies more than 0 and 1 do."""
    span = ratio.most - ratio.least
    share = (ratio.value - ratio.least) / span if span else np.zeros_like(size)
    low, high = wilson(np.clip(share, 0, 1), size)
    return ratio.least + span * low, ratio.least + span * high


def _cluster_t(ratio: Ratio, _: Resamples) -> tuple[Floats, Floats]:
    degrees = (ratio.below > 0).sum(0) - 1.0
    half = t_quantile(degrees) * _standard_error(ratio)
    return ratio.value - half, ratio.value + half


def _bootstrap(ratio: Ratio, resamples: Resamples) -> tuple[Floats, Floats]:
    """Some columns at a time, so that memory does not grow with the brands."""
    columns, weights = ratio.units.size, resamples.weights(len(ratio.above))
    parts = [
        _percentiles(ratio.only(np.arange(at, min(at + _COLUMNS_AT_ONCE, columns))), weights)
        for at in range(0, columns, _COLUMNS_AT_ONCE)
    ]
    low, high = np.concatenate(parts, axis=1)
    return low, high


def _percentiles(ratio: Ratio, weights: NDArray[np.float32]) -> Floats:
    below = ratio.below.T.astype(np.float32) @ weights
    drawn = ratio.above.T.astype(np.float32) @ weights
    # A draw that took no prompt with the brand says nothing: it is left at the value.
    value = np.broadcast_to(ratio.value[:, None].astype(np.float32), drawn.shape)
    drawn = np.where(below > 0, np.divide(drawn, np.maximum(below, 1e-30)), value)
    drawn.sort(axis=1)
    prompts = np.broadcast_to((ratio.below > 0).sum(0), ratio.units.shape)
    tail = np.array([expanded_tail(int(count)) for count in prompts])
    return np.stack([_quantile(drawn, tail), -_quantile(-drawn[:, ::-1], tail)])


def _quantile(ordered: NDArray[np.float32], tail: Floats) -> Floats:
    """The quantile of each row, at place tail * (draws + 1), between its two neighbours."""
    draws = ordered.shape[1]
    place = np.clip(tail * (draws + 1) - 1, 0, draws - 1)
    before = place.astype(np.intp)
    after, rows = np.minimum(before + 1, draws - 1), np.arange(len(ordered))
    first, second = ordered[rows, before], ordered[rows, after]
    return np.asarray(first + (place - before) * (second - first), dtype=np.float64)


_CHOICES: dict[Kind, Callable[[Ratio], NDArray[np.str_]]] = {
    Kind.RATE: _rate_methods,
    Kind.SHARE: _share_methods,
    Kind.MEAN: _mean_methods,
}
_MAKERS: dict[Method, Callable[[Ratio, Resamples], tuple[Floats, Floats]]] = {
    Method.WILSON: _plain,
    Method.ONE_PROMPT: _plain,
    Method.EFFECTIVE_SIZE: _effective,
    Method.BOOTSTRAP: _bootstrap,
    Method.CLUSTER_T: _cluster_t,
}
