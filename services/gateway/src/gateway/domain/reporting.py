"""Reports from cells: the metrics of every group of answers, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from gateway.domain.cells import AnswerCell, BrandCell, Cells
from gateway.domain.intervals import (
    Bounds,
    Estimate,
    Floats,
    Kind,
    Ratio,
    Resamples,
    bounds,
    correlations,
    pooled_correlation,
)
from gateway.domain.metrics import BRAND_METRICS, INFORMATIVE_RATE, Metric, Total

ALL_SURFACES = "all"
_SUMS = (
    *("named", "recommended", "denied", "cited", "link_only", "mentions", "rank_sum"),
    *("list_rank_sum", "list_ranked", "sentiment_sum", "sentiments", "citations"),
    "position_adjusted_words",
)
_FRACTIONS = {"sentiment_sum", "position_adjusted_words"}
_UNKNOWN_CORRELATION = 1.0  # nothing is known: repeats may tell no more than one answer

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class BrandMetrics:
    """A brand in a group: every metric of ``BRAND_METRICS`` by its id."""

    brand_id: UUID
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Group:
    """Answers of one surface, of one model or (None) all, to prompts of one tag or (None) all.

    ``prompts`` counts those that were answered at all, ``citations`` the pages cited, whoever's.
    """

    surface: str
    model: str | None
    tag: str | None
    answers: int
    prompts: int
    citations: int
    informative: Estimate
    brands: tuple[BrandMetrics, ...]


def report_groups(
    cells: Cells,
    brands: Sequence[UUID],
    tags_by_prompt: Mapping[UUID, Sequence[str]],
    *,
    pool_surfaces: bool = False,
    run_key: str = "",
) -> tuple[Group, ...]:
    """Groups by surface, surface x model, surface x tag and surface x tag x model.

    Ordered by surface; in it all tags before each tag, in each all models before each model.
    Surfaces are different products and never pooled, unless asked: then the surface is "all".
    Where models are pooled a prompt is still one unit, over all its models. ``brands`` are all
    that were tracked, in the order wanted: shares of voice are among them. ``run_key`` seeds the
    bootstrap, e.g. the run's id.

    Raises:
        ValueError: a brand's cell is of no brand in ``brands``, or of answers that have no cell.
    """
    table = _Table(cells, brands, pool_surfaces)
    resamples = Resamples(run_key)
    made: dict[bytes, Group] = {}
    return tuple(
        _group(key, table, table.wanted(key, tags_by_prompt), resamples, made)
        for key in _keys(table, tags_by_prompt)
    )


class _Key(NamedTuple):
    surface: str
    tag: str | None
    model: str | None


def _keys(table: _Table, tags_by_prompt: Mapping[UUID, Sequence[str]]) -> Iterator[_Key]:
    """Every group that has an answer."""
    found = {
        _Key(surface, tag, model)
        for surface, asked, prompt in table.asked
        for tag in (None, *tags_by_prompt.get(prompt, ()))
        for model in (None, asked)
    }
    yield from sorted(found, key=_place)


def _place(key: _Key) -> tuple[str, bool, str, bool, str]:
    tagged, modelled = key.tag is not None, key.model is not None
    return (key.surface, tagged, key.tag or "", modelled, key.model or "")


class _Table:
    """The cells as arrays, each row with the places of its surface, model, prompt and brand."""

    def __init__(self, cells: Cells, brands: Sequence[UUID], pool_surfaces: bool) -> None:
        self._pooled = pool_surfaces
        answers = [cell for cell in cells.answers if cell.answers]
        self.prompts = sorted({cell.prompt_id for cell in answers})
        self._sources = sorted({(cell.surface, cell.model) for cell in answers})
        self.brands = tuple(brands)
        self._brand_place = {brand.int: at for at, brand in enumerate(brands)}
        if len(self._brand_place) != len(brands):
            raise ValueError("a brand comes twice")
        # By number: ids are hashed and compared in Python, which is most of the time of loading.
        self._prompt_at = {prompt.int: at for at, prompt in enumerate(self.prompts)}
        self._source_at = {source: at for at, source in enumerate(self._sources)}
        self._load(answers, cells.brands)

    def _load(self, answers: Sequence[AnswerCell], brands: Sequence[BrandCell]) -> None:
        self._answers = _numbers(answers, ("answers", "informative", "citations"))
        self._answer_at = self._placed(answers)
        self._known = set(self._answer_at.tolist())
        at = self._placed(brands)
        if unknown := set(np.unique(at).tolist()) - self._known:
            raise ValueError(f"{len(unknown)} brand cells are of answers that have no cell")
        # By model and prompt, so that sums of fractions do not depend on the order of the cells.
        order = np.argsort(at, kind="stable")
        self._numbers = _numbers(brands, _SUMS)[:, order]
        self._cell_at = at[order]
        self._brand_at = self._owners(brands)[order]

    def _placed(self, cells: Sequence[AnswerCell] | Sequence[BrandCell]) -> Places:
        """Source * prompts + prompt, of each cell."""
        many, none = len(self.prompts), -1 - len(self.prompts)
        places = (
            self._source_at.get((cell.surface, cell.model), none) * many
            + self._prompt_at.get(cell.prompt_id.int, none)
            for cell in cells
        )
        return np.fromiter(places, dtype=np.intp, count=len(cells))

    def _owners(self, cells: Sequence[BrandCell]) -> Places:
        try:
            return np.fromiter(
                (self._brand_place[cell.brand_id.int] for cell in cells), dtype=np.intp
            )
        except KeyError as error:
            raise ValueError(
                f"a cell is of brand {UUID(int=error.args[0])}, not tracked"
            ) from error

    @property
    def asked(self) -> Iterator[tuple[str, str, UUID]]:
        """Surface, model and prompt of everything that was answered."""
        for place in self._known:
            source, prompt = divmod(place, len(self.prompts))
            yield (*self._shown(self._sources[source]), self.prompts[prompt])

    def _shown(self, source: tuple[str, str]) -> tuple[str, str]:
        return (ALL_SURFACES, source[1]) if self._pooled else source

    def wanted(self, key: _Key, tags_by_prompt: Mapping[UUID, Sequence[str]]) -> NDArray[np.bool_]:
        """Which sources * prompts belong to a group."""
        sources = [self._shown(source) for source in self._sources]
        in_source = [
            surface == key.surface and key.model in (None, model) for surface, model in sources
        ]
        in_tag = [
            key.tag is None or key.tag in tags_by_prompt.get(prompt, ()) for prompt in self.prompts
        ]
        return np.outer(in_source, in_tag).ravel()

    def sums(self, wanted: NDArray[np.bool_]) -> _Sums:
        """What the answers of a group add up to, prompt by prompt."""
        answers, cells = wanted[self._answer_at], wanted[self._cell_at]
        prompts, places = np.unique(
            self._answer_at[answers] % len(self.prompts), return_inverse=True
        )
        local = np.searchsorted(prompts, self._cell_at[cells] % len(self.prompts))
        return _Sums(
            totals=_added(self._answers[:, answers], places, len(prompts)),
            places=local * len(self.brands) + self._brand_at[cells],
            numbers=self._numbers[:, cells],
            shape=(len(prompts), len(self.brands)),
        )


def _numbers(cells: Sequence[AnswerCell] | Sequence[BrandCell], names: tuple[str, ...]) -> Floats:
    """The named fields of the cells, (names, cells)."""
    rows = np.fromiter(
        map(attrgetter(*names), cells), dtype=np.dtype((np.float64, len(names))), count=len(cells)
    )
    return np.ascontiguousarray(rows.T)


def _added(rows: Floats, places: Places, size: int) -> Floats:
    return np.stack([np.bincount(places, weights=row, minlength=size) for row in rows])


@dataclass(frozen=True)
class _Sums:
    """Sums of one group. ``places`` is where in (prompts, brands) each of the cells belongs."""

    totals: Floats
    places: Places
    numbers: Floats
    shape: tuple[int, int]

    def of(self, name: str) -> Floats:
        """A field of the brands' cells, (prompts, brands)."""
        row = self.numbers[_SUMS.index(name)]
        flat = np.bincount(self.places, weights=row, minlength=math.prod(self.shape))
        return np.asarray(flat.reshape(self.shape), dtype=np.float64)

    @cached_property
    def total(self) -> Mapping[Total, Floats]:
        """What all brands share, (prompts, 1) each."""
        answers, _, citations = self.totals[:, :, None]
        return {
            Total.ANSWERS: answers,
            Total.CITATIONS: citations,
            Total.NAMINGS: self.of("named").sum(1, keepdims=True),
            Total.MENTIONS: self.of("mentions").sum(1, keepdims=True),
        }

    @cached_property
    def naming(self) -> Floats:
        """How much repeats agree on whom they name, by brand."""
        return correlations(self.of("named"), self.total[Total.ANSWERS], _UNKNOWN_CORRELATION)

    @cached_property
    def pooled_naming(self) -> float:
        """The same over all brands."""
        answers = self.total[Total.ANSWERS]
        return pooled_correlation(self.of("named"), answers, _UNKNOWN_CORRELATION)


