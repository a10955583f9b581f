"""What a call costs, to the last digit, and the bounds that are drawn before it is made."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.domain.models import ModelFacts, ModelPrice, Tokens, Turn
from llm_executor.domain.pricing import (
    ASSUMED_OUTPUT_TOKENS,
    IMAGE_TOKENS,
    cost,
    expected_tokens,
    least_tokens,
    most_cost,
    most_tokens,
)

COUNTS = st.integers(0, 2_000_000)
PER_TOKEN = st.decimals(0, Decimal("0.01"), places=10)
TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["system", "user", "assistant"]),
        st.text(max_size=200),
        st.lists(st.just("https://example.com/a.png"), max_size=3).map(tuple),
    ),
    max_size=4,
)


@st.composite
def prices(draw: st.DrawFn, *, cheaper_cached: bool = False) -> ModelPrice:
    full = draw(PER_TOKEN)
    cached = st.decimals(0, full, places=10) if cheaper_cached else PER_TOKEN
    return ModelPrice(
        "1", full, draw(PER_TOKEN), draw(st.none() | cached), draw(st.none() | PER_TOKEN)
    )


@st.composite
def counted(draw: st.DrawFn, most_input: int = 2_000_000, most_output: int = 2_000_000) -> Tokens:
    whole = draw(st.integers(0, most_input))
    output = draw(st.integers(0, most_output))
    cached = draw(st.none() | st.integers(0, whole))
    return Tokens(whole, output, cached, draw(st.none() | st.integers(0, output)))


@given(prices(), counted())
def test_a_cost_is_exact(price: ModelPrice, tokens: Tokens) -> None:
    cached = tokens.cached or 0
    for_cached = price.input if price.cached_input is None else price.cached_input
    exact = (
        Fraction(price.input) * (tokens.input - cached)
        + Fraction(for_cached) * cached
        + Fraction(price.output) * tokens.output
        + Fraction(price.request or 0)
    )
    assert Fraction(cost(price, tokens)) == exact


@given(prices(), counted(), counted())
def test_two_calls_cost_what_one_and_the_other_do(
    price: ModelPrice, one: Tokens, other: Tokens
) -> None:
    together = Tokens(
        one.input + other.input, one.output + other.output, (one.cached or 0) + (other.cached or 0)
    )
    apart = cost(price, one) + cost(price, other)
    assert apart == cost(price, together) + (price.request or 0)


@given(prices(cheaper_cached=True), counted())
def test_cached_tokens_are_never_dearer_unless_they_are_priced_so(
    price: ModelPrice, tokens: Tokens
) -> None:
    assert cost(price, tokens) <= cost(price, Tokens(tokens.input, tokens.output))


@given(prices(), counted())
def test_reasoning_is_part_of_the_output(price: ModelPrice, tokens: Tokens) -> None:
    apart = Tokens(tokens.input, tokens.output, tokens.cached, tokens.output)
    assert cost(price, apart) == cost(price, tokens)


def test_a_cost_as_one_would_reckon_it() -> None:
    million = Decimal(1_000_000)
    price = ModelPrice("1", 3 / million, 15 / million, Decimal("0.3") / million, Decimal("0.01"))
    assert cost(price, Tokens(1000, 200, 400)) == Decimal("0.01492")
    assert cost(price, Tokens(1000, 200)) == Decimal("0.016")


@given(TURNS, prices(cheaper_cached=True), st.data(), st.none() | st.integers(1, 100_000))
def test_no_reply_within_the_bounds_costs_more_than_was_said(
    turns: list[Turn], price: ModelPrice, data: st.DataObject, max_output: int | None
) -> None:
    limit = data.draw(st.none() | st.integers(1, 100_000))
    most = most_cost(price, ModelFacts(max_output_tokens=limit), turns, max_output)
    bounds = [n for n in (max_output, None if max_output else limit) if n is not None]
    output = min([*bounds, *([] if max_output else [ASSUMED_OUTPUT_TOKENS])])
    tokens = data.draw(counted(most_tokens(turns), output))
    assert cost(price, tokens) <= most
    assert cost(price, Tokens(most_tokens(turns), output)) == most  # and no less than needed


# The sentences with which OpenAI introduced the tokenizer of GPT-4o and the tokens it counted,
# and what anybody can count: single letters, and nothing.
COUNTED = [
    ("Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!", 24),
    ("Привет, меня зовут GPT-4o. Я — новая языковая модель, приятно познакомиться!", 23),
    ("नमस्ते, मेरा नाम जीपीटी-4o है। मैं एक नए प्रकार का भाषा मॉडल हूँ। आपसे मिलकर अच्छा लगा!", 31),
    ("你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你!", 24),
    ("a b c d e f g h i j", 10),
    ("", 0),
]


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_a_prompt_has_the_tokens_that_it_surely_has(text: str, tokens: int) -> None:
    """Also where a character is several bytes: nobody is refused what the model would take."""
    assert least_tokens([Turn("user", text)]) <= tokens
    assert least_tokens([Turn("user", text)] * 40) <= 40 * tokens


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_a_prompt_has_not_more_tokens_than_it_may_have(text: str, tokens: int) -> None:
    assert tokens <= most_tokens([Turn("user", text)])


def test_a_prompt_that_is_far_too_long_is_recognised() -> None:
    words = "the quick brown fox jumps over the lazy dog " * 10_000  # 90,000 tokens
    assert 64_000 < least_tokens([Turn("user", words)]) <= 90_000


@given(TURNS)
def test_the_bounds_are_in_order_and_grow_with_the_prompt(turns: list[Turn]) -> None:
    assert least_tokens(turns) <= most_tokens(turns)
    for more in (Turn("user", "more to say"), Turn("user", "", ("https://example.com/a.png",))):
        assert least_tokens([*turns, more]) >= least_tokens(turns)
        assert most_tokens([*turns, more]) > most_tokens(turns)


def test_an_image_counts_in_what_may_be_but_not_in_what_surely_is() -> None:
    picture = Turn("user", "", ("https://example.com/a.png",))
    assert least_tokens([picture]) == 0
    assert most_tokens([picture]) >= IMAGE_TOKENS
    assert expected_tokens([picture], 1) >= IMAGE_TOKENS


@given(TURNS, st.none() | st.integers(1, 100_000))
def test_what_is_expected_is_no_more_than_may_be(turns: list[Turn], most: int | None) -> None:
    expected = expected_tokens(turns, most)
    assert expected <= most_tokens(turns) + (most or ASSUMED_OUTPUT_TOKENS)
    assert expected > 0
