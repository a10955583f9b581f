"""The loop closed: what is found in simulated answers is what they were told to say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

import pytest
from devkit.simulator import SimulatorConfig, default_config
from devkit.simulator.answers import Answer as Simulated
from devkit.simulator.answers import draw
from devkit.simulator.drawing import BrandDraw, Message, Question
from mention_analyzer.domain.models import Analysis, Answer, Brand, Finding
from mention_analyzer.domain.rules import analyze

SEEDS = 200
PROMPTS = ("Which app for notes?", "Best wiki for my team?", "A private, offline app?")
NEUTRAL = 0.05  # VADER's own threshold


@dataclass(frozen=True)
class Judged:
    """One simulated answer beside what is found in it."""

    simulated: Simulated
    found: Analysis
    names: dict[str, Finding]

    @property
    def pairs(self) -> list[tuple[BrandDraw, Finding]]:
        return [(told, self.names[told.brand.name]) for told in self.simulated.brands]


def judged(config: SimulatorConfig, brands: dict[str, Brand], question: Question) -> Judged:
    simulated = draw(config, question)
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "m", 0, simulated.text, simulated=True)
    found = analyze(answer, tuple(brands.values()))
    name_of = {brand.brand_id: name for name, brand in brands.items()}
    return Judged(simulated, found, {name_of[one.brand_id]: one for one in found.findings})


@pytest.fixture(scope="module")
def answers() -> list[Judged]:
    config = default_config()
    brands = {b.name: Brand(uuid4(), b.name, domains=(b.domain,)) for b in config.truth.brands}
    return [
        judged(config, brands, Question(model, (Message("user", prompt),), f"seed:{seed}"))
        for model in config.truth.model_by_id
        for prompt in PROMPTS
        for seed in range(SEEDS)
    ]


def test_names_are_found_in_order(answers: list[Judged]) -> None:
    for one in answers:
        named = [(f.rank, name) for name, f in one.names.items() if f.rank is not None]
        assert tuple(name for _, name in sorted(named)) == one.simulated.truth.names


def test_every_brand_is_named_once(answers: list[Judged]) -> None:
    for one in answers:
        assert [found.mentions for _, found in one.pairs] == [1] * len(one.pairs)


def test_citations_are_exact(answers: list[Judged]) -> None:
    for one in answers:
        told = [brand.citation for brand in one.simulated.brands if brand.citation]
        assert [citation.url for citation in one.found.citations] == told
        assert [found.citations for _, found in one.pairs] == [
            int(brand.citation is not None) for brand in one.simulated.brands
        ]


def test_a_cited_brand_has_words_and_another_has_none(answers: list[Judged]) -> None:
    for one in answers:
        for told, found in one.pairs:
            assert (found.position_adjusted_words > 0) is (told.citation is not None)


def test_numbered_answers_have_list_ranks(answers: list[Judged]) -> None:
    listed = [one for one in answers if "\n1. " in one.simulated.text]
    assert len(listed) > len(answers) / 4
    for one in listed:
        assert [found.list_rank for _, found in one.pairs] == [told.rank for told, _ in one.pairs]


@pytest.mark.parametrize("outcome", ["recommended", "denied"])
def test_outcomes_agree(answers: list[Judged], outcome: str) -> None:
    pairs = [pair for one in answers for pair in one.pairs]
    told = [str(brand.outcome) == outcome for brand, _ in pairs]
    got = [bool(getattr(found, outcome)) for _, found in pairs]
    both = sum(a and b for a, b in zip(told, got, strict=True))
    assert sum(told) > 100
    assert both / sum(got) >= 0.97
    assert both / sum(told) >= 0.97


def test_signs_of_sentiment_agree(answers: list[Judged]) -> None:
    pairs = Counter(
        (str(told.sentiment), _sign(found.sentiment))
        for one in answers
        for told, found in one.pairs
    )
    right = sum(number for (told, got), number in pairs.items() if told == got)
    assert right / pairs.total() >= 0.9, pairs


def _sign(sentiment: float | None) -> str:
    if sentiment is None or abs(sentiment) < NEUTRAL:
        return "neutral"
    return "positive" if sentiment > 0 else "negative"