def _group(
    key: _Key,
    table: _Table,
    wanted: NDArray[np.bool_],
    resamples: Resamples,
    made: dict[bytes, Group],
) -> Group:
    """A group; the same answers under another name (one model, one tag) are computed once."""
    answers = wanted.tobytes()
    if answers not in made:
        made[answers] = _computed(key, table.brands, table.sums(wanted), resamples)
    return replace(made[answers], surface=key.surface, model=key.model, tag=key.tag)


def _computed(key: _Key, brands: Sequence[UUID], sums: _Sums, resamples: Resamples) -> Group:
    columns = {metric.id: _column(metric, sums, resamples) for metric in BRAND_METRICS}
    answers, _, citations = sums.totals.sum(1)
    return Group(
        surface=key.surface,
        model=key.model,
        tag=key.tag,
        answers=int(answers),
        prompts=sums.shape[0],
        citations=int(citations),
        informative=_informative(sums, resamples),
        brands=tuple(
            BrandMetrics(brand, {name: column[at] for name, column in columns.items()})
            for at, brand in enumerate(brands)
        ),
    )


def _informative(sums: _Sums, resamples: Resamples) -> Estimate:
    ratio = _ratio(INFORMATIVE_RATE, sums, sums.totals[1][:, None])
    return _estimates(ratio, bounds(ratio, resamples), whole=True)[0]


