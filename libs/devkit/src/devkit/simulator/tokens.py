"""Counting tokens without a tokenizer, and cutting texts by them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from devkit.simulator.drawing import Message

IMAGE_TOKENS = 1000
_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 3
_TOKENS_PRIMING_REPLY = 3
_WORD = re.compile(r"\s*\S+|\s+\Z")


def estimate_tokens(text: str) -> int:
    """Tokens of a text: its UTF-8 bytes divided by 4, rounded up (no tokenizer is loaded)."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // _BYTES_PER_TOKEN)


def estimate_prompt_tokens(messages: Sequence[Message], extras: Iterable[str] = ()) -> int:
    """Tokens of a conversation: 3 for each message and 3 for the reply, plus the contents.

    The constants are those of OpenAI's "How to count tokens with tiktoken" cookbook. An image
    counts as ``IMAGE_TOKENS``, whatever its size; ``extras`` are texts sent along, such as the
    tools a model may call.
    """
    contents = sum(_content_tokens(message) for message in messages)
    along = sum(estimate_tokens(text) for text in extras)
    return contents + along + _TOKENS_PER_MESSAGE * len(messages) + _TOKENS_PRIMING_REPLY


def _content_tokens(message: Message) -> int:
    calls = sum(estimate_tokens(call) for call in message.calls)
    return estimate_tokens(message.text) + calls + IMAGE_TOKENS * len(message.images)


def truncate(text: str, max_tokens: int | None) -> tuple[str, bool]:
    """The text within the limit, and whether anything was cut off."""
    if max_tokens is None or estimate_tokens(text) <= max_tokens:
        return text, False
    raw = text.encode("utf-8", "surrogatepass")[: max_tokens * _BYTES_PER_TOKEN]
    return raw.decode("utf-8", "ignore"), True


def split_words(text: str, words: int) -> Iterator[str]:
    """The text in pieces of ``words`` words; joined they are the text again."""
    starts = [match.start() for match in _WORD.finditer(text)][::words]
    for start, end in pairwise([*starts, len(text)]):
        yield text[start:end]


def split_characters(text: str, size: int) -> Iterator[str]:
    """The text in pieces of ``size`` characters."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
