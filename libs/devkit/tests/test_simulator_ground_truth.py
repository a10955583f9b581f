"""The rules of the ground truth: exact ones by property, rates and correlations by many draws."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations, pairwise

import pytest
from devkit.simulator import (
    Brand,
    BrandDraw,
    BrandOdds,
    ConfigError,
    Draw,
    GroundTruth,
    GroundTruthError,
    Message,
    ModelTruth,
    Outcome,
    PromptTag,
    Question,
    Sentiment,
    SimulatorConfig,
    default_config,
    draw,
    sample_name,
)
from devkit.simulator.drawing import draw_brands, prompt_key
from devkit.simulator.entropy import digest
from devkit.simulator.ground_truth import contains_word
from devkit.simulator.rendering import filler, names_in_filler
from hypothesis import given
from hypothesis import strategies as st

MODEL = "sim-test"

# No vowels, so that no generated name can be an ordinary word of the answers.
names = st.lists(
    st.text("bcdfgzq", min_size=3, max_size=6).map(str.title), min_size=1, max_size=5, unique=True
)
probabilities = st.floats(0, 1)
prompts = st.text(max_size=40)


@st.composite
def odds(draw_: st.DrawFn) -> BrandOdds:
    positive = draw_(probabilities)
    negative = draw_(st.floats(0, 1 - positive))
    return BrandOdds(
        named={"default": draw_(probabilities)},
        weight=draw_(st.floats(0.01, 100)),
        positive=positive,
        neutral=1 - positive - negative,
        negative=negative,
        recommended=draw_(st.floats(0, positive)),
        denied=draw_(st.floats(0, negative)),
        cited=draw_(probabilities),
    )


@st.composite
def configs(draw_: st.DrawFn) -> SimulatorConfig:
    brands = tuple(Brand(name, f"site{at}.example") for at, name in enumerate(draw_(names)))
    treated = {brand.name: draw_(odds()) for brand in brands}
    model = ModelTruth(MODEL, treated, repeat_correlation=draw_(probabilities))
    return SimulatorConfig(GroundTruth(brands, (model,)), seed=draw_(st.integers()))


def ask(prompt: str, sample: int | str = 0, model: str = MODEL) -> Question:
    return Question(model, (Message("user", prompt),), f"seed:{sample}")


def one_model(rho: float = 0.0, **treated: BrandOdds) -> GroundTruth:
    brands = tuple(Brand(name, f"{name.lower()}.example") for name in treated)
    return GroundTruth(brands, (ModelTruth(MODEL, treated, rho),))


def with_odds(config: SimulatorConfig, name: str, changed: BrandOdds) -> SimulatorConfig:
    model = config.truth.models[0]
    treated = {**model.odds, name: changed}
    models = (dataclasses.replace(model, odds=treated),)
    return dataclasses.replace(config, truth=dataclasses.replace(config.truth, models=models))


@given(configs(), prompts, st.integers(0, 50))
def test_text_names_exactly_the_drawn_brands_in_order(
    config: SimulatorConfig, prompt: str, sample: int
) -> None:
    answer = draw(config, ask(prompt, sample))
    at = [answer.text.index(name) for name in answer.truth.names]
    assert at == sorted(at)
    said = {b.name for b in config.truth.brands if contains_word(answer.text, b.name)}
    assert said == set(answer.truth.names)
    assert [one.rank for one in answer.brands] == list(range(1, len(answer.brands) + 1))


@given(configs(), prompts, st.integers(0, 50))
def test_text_holds_exactly_the_drawn_citations(
    config: SimulatorConfig, prompt: str, sample: int
) -> None:
    answer = draw(config, ask(prompt, sample))
    cited = [one.citation for one in answer.brands if one.citation is not None]
    assert answer.text.count("https://") == len(cited)
    for one in answer.brands:
        if one.citation is not None:
            assert one.citation.startswith(f"https://{one.brand.domain}/")
            assert f"({one.citation})" in answer.text


@given(configs(), prompts, st.integers(0, 50))
def test_outcome_never_contradicts_the_tone(
    config: SimulatorConfig, prompt: str, sample: int
) -> None:
    for one in draw(config, ask(prompt, sample)).brands:
        if one.outcome is Outcome.DENIED:
            assert one.sentiment is Sentiment.NEGATIVE
        if one.outcome is Outcome.RECOMMENDED:
            assert one.sentiment is Sentiment.POSITIVE


@given(configs(), prompts, st.integers(0, 50), odds())
def test_one_brands_odds_change_nothing_for_the_others(
    config: SimulatorConfig, prompt: str, sample: int, changed: BrandOdds
) -> None:
    name = config.truth.brands[0].name
    other = with_odds(config, name, changed)
    before = draw(config, ask(prompt, sample)).brands
    after = draw(other, ask(prompt, sample)).brands

    def facts(brands: tuple[BrandDraw, ...]) -> list[BrandDraw]:
        return [dataclasses.replace(one, rank=0) for one in brands if one.brand.name != name]

    assert facts(before) == facts(after)


@given(configs(), prompts, st.integers(0, 50), probabilities)
def test_a_higher_probability_only_adds_answers_that_name_the_brand(
    config: SimulatorConfig, prompt: str, sample: int, share: float
) -> None:
    brand = config.truth.brands[0].name
    current = config.truth.models[0].odds[brand]
    p = current.named["default"]
    raised = dataclasses.replace(current, named={"default": min(1.0, p + share * (1 - p))})
    if brand in draw(config, ask(prompt, sample)).truth.names:
        assert brand in draw(with_odds(config, brand, raised), ask(prompt, sample)).truth.names


@given(st.text(max_size=20), st.integers(0, 9), st.floats(0, 1))
def test_certain_and_impossible_brands(prompt: str, sample: int, rho: float) -> None:
    truth = one_model(rho, Zqx=BrandOdds({"default": 1.0}), Qzx=BrandOdds({"default": 0.0}))
    assert draw_brands(truth, 1, ask(prompt, sample)).names == ("Zqx",)


@given(configs(), prompts, st.integers(0, 50))
def test_equal_questions_have_equal_answers(
    config: SimulatorConfig, prompt: str, sample: int
) -> None:
    again = dataclasses.replace(config)
    assert draw(config, ask(prompt, sample)) == draw(again, ask(prompt, sample))


words = st.text("ab", max_size=2)
messages = st.lists(
    st.builds(
        Message,
        st.sampled_from(["user", "assistant"]),
        words,
        st.lists(words, max_size=1).map(tuple),
        st.lists(words, max_size=2).map(tuple),
    ),
    max_size=2,
).map(tuple)


@given(messages, messages)
def test_prompts_have_one_key_only_if_they_are_equal(
    one: tuple[Message, ...], other: tuple[Message, ...]
) -> None:
    assert (prompt_key(MODEL, one) == prompt_key(MODEL, other)) == (one == other)


def test_pictures_and_calls_tell_prompts_apart() -> None:
    prompts_ = [
        (Message("user", "a"),),
        (Message("user", "a", ("b",)),),
        (Message("user", "a", (), ("b",)),),
        (Message("user", "a", (), ("c",)),),
        (Message("user", "a"), Message("user", "b")),
    ]
    assert len({prompt_key(MODEL, prompt) for prompt in prompts_}) == len(prompts_)


def test_where_one_part_ends_matters_to_a_digest() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", "")}) == 4


def test_seed_model_messages_and_sample_each_change_the_answer() -> None:
    config = default_config()
    base = Question("sim-large", (Message("user", "which app?"),), "seed:1")
    variants = [
        (config, base),
        (dataclasses.replace(config, seed=config.seed + 1), base),
        (config, dataclasses.replace(base, model="sim-small")),
        (config, dataclasses.replace(base, sample="seed:2")),
        (config, dataclasses.replace(base, messages=(Message("user", "which apps?"),))),
        (config, dataclasses.replace(base, messages=(Message("system", ""), *base.messages))),
    ]
    assert len({draw(*variant).text for variant in variants}) == len(variants)


def test_answers_do_not_depend_on_the_process() -> None:
    code = (
        "from devkit.simulator import *;"
        "print(draw(default_config(),"
        "Question('sim-large',(Message('user','q'),),'seed:7')).text,end='')"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for salt in ("1", "2")
    }
    here = draw(default_config(), Question("sim-large", (Message("user", "q"),), "seed:7")).text
    assert texts == {here}


def inclusion(truth: GroundTruth, name: str, prompt_count: int, repeats: int) -> list[list[bool]]:
    return [
        [name in draw_brands(truth, 5, ask(f"p{i}", j)).names for j in range(repeats)]
        for i in range(prompt_count)
    ]


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_marginal_rate_and_repeat_correlation_are_as_declared(p: float, rho: float) -> None:
    truth = one_model(rho, Zqx=BrandOdds({"default": p}))
    rows = inclusion(truth, "Zqx", prompt_count=3000, repeats=4)
    flat = [x for row in rows for x in row]
    # Standard errors are at most 0.009 and about 0.02: the bounds are more than three of them.
    assert sum(flat) / len(flat) == pytest.approx(p, abs=0.03)
    products = [(a - p) * (b - p) for row in rows for a, b in combinations(row, 2)]
    assert math.fsum(products) / len(products) / (p * (1 - p)) == pytest.approx(rho, abs=0.07)


def test_different_prompts_and_different_brands_are_uncorrelated() -> None:
    half = BrandOdds({"default": 0.5})
    truth = one_model(1.0, Zqx=half, Qzx=half)
    one = [row[0] for row in inclusion(truth, "Zqx", 3000, 1)]
    other = [row[0] for row in inclusion(truth, "Qzx", 3000, 1)]
    across_brands = [(a - 0.5) * (b - 0.5) * 4 for a, b in zip(one, other, strict=True)]
    across_prompts = [(a - 0.5) * (b - 0.5) * 4 for a, b in pairwise(one)]
    assert sum(across_brands) / len(across_brands) == pytest.approx(0, abs=0.07)
    assert sum(across_prompts) / len(across_prompts) == pytest.approx(0, abs=0.07)


def many_draws(truth: GroundTruth, count: int = 6000) -> list[Draw]:
    return [draw_brands(truth, 3, ask(f"p{i}")) for i in range(count)]


def test_tone_outcome_and_citation_rates_are_as_declared() -> None:
    declared = BrandOdds(
        {"default": 1.0},
        positive=0.5,
        neutral=0.2,
        negative=0.3,
        recommended=0.35,
        denied=0.1,
        cited=0.25,
    )
    drawn = [d.brands[0] for d in many_draws(one_model(Zqx=declared))]
    tones, outcomes = Counter(b.sentiment for b in drawn), Counter(b.outcome for b in drawn)
    n = len(drawn)
    assert tones[Sentiment.POSITIVE] / n == pytest.approx(0.5, abs=0.03)
    assert tones[Sentiment.NEUTRAL] / n == pytest.approx(0.2, abs=0.03)
    assert tones[Sentiment.NEGATIVE] / n == pytest.approx(0.3, abs=0.03)
    assert outcomes[Outcome.RECOMMENDED] / n == pytest.approx(0.35, abs=0.03)
    assert outcomes[Outcome.DENIED] / n == pytest.approx(0.1, abs=0.03)
    assert sum(b.citation is not None for b in drawn) / n == pytest.approx(0.25, abs=0.03)


def test_first_places_follow_the_weights() -> None:
    always = {"default": 1.0}
    truth = one_model(
        Zqx=BrandOdds(always, weight=6.0),
        Qzx=BrandOdds(always, weight=3.0),
        Xzq=BrandOdds(always, weight=1.0),
    )
    first = Counter(d.names[0] for d in many_draws(truth))
    total = sum(first.values())
    assert first["Zqx"] / total == pytest.approx(0.6, abs=0.03)
    assert first["Qzx"] / total == pytest.approx(0.3, abs=0.03)
    assert first["Xzq"] / total == pytest.approx(0.1, abs=0.03)


def test_a_tag_is_found_by_a_keyword_as_a_whole_word_in_the_users_words() -> None:
    tags = (PromptTag("team", ("wiki", "work group")), PromptTag("price", ("free",)))
    truth = dataclasses.replace(one_model(Zqx=BrandOdds({"default": 0.5})), tags=tags)
    assert truth.tag_of("a WIKI for us") == "team"
    assert truth.tag_of("for my work group?") == "team"
    assert truth.tag_of("a free wiki") == "team"
    assert truth.tag_of("something free!") == "price"
    assert truth.tag_of("freedom, wikis") == "default"
    messages = (Message("system", "mind the wiki"), Message("user", "something free"))
    assert draw_brands(truth, 0, Question(MODEL, messages, "seed:0")).tag == "price"


def test_the_tag_chooses_the_probability() -> None:
    truth = GroundTruth(
        (Brand("Zqx", "zqx.example"),),
        (ModelTruth(MODEL, {"Zqx": BrandOdds({"default": 0.0, "team": 1.0})}),),
        (PromptTag("team", ("wiki",)), PromptTag("other", ("other",))),
    )
    assert draw_brands(truth, 0, ask("a wiki?")).names == ("Zqx",)
    assert draw_brands(truth, 0, ask("some other?")).names == ()


def test_a_brand_without_odds_is_never_named_and_a_nameless_answer_still_reads() -> None:
    truth = GroundTruth((Brand("Zqx", "zqx.example"),), (ModelTruth(MODEL, {}, 1.0),))
    answers = [draw(SimulatorConfig(truth), ask(f"p{i}")) for i in range(200)]
    assert all(answer.brands == () for answer in answers)
    assert len({answer.text for answer in answers}) > 1
    assert all(len(answer.text) > 50 for answer in answers)


def test_filler_never_contains_a_default_brand_name() -> None:
    brands = default_config().truth.brands
    assert names_in_filler(brand.name for brand in brands) == []
    assert not any(brand.name.lower() in filler().lower() for brand in brands)
    assert "{" not in filler()


def test_a_brand_that_is_an_ordinary_word_of_the_answers_is_refused() -> None:
    truth = GroundTruth((Brand("Search", "search.example"),), (ModelTruth(MODEL, {}),))
    with pytest.raises(ConfigError, match="Search"):
        SimulatorConfig(truth)


def test_default_models_answer_differently_and_name_every_brand_somewhere() -> None:
    config = default_config()
    seen: dict[str, Counter[str]] = {}
    for model in config.truth.model_by_id:
        drawn = [draw(config, ask("notes?", i, model)).truth.names for i in range(300)]
        seen[model] = Counter(name for names_ in drawn for name in names_)
    assert set(seen) == {"sim-large", "sim-small", "sim-contrarian"}
    assert {name for counts in seen.values() for name in counts} == {
        brand.name for brand in config.truth.brands
    }
    assert seen["sim-contrarian"]["Logseq"] > seen["sim-large"]["Logseq"]
    assert seen["sim-small"]["Logseq"] == 0


def test_sample_names_tell_seeds_and_calls_apart() -> None:
    assert sample_name(0, 3) == "seed:0"
    assert sample_name(None, 0) == "call:0"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BrandOdds({"team": 0.5}), "default"),
        (lambda: BrandOdds({"default": 1.1}), r"named\.default must be within"),
        (lambda: BrandOdds({"default": math.nan}), "within"),
        (lambda: BrandOdds({"default": 0.5}, weight=0), "weight"),
        (lambda: BrandOdds({"default": 0.5}, weight=math.inf), "weight"),
        (lambda: BrandOdds({"default": 0.5}, positive=0.5), "must be 1"),
        (lambda: BrandOdds({"default": 0.5}, recommended=0.1), "recommended"),
        (lambda: BrandOdds({"default": 0.5}, denied=0.1), "denied"),
        (lambda: ModelTruth(MODEL, {}, repeat_correlation=-0.1), "repeat_correlation"),
        (lambda: Brand(" Zqx", "zqx.example"), "outer spaces"),
        (lambda: Brand("Zqx", "https://zqx.example"), "host name"),
        (lambda: PromptTag("default", ("a",)), "default"),
        (lambda: PromptTag("team", ()), "keywords"),
        (lambda: GroundTruth((Brand("A", "a.io"), Brand("a", "b.io")), ()), "more than once"),
        (lambda: GroundTruth((Brand("Ab", "a.io"), Brand("Ab Cd", "b.io")), ()), "is part of"),
        (lambda: GroundTruth((Brand("Ab", "a.io"), Brand("Cd", "ab.io")), ()), "is part of"),
        (lambda: GroundTruth((), (ModelTruth(MODEL, {}), ModelTruth(MODEL, {}))), "more than"),
        (
            lambda: GroundTruth((), (ModelTruth(MODEL, {"Zqx": BrandOdds({"default": 0.5})}),)),
            "no brand 'Zqx'",
        ),
        (lambda: one_model(Zqx=BrandOdds({"default": 0.5, "team": 0.5})), "no tag"),
    ],
)
def test_contradictory_truths_are_refused(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(GroundTruthError, match=message):
        build()