def _column(metric: Metric, sums: _Sums, resamples: Resamples) -> list[Estimate]:
    """One metric of every brand of a group."""
    ratio = _ratio(metric, sums, sums.of(metric.numerator))
    whole = metric.numerator not in _FRACTIONS
    return _estimates(ratio, bounds(ratio, resamples), whole=whole)


def _ratio(metric: Metric, sums: _Sums, above: Floats) -> Ratio:
    answers, brands = sums.total[Total.ANSWERS], above.shape[1]
    if isinstance(metric.denominator, Total):
        below, sizes = sums.total[metric.denominator], answers
        units = np.full(brands, min(sums.total[one].sum() for one in metric.units))
    else:
        below = sizes = sums.of(metric.denominator)
        units = below.sum(0)
    return Ratio(
        kind=metric.kind,
        above=above,
        below=below,
        sizes=sizes,
        units=units,
        correlation=_correlation(metric, sums, above),
        least=metric.least,
        most=_most(metric, sums.shape[1]),
    )


def _correlation(metric: Metric, sums: _Sums, above: Floats) -> Floats:
    """Of what the metric counts, if that is answers; else of being named, the best there is."""
    if metric.kind is Kind.RATE:
        return correlations(above, sums.total[Total.ANSWERS], sums.pooled_naming)
    return sums.naming


def _most(metric: Metric, brands: int) -> float:
    if metric.id == "mean_rank":  # no answer can name more brands than are tracked
        return float(brands)
    return math.inf if metric.most is None else metric.most


def _estimates(ratio: Ratio, found: Bounds, *, whole: bool) -> list[Estimate]:
    above = ratio.above.sum(0)
    below = np.broadcast_to(ratio.below.sum(0), above.shape)
    rows = zip(
        *(ratio.value.tolist(), above.tolist(), below.tolist()),
        *(found.low.tolist(), found.high.tolist(), found.method),
        strict=True,
    )
    return [
        Estimate(
            value=_known(value),
            numerator=int(top) if whole else top,
            denominator=int(bottom),
            low=_known(low),
            high=_known(high),
            method=method,
        )
        for value, top, bottom, low, high, method in rows
    ]


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
