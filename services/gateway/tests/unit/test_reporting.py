"""Reports from cells: what groups there are, what they add up to, and what never changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest
from gateway.domain.cells import AnswerCell, BrandCell, Cells
from gateway.domain.intervals import Estimate, Method
from gateway.domain.metrics import BRAND_METRICS
from gateway.domain.reporting import ALL_SURFACES, BrandMetrics, Group, report_groups
from gateway.schemas.estimates import group_view
from hypothesis import given, settings
from hypothesis import strategies as st

BRANDS = tuple(UUID(int=100 + at) for at in range(3))
PROMPTS = tuple(UUID(int=at) for at in range(8))
TAGS = {prompt: ("even",) if at % 2 == 0 else ("odd", "rare") for at, prompt in enumerate(PROMPTS)}
NONE = {field.name: 0 for field in fields(BrandCell)[4:]}
IDS = [metric.id for metric in BRAND_METRICS]
CALM = settings(max_examples=50, deadline=None)


def answered(
    prompt: int, answers: int, *, surface: str = "api", model: str = "m", informative: int = 0
) -> AnswerCell:
    return AnswerCell(surface, model, PROMPTS[prompt], answers, informative, 0)


def found(
    prompt: int, brand: int = 0, *, surface: str = "api", model: str = "m", **sums: Any
) -> BrandCell:
    empty = BrandCell(surface, model, PROMPTS[prompt], BRANDS[brand], *NONE.values())
    return replace(empty, **sums)


def report(answers: Sequence[AnswerCell], brands: Sequence[BrandCell] = ()) -> tuple[Group, ...]:
    return report_groups(Cells(tuple(answers), tuple(brands)), BRANDS, TAGS, run_key="run")


def pooled(groups: Sequence[Group], surface: str = "api") -> Group:
    return next(one for one in groups if (one.surface, one.model, one.tag) == (surface, None, None))


def metric(group: Group, name: str, brand: int = 0) -> Estimate:
    assert group.brands[brand].brand_id == BRANDS[brand]
    return group.brands[brand].metrics[name]


def test_every_metric_is_its_ratio() -> None:
    sums: dict[str, Any] = {
        "named": 4,
        "recommended": 2,
        "denied": 1,
        "cited": 3,
        "link_only": 1,
        "mentions": 9,
        "rank_sum": 6,
        "list_rank_sum": 5,
        "list_ranked": 2,
        "sentiment_sum": 1.5,
        "sentiments": 3,
        "citations": 2,
        "position_adjusted_words": 0.5,
    }
    cell = AnswerCell("api", "m", PROMPTS[0], 8, 6, 10)
    group = pooled(report([cell], [found(0, **sums), found(0, 1, named=6, mentions=11)]))
    assert (group.answers, group.prompts, group.citations) == (8, 1, 10)
    assert (group.informative.numerator, group.informative.denominator) == (6, 8)
    ratios = {
        name: (one.numerator, one.denominator) for name, one in group.brands[0].metrics.items()
    }
    assert ratios == {
        "visibility_rate": (4, 8),
        "share_of_voice_by_answers": (4, 10),
        "share_of_voice_by_mentions": (9, 20),
        "mean_rank": (6, 4),
        "mean_list_rank": (5, 2),
        "recommended_rate": (2, 8),
        "denied_rate": (1, 8),
        "cited_rate": (3, 8),
        "link_only_rate": (1, 8),
        "sentiment": (1.5, 3),
        "citation_share": (2, 10),
        "position_adjusted_words": (0.5, 8),
    }
    assert all(
        one.value == one.numerator / one.denominator for one in group.brands[0].metrics.values()
    )


def test_groups_are_by_surface_model_and_tag() -> None:
    cells = [
        *(answered(0, 1), answered(1, 2), answered(1, 4, model="n")),
        answered(0, 8, surface="web"),
    ]
    shown = [(one.surface, one.model, one.tag, one.answers, one.prompts) for one in report(cells)]
    assert shown == [
        *(("api", None, None, 7, 2), ("api", "m", None, 3, 2), ("api", "n", None, 4, 1)),
        *(("api", None, "even", 1, 1), ("api", "m", "even", 1, 1)),
        *(("api", None, "odd", 6, 1), ("api", "m", "odd", 2, 1), ("api", "n", "odd", 4, 1)),
        *(("api", None, "rare", 6, 1), ("api", "m", "rare", 2, 1), ("api", "n", "rare", 4, 1)),
        *(("web", None, None, 8, 1), ("web", "m", None, 8, 1)),
        *(("web", None, "even", 8, 1), ("web", "m", "even", 8, 1)),
    ]


def test_surfaces_are_pooled_only_if_asked() -> None:
    cells = Cells(
        (answered(0, 1), answered(1, 1), answered(0, 2, surface="web")),
        (found(0, named=1), found(0, surface="web", named=2)),
    )
    apart = report_groups(cells, BRANDS, {})
    assert {(one.surface, one.model): one.answers for one in apart} == {
        **{("api", None): 2, ("api", "m"): 2},
        **{("web", None): 2, ("web", "m"): 2},
    }
    together = report_groups(cells, BRANDS, {}, pool_surfaces=True)
    assert {(one.surface, one.model): one.answers for one in together} == {
        (ALL_SURFACES, None): 4,
        (ALL_SURFACES, "m"): 4,
    }
    assert metric(together[0], "visibility_rate").numerator == 3
    assert together[0].prompts == 2  # one prompt on two surfaces is one


def test_a_prompt_is_one_unit_over_all_its_models() -> None:
    answers = [answered(at, 1, model=model) for at in range(8) for model in "abc"]
    brands = [found(at, model=model, named=1) for at in range(4) for model in "abc"]
    groups = report(answers, brands)
    one, all_models = groups[1], pooled(groups)
    assert metric(one, "visibility_rate").method is Method.WILSON
    # Models agree on every prompt: 24 answers are worth 8.
    assert metric(all_models, "visibility_rate").method is Method.EFFECTIVE_SIZE
    assert metric(all_models, "visibility_rate").low == metric(one, "visibility_rate").low


def test_no_repeats_are_wilsons() -> None:
    group = pooled(report([answered(at, 1) for at in range(5)]))
    rate = metric(group, "visibility_rate")
    assert (rate.value, rate.low, rate.method) == (0.0, 0.0, Method.WILSON)
    assert rate.high == pytest.approx(0.4345, abs=5e-5)


def test_one_prompt_says_so() -> None:
    group = pooled(report([answered(0, 5)]))
    rate = metric(group, "visibility_rate")
    assert (rate.numerator, rate.denominator, rate.method) == (0, 5, Method.ONE_PROMPT)
    assert rate.high == pytest.approx(0.4345, abs=5e-5)


def test_a_brand_without_cells_has_counts_of_nought() -> None:
    group = pooled(report([answered(at, 5) for at in range(8)], [found(0, 1, named=2, mentions=2)]))
    metrics = group.brands[0].metrics
    assert list(metrics) == IDS
    assert all(one.numerator == 0 for one in metrics.values())
    assert metrics["visibility_rate"].value == 0
    high = metrics["share_of_voice_by_answers"].high
    assert high is not None
    assert high > 0
    for name in ("mean_rank", "mean_list_rank", "sentiment", "citation_share"):
        empty = metrics[name]
        assert (empty.value, empty.low, empty.high, empty.method) == (None, None, None, "none")


@pytest.mark.parametrize(
    ("hits", "size"),
    [
        ([5, 5, 5, 5, 0, 0, 0, 0], 8),  # the other brand's repeats always agree
        ([2, 3, 2, 3, 2, 3, 2, 3], 40),  # they agree no more than by chance
    ],
)
def test_nought_is_as_sure_as_repeats_of_other_brands_are_independent(
    hits: list[int], size: int
) -> None:
    answers = [answered(at, 5) for at in range(8)]
    group = pooled(report(answers, [found(at, 1, named=n) for at, n in enumerate(hits) if n]))
    rate = metric(group, "visibility_rate")
    assert rate.method is Method.EFFECTIVE_SIZE
    assert rate.high == pytest.approx(1.959964**2 / (size + 1.959964**2))
    # Nobody is ever denied: then the repeats that name brands are the best there is to go by.
    assert metric(group, "denied_rate").high == pytest.approx(rate.high)


def test_nought_of_nothing_is_no_surer_than_the_prompts() -> None:
    rate = metric(pooled(report([answered(at, 5) for at in range(8)])), "visibility_rate")
    assert rate.high == pytest.approx(1.959964**2 / (8 + 1.959964**2))


def test_ranks_are_bounded_by_the_brands_that_are_tracked() -> None:
    brands = [found(at, named=1, rank_sum=1) for at in range(5)]
    rank = metric(pooled(report([answered(at, 1) for at in range(8)], brands)), "mean_rank")
    assert (rank.low, rank.method) == (1.0, Method.EFFECTIVE_SIZE)
    assert rank.high == pytest.approx(1 + 2 * 0.4345, abs=1e-4)


def test_shares_of_voice_count_on_namings() -> None:
    brands = [found(at, 1, named=5, mentions=40) for at in range(8)]
    group = pooled(report([answered(at, 5) for at in range(8)], brands))
    for name in ("share_of_voice_by_answers", "share_of_voice_by_mentions"):
        # All alike, so that repeats may be worth no more than one: 8, not 320 mentions.
        assert metric(group, name).high == pytest.approx(1.959964**2 / (8 + 1.959964**2))


@pytest.mark.parametrize(("citations", "size"), [(1, 8), (9, 40)])
def test_shares_of_citations_count_on_no_more_than_answers(citations: int, size: int) -> None:
    answers = [replace(answered(at, 5), citations=citations) for at in range(8)]
    brands = [found(at, 1, named=2 + at % 2) for at in range(8)]  # repeats agree by chance only
    share = metric(pooled(report(answers, brands)), "citation_share")
    assert (share.denominator, share.method) == (8 * citations, Method.EFFECTIVE_SIZE)
    assert share.high == pytest.approx(1.959964**2 / (size + 1.959964**2))


def test_fractions_add_up_alike_in_any_order() -> None:
    answers = [answered(0, 1, model=model) for model in "abc"]
    brands = [
        found(0, model=model, sentiment_sum=tone, sentiments=1)
        for model, tone in zip("abc", (0.1, 0.2, 0.3), strict=True)
    ]
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    assert report(answers, brands) == report(answers, brands[::-1])


def test_failed_calls_are_in_no_denominator() -> None:
    groups = report([answered(0, 3), answered(1, 0)])
    assert [one.prompts for one in groups if one.tag is None] == [1, 1]
    assert {one.tag for one in groups} == {None, "even"}
    assert metric(groups[0], "visibility_rate").denominator == 3


def test_nothing_answered_is_no_group() -> None:
    assert report([]) == ()
    assert report([answered(0, 0)]) == ()


def test_no_tracked_brands_is_no_brands() -> None:
    (group, _) = report_groups(Cells((answered(0, 2, informative=0),), ()), (), {})
    assert group.brands == ()
    assert group.informative.value == 0


@pytest.mark.parametrize(
    ("brands", "message"),
    [
        ([replace(found(0), brand_id=UUID(int=7))], "brand 00000000-.*-000000000007, not tracked"),
        ([found(1)], "1 brand cells are of answers that have no cell"),
        ([found(0, model="x")], "1 brand cells"),
        ([found(0, surface="x")], "1 brand cells"),
    ],
)
def test_cells_that_do_not_fit_are_refused(brands: list[BrandCell], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report([answered(0, 1), answered(1, 1, model="n")], brands)


def test_a_brand_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        report_groups(Cells((), ()), (BRANDS[0], BRANDS[0]), {})


@st.composite
def brand_cells(draw: st.DrawFn, cell: AnswerCell, brand: UUID) -> BrandCell:
    named = draw(st.integers(0, cell.answers))
    sentiments = draw(st.integers(0, named))
    some = st.integers(0, named)
    return BrandCell(
        *(cell.surface, cell.model, cell.prompt_id, brand),
        named=named,
        recommended=draw(some),
        denied=draw(some),
        cited=draw(st.integers(0, cell.answers - named)),
        link_only=0,
        mentions=named * draw(st.integers(1, 4)),
        rank_sum=named * draw(st.integers(1, len(BRANDS))),
        list_rank_sum=named * 2,
        list_ranked=named,
        sentiment_sum=sentiments * draw(st.floats(-1, 1)),
        sentiments=sentiments,
        citations=0,
        position_adjusted_words=cell.answers * draw(st.floats(0, 1)),
    )


@st.composite
def any_cells(draw: st.DrawFn) -> Cells:
    where = st.tuples(st.sampled_from(["api", "web"]), st.sampled_from("mn"), st.integers(0, 7))
    answers = [
        answered(prompt, draw(st.integers(1, 4)), surface=surface, model=model)
        for surface, model, prompt in draw(st.lists(where, min_size=1, max_size=24, unique=True))
    ]
    brands = [
        draw(brand_cells(cell, brand))
        for cell in answers
        for brand in draw(st.lists(st.sampled_from(BRANDS), unique=True))
    ]
    answers = [replace(one, informative=draw(st.integers(0, one.answers))) for one in answers]
    return Cells(tuple(answers), tuple(brands))


def brands_of(groups: Sequence[Group]) -> list[BrandMetrics]:
    return [brand for group in groups for brand in group.brands]


@CALM
@given(cells=any_cells())
def test_bounds_enclose_the_value_and_stay_in_range(cells: Cells) -> None:
    for brand in brands_of(report_groups(cells, BRANDS, TAGS)):
        for known in BRAND_METRICS:
            one = brand.metrics[known.id]
            if one.low is None or one.high is None or one.value is None:
                assert one.low is one.high is None
                assert one.method is Method.NONE
                continue
            most = float("inf") if known.most is None else known.most
            assert known.least <= one.low <= one.value <= one.high <= most


@CALM
@given(cells=any_cells(), seed=st.randoms(use_true_random=False))
def test_the_order_of_cells_changes_nothing(cells: Cells, seed: random.Random) -> None:
    answers, brands = list(cells.answers), list(cells.brands)
    seed.shuffle(answers)
    seed.shuffle(brands)
    mixed = Cells(tuple(answers), tuple(brands))
    assert report_groups(mixed, BRANDS, TAGS) == report_groups(cells, BRANDS, TAGS)


@CALM
@given(cells=any_cells())
def test_the_order_of_brands_changes_nothing_but_theirs(cells: Cells) -> None:
    forth = report_groups(cells, BRANDS, TAGS)
    back = report_groups(cells, BRANDS[::-1], TAGS)
    for one, other in zip(forth, back, strict=True):
        for brand, same in zip(one.brands, other.brands[::-1], strict=True):
            assert brand.brand_id == same.brand_id
            for name, estimate in brand.metrics.items():
                again = same.metrics[name]
                assert (estimate.value, estimate.method) == (again.value, again.method)
                assert (estimate.low, estimate.high) == pytest.approx((again.low, again.high))


@CALM
@given(cells=any_cells())
def test_pooled_models_are_the_sum_of_their_models(cells: Cells) -> None:
    groups = report_groups(cells, BRANDS, TAGS)
    for whole in (one for one in groups if one.model is None):
        parts = [
            one
            for one in groups
            if one.model and (one.surface, one.tag) == (whole.surface, whole.tag)
        ]
        assert whole.answers == sum(part.answers for part in parts)
        assert whole.informative.numerator == sum(part.informative.numerator for part in parts)
        for at, brand in enumerate(whole.brands):
            for name, estimate in brand.metrics.items():
                of = [part.brands[at].metrics[name] for part in parts]
                assert estimate.numerator == pytest.approx(sum(one.numerator for one in of))
                assert estimate.denominator == sum(one.denominator for one in of)


@CALM
@given(cells=any_cells())
def test_shares_of_voice_add_up_to_one(cells: Cells) -> None:
    for group in report_groups(cells, BRANDS, TAGS):
        for name in ("share_of_voice_by_answers", "share_of_voice_by_mentions"):
            shares = [brand.metrics[name].value for brand in group.brands]
            known = [share for share in shares if share is not None]
            assert known == [] or (len(known) == len(BRANDS) and sum(known) == pytest.approx(1))


@CALM
@given(cells=any_cells())
def test_surfaces_do_not_touch_each_other(cells: Cells) -> None:
    alone = Cells(
        tuple(one for one in cells.answers if one.surface == "api"),
        tuple(one for one in cells.brands if one.surface == "api"),
    )
    groups = report_groups(cells, BRANDS, TAGS)
    assert tuple(one for one in groups if one.surface == "api") == report_groups(
        alone, BRANDS, TAGS
    )


@CALM
@given(cells=any_cells(), times=st.integers(2, 5))
def test_more_mentions_everywhere_change_nothing(cells: Cells, times: int) -> None:
    more = Cells(
        cells.answers, tuple(replace(one, mentions=one.mentions * times) for one in cells.brands)
    )
    before, after = report_groups(cells, BRANDS, TAGS), report_groups(more, BRANDS, TAGS)
    for one, other in zip(brands_of(before), brands_of(after), strict=True):
        share, same = (x.metrics["share_of_voice_by_mentions"] for x in (one, other))
        assert (share.value, share.method) == (same.value, same.method)
        assert (share.low, share.high) == pytest.approx((same.low, same.high))
        assert same.numerator == share.numerator * times


def repeated(cells: Cells, times: int) -> Cells:
    """The same answers to so many times as many prompts."""
    moved = [UUID(int=1000 * at) for at in range(times)]
    return Cells(
        tuple(
            replace(one, prompt_id=UUID(int=one.prompt_id.int + by.int))
            for by in moved
            for one in cells.answers
        ),
        tuple(
            replace(one, prompt_id=UUID(int=one.prompt_id.int + by.int))
            for by in moved
            for one in cells.brands
        ),
    )


def test_four_times_the_prompts_make_intervals_half_as_wide() -> None:
    luck = random.Random(5)
    answers = [answered(at, 4) for at in range(8)]
    brands = [found(at, named=luck.randint(1, 3), mentions=3) for at in range(8)]
    brands += [found(at, 1, named=luck.randint(0, 4), mentions=1) for at in range(8)]
    cells = Cells(tuple(answers), tuple(brands))
    few, many = (report_groups(repeated(cells, times), BRANDS, {})[0] for times in (4, 16))
    for name in ("visibility_rate", "share_of_voice_by_answers"):
        wide, narrow = metric(few, name), metric(many, name)
        assert wide.method is narrow.method is Method.BOOTSTRAP
        assert wide.value == narrow.value
        assert wide.low is not None
        assert wide.high is not None
        assert narrow.low is not None
        assert narrow.high is not None
        assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 2, rel=0.12)


def spread() -> Cells:
    luck = random.Random(3)
    return Cells(
        tuple(answered(at, 5) for at in range(8)),
        tuple(found(at, brand, named=luck.randint(0, 5)) for at in range(8) for brand in (0, 1)),
    )


def test_the_same_run_has_the_same_bounds_and_another_run_others() -> None:
    one, same, other = (
        report_groups(repeated(spread(), 3), BRANDS, {}, run_key=key) for key in ("a", "a", "b")
    )
    assert one == same
    assert one != other
    assert [metric(group, "visibility_rate").value for group in one] == [
        metric(group, "visibility_rate").value for group in other
    ]


def test_json_has_everything_and_six_digits() -> None:
    group = pooled(report([answered(at, 3) for at in range(3)], [found(0, named=1, rank_sum=2)]))
    view = group_view(group).model_dump(mode="json")
    assert (view["surface"], view["model"], view["tag"]) == ("api", None, None)
    assert (view["answers"], view["prompts"], view["citations"]) == (9, 3, 0)
    assert [brand["brand_id"] for brand in view["brands"]] == [str(brand) for brand in BRANDS]
    metrics = view["brands"][0]["metrics"]
    assert list(metrics) == IDS
    assert metrics["visibility_rate"]["value"] == 0.111111
    assert metrics["visibility_rate"]["numerator"] == 1
    assert metrics["visibility_rate"]["method"] == "wilson-effective-size"
    assert metrics["mean_rank"] == {
        **{"value": 2.0, "numerator": 2, "denominator": 1, "low": None, "high": None},
        **{"method": "none", "confidence": 0.95},
    }
    assert view["informative"]["value"] == 0.0
