"""Token estimates, truncation and the pieces of a stream, without HTTP."""

from __future__ import annotations

from devkit.simulator import Message
from devkit.simulator.tokens import (
    estimate_prompt_tokens,
    estimate_tokens,
    split_words,
    truncate,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(), st.integers(1, 5))
def test_pieces_joined_are_the_text(text: str, words: int) -> None:
    pieces = list(split_words(text, words))
    assert "".join(pieces) == text
    assert all(len(piece.split()) <= words for piece in pieces)


@given(st.text(), st.integers(1, 20))
def test_a_truncated_text_is_a_prefix_within_its_limit(text: str, limit: int) -> None:
    kept, cut = truncate(text, limit)
    assert text.startswith(kept)
    assert estimate_tokens(kept) <= limit
    assert cut == (kept != text)


def test_tokens_are_a_quarter_of_the_bytes_rounded_up() -> None:
    texts = ("", "a", "abcd", "abcde", "éé", "ééé")
    assert [estimate_tokens(text) for text in texts] == [0, 1, 1, 2, 1, 2]
    assert estimate_prompt_tokens([Message("user", "abcde"), Message("user", "")]) == 2 + 2 * 3 + 3
