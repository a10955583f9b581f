"""Names of models, back-off, and text that can be stored."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.rules import CAP_SECONDS, back_off, split_model, storable


def failed(retry_after: float | None = None) -> CallFailed:
    return CallFailed("rate-limited", "wait", retry_after=retry_after)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openai/gpt-5", ("openai", "gpt-5")),
        ("openrouter/meta-llama/llama-4", ("openrouter", "meta-llama/llama-4")),
        ("openai/", ("openai", "")),
        ("openai", ("openai", "")),
    ],
)
def test_a_model_is_provider_and_the_rest(name: str, parts: tuple[str, str]) -> None:
    assert split_model(name) == parts


@given(st.integers(1, 500), st.integers())
def test_waits_are_within_the_doubling_bound_and_the_cap(attempt: int, seed: int) -> None:
    seconds = back_off(failed(), attempt, random.Random(seed))
    assert 0 <= seconds <= min(CAP_SECONDS, 0.5 * 2.0**attempt)


def test_waits_spread_over_their_whole_range() -> None:
    rng = random.Random(1)
    waits = sorted(back_off(failed(), 3, rng) for _ in range(1000))
    assert waits[0] < 0.1
    assert waits[-1] > 3.9
    assert 1.8 < waits[500] < 2.2  # full jitter: uniform in [0, 4]


@given(st.floats(0, 1e6), st.integers(1, 50), st.integers())
def test_a_providers_own_wait_is_obeyed(seconds: float, attempt: int, seed: int) -> None:
    waited = back_off(failed(retry_after=seconds), attempt, random.Random(seed))
    assert seconds <= waited <= seconds * 1.1 + 1e-6


def test_callers_do_not_come_back_in_step() -> None:
    rng = random.Random(1)
    assert len({back_off(failed(retry_after=10), 1, rng) for _ in range(10)}) == 10


@given(st.text())
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    plain = text.replace("\x00", "")
    assert storable(plain) == plain


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud83e", "\ufffd"),
        ("\udeb8\ud83e", "\ufffd\ufffd"),
        ("🫘", "🫘"),
        ("\n\t\x01", "\n\t\x01"),
    ],
)
def test_what_no_store_can_hold_is_replaced(text: str, stored: str) -> None:
    assert storable(text) == stored
    assert storable(text).encode()
