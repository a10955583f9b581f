"""Ids that services come to apart from each other: always the same, and never by chance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from contracts.ids import captured_month, captured_run_id, folded, prompt_id
from hypothesis import given
from hypothesis import strategies as st

LINES = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1)
AT = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


def test_they_never_change() -> None:
    assert prompt_id("tenant", "Which app?", "de-AT", "a cook") == UUID(
        "4b2edec9-6800-5cf9-85c0-957e12aef965"
    )
    assert captured_run_id("tenant", AT) == UUID("e5771202-0db7-5177-944b-c3dafcb5ecc0")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("OpenAI", "openai"),
        ("ＯｐｅｎＡＩ", "openai"),
        ("Straße", "STRASSE"),
        (" Which\n app? ", "which app?"),
        ("ﬁne", "FINE"),
        ("e\u0301", "\u00e9"),
    ],
)
def test_case_width_and_white_space_do_not_matter(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert prompt_id("t", one) == prompt_id("t", other)
    assert prompt_id("t", "x", None, one) == prompt_id("t", "x", None, other)


@given(LINES)
def test_a_text_folds_to_one_line(text: str) -> None:
    assert folded(text).split() == (folded(text).split(" ") if folded(text) else [])


@given(st.tuples(WORDS, WORDS, st.none() | WORDS), st.tuples(WORDS, WORDS, st.none() | WORDS))
def test_prompts_of_other_tenants_words_and_readers_are_others(
    one: tuple[str, str, str | None], other: tuple[str, str, str | None]
) -> None:
    same = (one[0], folded(one[1]), one[2]) == (other[0], folded(other[1]), other[2])
    assert (prompt_id(*one) == prompt_id(*other)) == same


@given(LINES, LINES)
def test_persona_and_words_do_not_run_into_each_other(persona: str, text: str) -> None:
    if folded(persona) != folded(text):
        assert prompt_id("t", text, None, persona) != prompt_id("t", persona, None, text)


def test_a_month_is_that_of_utc() -> None:
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert east.month == 12
    assert captured_month(east) == captured_month(AT) == "2026-11"
    assert captured_run_id("t", east) == captured_run_id("t", AT)
    assert captured_run_id("t", AT + timedelta(hours=1)) != captured_run_id("t", AT)
    assert captured_run_id("u", AT) != captured_run_id("t", AT)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC)))
def test_a_month_has_four_digits_and_two(at: datetime) -> None:
    year, month = captured_month(at).split("-")
    assert (len(year), len(month)) == (4, 2)
    assert (int(year), int(month)) == (at.year, at.month)
