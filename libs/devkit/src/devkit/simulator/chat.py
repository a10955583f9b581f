"""The Chat Completions wire format: completion bodies, stream chunks, token counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from devkit.simulator.drawing import Message

DONE = b"data: [DONE]\n\n"
_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 3
_TOKENS_PRIMING_REPLY = 3
_WORD = re.compile(r"\s*\S+|\s+\Z")


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished answer, ready to be sent whole or in chunks. ``created`` is Unix seconds."""

    id: str
    created: int
    model: str
    fingerprint: str
    text: str
    finish_reason: str
    prompt_tokens: int

    def body(self) -> bytes:
        """The response to a call without ``stream``."""
        message: dict[str, object] = {
            "role": "assistant",
            "content": self.text,
            "refusal": None,
            "annotations": [],
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.finish_reason,
        }
        envelope = self._envelope("chat.completion") | {"choices": [choice]}
        return encode(envelope | {"usage": self.usage()})

    def chunks(self, include_usage: bool, words: int) -> Iterator[bytes]:
        """The server-sent events of a stream, ``words`` words in a delta, ``[DONE]`` last."""
        extra: dict[str, object] = {"usage": None} if include_usage else {}
        envelope = self._envelope("chat.completion.chunk") | extra
        yield _event(envelope, _choice({"role": "assistant", "content": "", "refusal": None}))
        for piece in split_words(self.text, words):
            yield _event(envelope, _choice({"content": piece}))
        yield _event(envelope, _choice({}, self.finish_reason))
        if include_usage:
            yield _event(envelope | {"usage": self.usage()})
        yield DONE

    def usage(self) -> dict[str, object]:
        """Token counts in OpenAI's shape; nothing is ever cached or spent on reasoning."""
        completion = estimate_tokens(self.text)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def _envelope(self, kind: str) -> dict[str, object]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": self.fingerprint,
            "simulated": True,
        }


def estimate_tokens(text: str) -> int:
    """Tokens of a text: its UTF-8 bytes divided by 4, rounded up (no tokenizer is loaded)."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def estimate_prompt_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a conversation: 3 for each message and 3 for the reply, plus the contents.

    The constants are those of OpenAI's "How to count tokens with tiktoken" cookbook.
    """
    contents = sum(estimate_tokens(message.text) for message in messages)
    return contents + _TOKENS_PER_MESSAGE * len(messages) + _TOKENS_PRIMING_REPLY


def truncate(text: str, max_tokens: int | None) -> tuple[str, str]:
    """The text within the limit and its finish reason, ``stop`` or ``length``."""
    if max_tokens is None or estimate_tokens(text) <= max_tokens:
        return text, "stop"
    raw = text.encode("utf-8", "surrogatepass")[: max_tokens * _BYTES_PER_TOKEN]
    return raw.decode("utf-8", "ignore"), "length"


def split_words(text: str, words: int) -> Iterator[str]:
    """The text in pieces of ``words`` words; joined they are the text again."""
    starts = [match.start() for match in _WORD.finditer(text)][::words]
    for start, end in pairwise([*starts, len(text)]):
        yield text[start:end]


def encode(body: object) -> bytes:
    """Compact JSON."""
    return json.dumps(body, separators=(",", ":")).encode()


def _choice(delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(envelope: dict[str, object], *choices: dict[str, object]) -> bytes:
    return b"data: " + encode(envelope | {"choices": choices}) + b"\n\n"
