"""Intervals against values worked out by hand or found in tables, and what they always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gateway.domain.intervals import (
    Floats,
    Kind,
    Method,
    Ratio,
    Resamples,
    bounds,
    correlations,
    divided,
    effective_size,
    expanded_tail,
    pooled_correlation,
    t_quantile,
    wilson,
)
from hypothesis import given, settings
from hypothesis import strategies as st

DRAWS = Resamples("a run", draws=2000)
CALM = settings(deadline=None)


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def column(*values: float) -> Floats:
    return array(*values)[:, None]


def ratio(
    kind: Kind,
    above: Floats,
    below: Floats,
    correlation: float = 0.0,
    least: float = 0.0,
    most: float = 1.0,
) -> Ratio:
    columns = above.shape[1]
    units = np.broadcast_to(below.sum(0), (columns,)).copy()
    known = np.full(columns, correlation)
    return Ratio(kind, above, below, below, units, known, least, most)


def interval(of: Ratio) -> tuple[float, float, Method]:
    found = bounds(of, DRAWS)
    return float(found.low[0]), float(found.high[0]), found.method[0]


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"),
    [
        (0, 5, 0.0, 0.4345),  # z^2 / (n + z^2) = 3.8415 / 8.8415
        (5, 5, 0.5655, 1.0),
        (1, 1, 0.2065, 1.0),
        (5, 10, 0.2366, 0.7634),
        (8, 10, 0.4902, 0.9433),
        (1, 30, 0.0059, 0.1667),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), Statistics in Medicine 17, 857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson(hits: int, size: int, low: float, high: float) -> None:
    found = wilson(array(hits / size), array(size))
    assert [float(bound[0]) for bound in found] == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize(
    ("degrees", "point"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (11, 2.201), (39, 2.023), (10**6, 1.960)],
)
def test_students_t(degrees: int, point: float) -> None:
    assert float(t_quantile(array(degrees))[0]) == pytest.approx(point, rel=2e-3)


def test_expanded_tails_are_those_of_hesterberg() -> None:
    # t of 9 degrees at 0.975 is 2.2622; times sqrt(10 / 9) it is 2.3845, left of which is 0.00855.
    assert expanded_tail(10) == pytest.approx(0.00855, abs=2e-5)
    assert expanded_tail(10_000) == pytest.approx(0.025, abs=1e-4)
    assert expanded_tail(5) < expanded_tail(6) < expanded_tail(40) < 0.025


def test_correlation_of_prompts_that_always_answer_alike_is_one() -> None:
    assert correlations(column(5, 0, 5), column(5, 5, 5), 0.5)[0] == pytest.approx(1.0)


def test_correlation_of_prompts_that_differ_no_more_than_answers_is_nought() -> None:
    assert correlations(column(2, 2, 2), column(4, 4, 4), 0.5)[0] == 0.0


def test_correlation_by_hand() -> None:
    # 3 of 4, 1 of 4: between (9/4 + 1/4 - 2) / 1 = 0.5, within (4 - 2.5) / 6 = 0.25,
    # (0.5 - 0.25) / (0.5 + 3 * 0.25) = 0.2.
    assert correlations(column(3, 1), column(4, 4), 0.5)[0] == pytest.approx(0.2)


def test_correlation_of_unequal_prompts_by_hand() -> None:
    # 2 of 2, 1 of 4: between (2 + 0.25 - 9/6) / 1 = 0.75, within (3 - 2.25) / 4 = 0.1875, mean
    # size (6 - 20/6) / 1 = 8/3: (0.75 - 0.1875) / (0.75 + 5/3 * 0.1875) = 0.5294.
    assert correlations(column(2, 1), column(2, 4), 0.5)[0] == pytest.approx(0.5294, abs=1e-4)


def test_correlation_is_pooled_but_not_below_the_own() -> None:
    hits = np.concatenate([column(4, 0), column(2, 2), column(0, 0)], axis=1)
    own = correlations(hits, column(4, 4), 0.9)
    # Between (8 - 4... = 2) and 0, within 0 and (4 - 2) / 6 = 1/3: (2 - 1/3) / (2 + 1) = 0.5556.
    assert own == pytest.approx([1.0, 0.5556, 0.5556], abs=1e-4)
    assert pooled_correlation(hits, column(4, 4), 0.9) == pytest.approx(0.5556, abs=1e-4)


@pytest.mark.parametrize("hits", [column(0, 0, 0), column(4, 4, 4)])
def test_correlation_is_the_default_where_nothing_varies(hits: Floats) -> None:
    assert correlations(hits, column(4, 4, 4), 0.7)[0] == 0.7
    assert pooled_correlation(hits, column(4, 4, 4), 0.7) == 0.7


@pytest.mark.parametrize(
    ("correlation", "size"), [(0.0, 60.0), (1.0, 12.0), (0.25, 30.0), (0.5, 20.0)]
)
def test_effective_size_is_kishs(correlation: float, size: float) -> None:
    of = ratio(Kind.RATE, np.zeros((12, 1)), np.full((12, 1), 5.0), correlation)
    assert effective_size(of)[0] == pytest.approx(size)


def test_effective_size_is_never_below_the_prompts() -> None:
    of = ratio(Kind.RATE, np.zeros((3, 1)), column(1, 1, 10), 1.0)
    assert 144 / 102 < 3  # what the formula alone would give
    assert effective_size(of)[0] == 3


def test_rates_of_prompts_asked_once_are_wilsons() -> None:
    low, high, method = interval(ratio(Kind.RATE, column(*[0] * 5), column(*[1] * 5)))
    assert (low, method) == (0.0, Method.WILSON)
    assert high == pytest.approx(0.4345, abs=5e-5)


@pytest.mark.parametrize("hits", [0.0, 5.0])
@pytest.mark.parametrize(("correlation", "size"), [(0.0, 60), (1.0, 12)])
def test_no_hits_or_all_hits_have_a_width(hits: float, correlation: float, size: int) -> None:
    of = ratio(Kind.RATE, np.full((12, 1), hits), np.full((12, 1), 5.0), correlation)
    low, high, method = interval(of)
    assert method is Method.EFFECTIVE_SIZE
    assert high - low == pytest.approx(1.959964**2 / (size + 1.959964**2))


@pytest.mark.parametrize("hit_prompts", [4, 36])
def test_few_hits_or_few_misses_are_not_bootstrapped(hit_prompts: int) -> None:
    hits = column(*[3] * hit_prompts, *[0] * (40 - hit_prompts))
    assert interval(ratio(Kind.RATE, hits, np.full((40, 1), 3.0)))[2] is Method.EFFECTIVE_SIZE


@pytest.mark.parametrize("hit_prompts", [5, 35])
def test_five_hits_and_misses_are_bootstrapped(hit_prompts: int) -> None:
    hits = column(*[3] * hit_prompts, *[0] * (40 - hit_prompts))
    assert interval(ratio(Kind.RATE, hits, np.full((40, 1), 3.0)))[2] is Method.BOOTSTRAP


def test_the_bootstrap_of_a_rate_is_as_wide_as_t_between_prompts() -> None:
    hits = column(*(at % 6 for at in range(60)))
    low, high, method = interval(ratio(Kind.RATE, hits, np.full((60, 1), 5.0)))
    error = float(np.std(hits / 5, ddof=1)) / math.sqrt(60)
    assert method is Method.BOOTSTRAP
    assert high - low == pytest.approx(2 * 2.001 * error, rel=0.08)


def test_the_bootstrap_of_a_share_is_a_ratio_of_sums() -> None:
    # Weighing each prompt's own ratio alike would give 0.7, far from 300 / 1020.
    above, below = column(*[10, 1] * 15, *[0] * 10), column(*[10, 25] * 15, *[50] * 10)
    low, high, method = interval(ratio(Kind.SHARE, above, below))
    assert method is Method.BOOTSTRAP
    assert low < 165 / 1025 < high < 0.4


def test_one_prompt_with_repeats_is_about_that_prompt() -> None:
    low, high, method = interval(ratio(Kind.RATE, column(0), column(5), 1.0))
    assert (low, method) == (0.0, Method.ONE_PROMPT)
    assert high == pytest.approx(0.4345, abs=5e-5)


def test_a_mean_of_few_prompts_is_students() -> None:
    # Prompt means 1, 2, 3 of two answers each: 2 -+ 4.303 / sqrt(3).
    of = ratio(Kind.MEAN, column(2, 4, 6), column(2, 2, 2), least=-10, most=math.inf)
    low, high, method = interval(of)
    assert method is Method.CLUSTER_T
    assert (low, high) == pytest.approx((2 - 2.4842, 2 + 2.4842), abs=1e-3)


def test_prompts_without_a_value_do_not_add_to_the_certainty_of_a_mean() -> None:
    few = ratio(Kind.MEAN, column(2, 4, 6), column(2, 2, 2), least=-10, most=math.inf)
    empty = np.zeros((30, 1))
    more = ratio(
        *(Kind.MEAN, np.concatenate([few.above, empty]), np.concatenate([few.below, empty])),
        *(0.0, -10, math.inf),
    )
    assert interval(more) == pytest.approx(interval(few))


@pytest.mark.parametrize(("prompts", "method"), [(9, Method.CLUSTER_T), (10, Method.BOOTSTRAP)])
def test_a_mean_is_bootstrapped_from_ten_prompts_on(prompts: int, method: Method) -> None:
    above = column(*(at + 1 for at in range(prompts)))
    of = ratio(Kind.MEAN, above, np.ones((prompts, 1)), least=1, most=math.inf)
    assert interval(of)[2] is method


def test_a_mean_of_one_observation_has_no_interval() -> None:
    of = ratio(Kind.MEAN, column(0, 0.5), column(0, 1), least=-1)
    low, high, method = interval(of)
    assert method is Method.NONE
    assert math.isnan(low)
    assert math.isnan(high)


def test_a_mean_without_spread_or_bound_has_no_interval() -> None:
    of = ratio(Kind.MEAN, column(3, 3, 3), column(3, 3, 3), least=1, most=math.inf)
    assert interval(of)[2] is Method.NONE
    alone = ratio(Kind.MEAN, column(7, 0), column(3, 0), least=1, most=math.inf)
    assert interval(alone)[2] is Method.NONE


def test_a_bounded_mean_without_spread_counts_as_a_share_of_its_range() -> None:
    of = ratio(Kind.MEAN, column(*[1] * 5), column(*[1] * 5), least=-1)
    low, high, method = interval(of)
    assert (high, method) == (1.0, Method.EFFECTIVE_SIZE)
    assert low == pytest.approx(1 - 2 * 0.4345, abs=1e-4)


def test_a_bounded_mean_of_one_prompt_is_about_that_prompt() -> None:
    low, high, method = interval(ratio(Kind.MEAN, column(0, 0), column(10, 0), least=-1))
    assert method is Method.ONE_PROMPT
    assert (low, high) == pytest.approx((2 * 0.2366 - 1, 2 * 0.7634 - 1), abs=2e-4)


def test_a_range_of_one_point_is_known() -> None:
    of = ratio(Kind.MEAN, column(1, 1), column(1, 1), least=1, most=1)
    assert interval(of)[:2] == (1.0, 1.0)


@pytest.mark.parametrize("kind", [Kind.SHARE, Kind.MEAN])
def test_nothing_to_divide_by_is_no_value(kind: Kind) -> None:
    of = ratio(kind, column(0, 0), column(0, 0))
    assert math.isnan(of.value[0])
    assert interval(of)[2] is Method.NONE


def test_draws_take_as_many_prompts_as_there_are() -> None:
    weights = DRAWS.weights(12)
    assert weights.shape == (12, 2000)
    assert set(weights.sum(axis=0).tolist()) == {12.0}
    # Each prompt is taken once on average; 6 standard errors are 6 * sqrt(11 / 12 / 2000).
    assert weights.mean(axis=1) == pytest.approx(np.ones(12), abs=0.13)


def test_draws_follow_from_the_key() -> None:
    assert np.array_equal(Resamples("a").weights(9), Resamples("a").weights(9))
    assert not np.array_equal(Resamples("a").weights(9), Resamples("b").weights(9))


def test_more_columns_than_at_once_are_each_their_own() -> None:
    luck = np.random.default_rng(1)
    below = np.full((30, 1), 4.0)
    above = luck.integers(0, 5, size=(30, 300)).astype(np.float64)
    together = bounds(ratio(Kind.RATE, above, below), DRAWS)
    for at in (0, 127, 128, 299):
        alone = interval(ratio(Kind.RATE, above[:, [at]], below))
        assert alone[:2] == pytest.approx((together.low[at], together.high[at]), abs=1e-6)


def test_a_draw_without_anything_to_divide_by_is_left_at_the_value() -> None:
    # About 13 of 2000 draws take none of the five prompts: neither an error nor a bound of 0.
    above, below = np.zeros((200, 1)), np.zeros((200, 1))
    above[:5, 0], below[:5, 0] = (4, 4, 5, 6, 6), 10
    low, high, method = interval(ratio(Kind.SHARE, above, below))
    assert method is Method.BOOTSTRAP
    assert 0.4 <= low + 1e-6 < 0.5 < high - 1e-6 <= 0.6


def test_division_by_nought_is_not_a_number() -> None:
    assert divided(array(1, 4), array(0, 2)).tolist() == pytest.approx([math.nan, 2], nan_ok=True)


Prompts = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=30)


@CALM
@given(prompts=Prompts, correlation=st.floats(0, 1), kind=st.sampled_from([Kind.RATE, Kind.SHARE]))
def test_bounds_of_proportions_enclose_the_value_and_stay_between_0_and_1(
    prompts: list[tuple[int, int]], correlation: float, kind: Kind
) -> None:
    above = column(*(min(hits, answers) for hits, answers in prompts))
    of = ratio(kind, above, column(*(answers for _, answers in prompts)), correlation)
    low, high, method = interval(of)
    assert method is not Method.NONE
    assert 0 <= low <= of.value[0] <= high <= 1
    assert low < high


@CALM
@given(
    prompts=st.lists(st.lists(st.integers(-4, 4), max_size=5), min_size=1, max_size=30),
    bounded=st.booleans(),
)
def test_bounds_of_means_enclose_the_value_and_stay_in_range(
    prompts: list[list[int]], bounded: bool
) -> None:
    above = column(*(sum(values) / 4 for values in prompts))
    below = column(*(len(values) for values in prompts))
    of = ratio(Kind.MEAN, above, below, 0.5, -1, 1 if bounded else math.inf)
    low, high, method = interval(of)
    if method is Method.NONE:
        assert below.sum() <= 1 or not bounded
    else:
        assert -1 <= low <= of.value[0] <= high <= of.most
        assert low < high


@CALM
@given(prompts=Prompts, correlation=st.floats(0, 1))
def test_effective_size_is_between_prompts_and_answers(
    prompts: list[tuple[int, int]], correlation: float
) -> None:
    below = column(*(answers for _, answers in prompts))
    size = effective_size(ratio(Kind.RATE, np.zeros_like(below), below, correlation))[0]
    assert len(prompts) <= size + 1e-9
    assert size <= below.sum() + 1e-9


@CALM
@given(size=st.integers(1, 10_000), hits=st.integers(0, 10_000))
def test_more_answers_make_wilson_narrower(size: int, hits: int) -> None:
    share = array(min(hits, size) / size)
    few, many = wilson(share, array(size)), wilson(share, array(size * 2))
    assert few[0] <= many[0] <= share <= many[1] <= few[1]
