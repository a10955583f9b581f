"""What a call costs, exactly, and how much it can cost at most."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from llm_executor.domain.models import ModelFacts, ModelPrice, Tokens, Turn

ASSUMED_OUTPUT_TOKENS = 2048
"""How long an answer is taken to be at most when the request does not bound it."""
IMAGE_TOKENS = 1600
"""What an image is taken to count at most; providers count between 85 and about this many."""
_TURN_TOKENS = 8
_LEAST_CHARACTERS = 5
_MOST_BYTES = 2


def least_tokens(turns: Sequence[Turn]) -> int:
    """A number of tokens that the prompt surely has.

    No common tokenizer packs more than about 5 characters of running text into a token on
    average, so a prompt refused by this count is one that its model would refuse. (Of bytes it
    packs more where a character has several.)
    """
    return sum(len(turn.content) for turn in turns) // _LEAST_CHARACTERS


def most_tokens(turns: Sequence[Turn]) -> int:
    """A number of tokens that the prompt hardly exceeds: a token for 2 bytes, and for each turn."""
    size = sum(len(turn.content.encode()) for turn in turns)
    images = sum(len(turn.images) for turn in turns)
    return size // _MOST_BYTES + _TURN_TOKENS * len(turns) + IMAGE_TOKENS * images


def expected_tokens(turns: Sequence[Turn], max_output_tokens: int | None) -> int:
    """What a call will use of a limit on tokens per minute; settled when its usage is known."""
    size = sum(len(turn.content.encode()) for turn in turns)
    images = sum(len(turn.images) for turn in turns)
    return size // 4 + IMAGE_TOKENS * images + min(max_output_tokens or 500, 500)


def cost(price: ModelPrice, tokens: Tokens) -> Decimal:
    """USD for one call, exactly: tokens times price, cached input apart."""
    cached = tokens.cached or 0
    cached_price = price.input if price.cached_input is None else price.cached_input
    return (
        (tokens.input - cached) * price.input
        + cached * cached_price
        + tokens.output * price.output
        + (price.request or Decimal(0))
    )


def most_cost(
    price: ModelPrice, facts: ModelFacts, turns: Sequence[Turn], max_output_tokens: int | None
) -> Decimal:
    """USD that one call may cost at most, see ``ASSUMED_OUTPUT_TOKENS``."""
    output = max_output_tokens or min(
        ASSUMED_OUTPUT_TOKENS, facts.max_output_tokens or ASSUMED_OUTPUT_TOKENS
    )
    return cost(price, Tokens(input=most_tokens(turns), output=output))
