"""Answers in the shapes that providers document, from the wire to the reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import httpx2
import pytest
from llm_executor.adapters.anthropic import AnthropicProvider
from llm_executor.adapters.failures import Failures, Said, kind_of, refused_parameter, retry_after
from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.adapters.wire import Access
from llm_executor.domain.errors import KINDS, CallFailed
from llm_executor.domain.models import Call, Reply, Tokens, Turn

CALL = Call("a-model", (Turn("user", "Which app?"),), temperature=0.5)
OPENAI: dict[str, Any] = {
    "id": "chatcmpl-B9",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-5-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Notion.",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 1117,
        "completion_tokens": 46,
        "total_tokens": 1163,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 0},
    },
    "service_tier": "default",
}
OPENROUTER = {
    "id": "gen-17",
    "provider": "Acme",
    "model": "openai/gpt-5",
    "object": "chat.completion",
    "created": 1741569952,
    "choices": [
        {
            "finish_reason": "stop",
            "native_finish_reason": "completed",
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Notion.",
                "reasoning": "Hm.",
                "refusal": None,
            },
        }
    ],
    "usage": {
        "prompt_tokens": 194,
        "completion_tokens": 2,
        "total_tokens": 196,
        "cost": 0.00014,
        "is_byok": False,
        "cost_details": {"upstream_inference_cost": None},
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
GOOGLE = {
    "choices": [
        {
            "finish_reason": "stop",
            "index": 0,
            "message": {"content": "Notion.", "role": "assistant"},
        }
    ],
    "created": 1741569952,
    "id": "n2Qx",
    "model": "gemini-2.5-flash",
    "object": "chat.completion",
    "usage": {"completion_tokens": 2, "prompt_tokens": 5, "total_tokens": 30},
}
OLLAMA = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "llama3",
    "system_fingerprint": "fp_ollama",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Notion."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
ANTHROPIC = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "Notion.", "citations": None},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 6,
        "service_tier": "standard",
    },
}
Make = Callable[[Access], OpenAIProvider | AnthropicProvider]


def reply(model: str, name: str, tokens: Tokens, cost: str | None = None) -> Reply:
    usd = None if cost is None else Decimal(cost)
    return Reply("Notion.", model, name, "stop", tokens, simulated=False, cost_usd=usd)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("make", "body", "expected"),
    [
        (
            OpenAIProvider,
            OPENAI,
            reply("gpt-5-2025-08-07", "chatcmpl-B9", Tokens(1117, 46, 1024, 40)),
        ),
        (
            OpenAIProvider,
            OPENROUTER,
            reply("openai/gpt-5", "gen-17", Tokens(194, 2, 0, 0), "0.00014"),
        ),
        (OpenAIProvider, GOOGLE, reply("gemini-2.5-flash", "n2Qx", Tokens(5, 2))),
        (OpenAIProvider, OLLAMA, reply("llama3", "chatcmpl-1", Tokens(5, 2))),
        (
            AnthropicProvider,
            ANTHROPIC,
            reply("claude-sonnet-4-5-20250929", "msg_01", Tokens(1112, 6, 1000)),
        ),
    ],
    ids=["openai", "openrouter", "google", "ollama", "anthropic"],
)
async def test_an_answer_is_read(odd: Any, make: Make, body: object, expected: Reply) -> None:
    odd.says(body)
    provider = make(Access("acme", odd.url, "sk-test"))
    got = await provider.complete(CALL, 10)
    await provider.close()
    assert got == expected
    assert str(got.cost_usd) == str(expected.cost_usd)


OPENROUTER_FULL = {
    "error": {
        "code": 429,
        "message": "Provider returned error",
        "metadata": {
            "raw": "a-model is temporarily rate-limited upstream",
            "provider_name": "Acme",
        },
    },
    "user_id": "user_1",
}
GROQ_TOO_LARGE = {
    "error": {
        "message": "Request too large for model `a-model` on tokens per minute (TPM): Limit 6000",
        "type": "tokens",
        "code": "rate_limit_exceeded",
    }
}
GOOGLE_KEY = [
    {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo"}],
        }
    }
]
GOOGLE_QUOTA = [
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing.",
            "status": "RESOURCE_EXHAUSTED",
        }
    }
]
OLLAMA_MISSING = {"error": {"message": "model 'x' not found", "type": "api_error", "code": None}}
VLLM_LONG = {
    "object": "error",
    "message": "This model's maximum context length is 4096 tokens. However, you requested 9000.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}
ANTHROPIC_CREDIT = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "Your credit balance is too low to access the Anthropic API.",
    },
    "request_id": "req_1",
}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("make", "status", "body", "kind", "words"),
    [
        (OpenAIProvider, 429, OPENROUTER_FULL, "rate-limited", "Provider returned error"),
        (OpenAIProvider, 200, OPENROUTER_FULL, "rate-limited", "Provider returned error"),
        (OpenAIProvider, 413, GROQ_TOO_LARGE, "context-too-long", "Limit 6000"),
        (OpenAIProvider, 400, GOOGLE_KEY, "auth", "api_key_env"),
        (OpenAIProvider, 429, GOOGLE_QUOTA, "rate-limited", "exceeded your current quota"),
        (OpenAIProvider, 404, OLLAMA_MISSING, "unknown-model", "model 'x' not found"),
        (OpenAIProvider, 404, {"error": "model 'x' not found"}, "unknown-model", "'x'"),
        (OpenAIProvider, 400, VLLM_LONG, "context-too-long", "4096"),
        (OpenAIProvider, 422, {"detail": [{"msg": "field required"}]}, "bad-request", "required"),
        (AnthropicProvider, 400, ANTHROPIC_CREDIT, "out-of-credit", "credit balance"),
    ],
)
async def test_a_refusal_is_read(
    odd: Any, make: Make, status: int, body: object, kind: str, words: str
) -> None:
    odd.says(body, status)
    provider = make(Access("acme", odd.url, "sk-test"))
    with pytest.raises(CallFailed) as caught:
        await provider.complete(CALL, 10)
    await provider.close()
    assert caught.value.kind == kind
    assert words in str(caught.value)
    assert caught.value.billed is (status == 200)


@pytest.mark.asyncio
async def test_an_answer_is_kept_as_it_came(odd: Any) -> None:
    text = 'Größe 🫘 "quoted" \\ \n\u2028 光珈琲 \x00'
    odd.says({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    provider = OpenAIProvider(Access("acme", odd.url, "sk-test"))
    assert (await provider.complete(CALL, 10)).text == text
    await provider.close()


# What the words and headers of failures mean.

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 -0000"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:28:30 +0200"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx2.Headers(headers), NOW) == seconds


def test_every_status_has_a_known_kind() -> None:
    for status in (None, *range(100, 600)):
        assert kind_of(Said("", frozenset(), status)) in KINDS


def test_only_parameters_that_were_sent_are_refused() -> None:
    refusal = Said("temperature is not supported", frozenset(), 400)
    assert refused_parameter(refusal, ["seed", "temperature"]) == "temperature"
    assert refused_parameter(refusal, ["seed"]) is None
    assert (
        refused_parameter(Said("temperatures: not supported", frozenset(), 400), ["temperature"])
        is None
    )
    assert refused_parameter(Said(refusal.message, frozenset(), 500), ["temperature"]) is None


async def _caught(error: Exception) -> CallFailed:
    failures = Failures(Access("acme", "http://a", "sk-test"), KeyError)
    with pytest.raises(CallFailed) as caught:
        async with failures.within(5):
            raise error
    return caught.value


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "kind", "billed"),
    [
        (aiohttp.ConnectionTimeoutError("slow"), "connection-failed", False),
        (aiohttp.ServerDisconnectedError(), "connection-failed", True),
        (aiohttp.ServerTimeoutError("slow"), "timed-out", True),
        (httpx2.ReadError("cut"), "stream-cut", True),
        (httpx2.UnsupportedProtocol("odd"), "connection-failed", False),
        (ConnectionResetError("reset"), "connection-failed", True),
        (httpx2.HTTPError(""), "connection-failed", True),
        (KeyError("sk-test"), "connection-failed", True),
        (ValueError("sk-test"), "bad-request", False),
    ],
)
async def test_every_way_to_lose_a_connection_has_a_kind(
    error: Exception, kind: str, billed: bool
) -> None:
    failed = await _caught(error)
    assert (failed.kind, failed.billed) == (kind, billed)
    assert "sk-test" not in str(failed)


def test_the_shapes_here_are_json() -> None:
    shapes = (OPENAI, OPENROUTER, GOOGLE, OLLAMA, ANTHROPIC)
    assert all(json.loads(json.dumps(shape)) == shape for shape in shapes)
