"""Anthropic Messages: bodies, stream events and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping

from devkit.simulator.tokens import split_characters, split_words
from devkit.simulator.tools import ToolCall
from devkit.simulator.wire.dialect import CHARACTERS_PER_WORD, Ask, End, Events, Headers, Reply
from devkit.simulator.wire.encoding import encode, named_event
from devkit.simulator.wire.errors import ApiError, bad_request
from devkit.simulator.wire.messages_request import parse_messages_request
from devkit.simulator.wire.openai import bearer_key

VERSION_HEADER = b"anthropic-version"
_STOP = {
    End.STOP: "end_turn",
    End.LENGTH: "max_tokens",
    End.TOOL: "tool_use",
    End.FILTERED: "refusal",
}
_REFUSED = {
    "type": "refusal",
    "category": None,
    "explanation": "The simulated model refuses to answer.",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Messages:
    """``POST /v1/messages``."""

    name = "messages"

    def authenticate(self, headers: Headers) -> None:
        """Any ``x-api-key`` or bearer key will do; ``anthropic-version`` must be there."""
        if not headers.get(b"x-api-key", b"").strip() and not bearer_key(headers):
            raise ApiError(401, "x-api-key header is required")
        if not headers.get(VERSION_HEADER, b"").strip():
            raise bad_request("anthropic-version: header is required", "anthropic-version")

    def parse(self, raw: bytes) -> Ask:
        """Read a request body. Raises ``ApiError`` 400."""
        return parse_messages_request(raw)

    def headers(self, request_id: str) -> Mapping[str, str]:
        """The id by which the SDK refers to the request."""
        return {"request-id": request_id}

    def body(self, reply: Reply, ask: Ask) -> bytes:
        """The response to a call without ``stream``."""
        content = [] if reply.blank else [_block(reply)]
        return encode(_message(reply, content, reply.end) | {"simulated": True})

    def events(self, reply: Reply, ask: Ask, words: int) -> Events:
        """A start, a ping, one content block in deltas of ``words`` words, and the end."""
        started = _message(reply, [], None)
        content = [
            _event({"type": "message_start", "message": started}),
            _event({"type": "ping"}),
        ]
        if not reply.blank:
            content += _block_events(reply, words)
        return Events(content, [_event(_message_delta(reply)), _event({"type": "message_stop"})])

    def broken_off(self, reply: Reply, ask: Ask, sent: int) -> bytes:
        """``event: error``, as Anthropic sends it when it is overloaded in mid-stream."""
        return _event({"type": "error", "error": _error("overloaded_error", "Overloaded")})

    def error_body(self, error: ApiError, request_id: str) -> bytes:
        """``{"type": "error", "error": {type, message}, "request_id"}``."""
        kind = _TYPES.get(error.status, "api_error" if error.status >= 500 else _TYPES[400])
        body = {"type": "error", "error": _error(kind, str(error)), "request_id": request_id}
        return encode(body | {"simulated": True})

    def model_not_found(self, model: str) -> ApiError:
        """404: the configuration declares no such model."""
        return ApiError(404, f"model: {model}")

    def not_settable(self, parameter: str, model: str) -> ApiError:
        """400: this model's parameter cannot be set."""
        return bad_request(f"{parameter}: is not supported by {model}", parameter)

    def no_images(self, model: str) -> ApiError:
        """400: this model reads no images."""
        return bad_request(f"messages: image content is not supported by {model}", "messages")

    def prompt_too_long(self, tokens: int, limit: int) -> ApiError:
        """400: the prompt is longer than the model's context."""
        return bad_request(f"prompt is too long: {tokens} tokens > {limit} maximum", "messages")

    def limit_too_high(self, asked: int, limit: int, model: str) -> ApiError:
        """400: more output tokens are asked for than the model can ever give."""
        message = f"max_tokens: {asked} > {limit}, the most output tokens {model} can give"
        return bad_request(message, "max_tokens")


def _error(kind: str, message: str) -> dict[str, object]:
    return {"type": kind, "message": message}


def _event(body: dict[str, object]) -> bytes:
    return named_event(body | {"simulated": True})


def _message(reply: Reply, content: list[dict[str, object]], end: End | None) -> dict[str, object]:
    return {
        "id": f"msg_{reply.key[:24]}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": end and _STOP[end],
        "stop_sequence": None,
        "stop_details": _REFUSED if end is End.FILTERED else None,
        "usage": _usage(reply, finished=end is not None),
    }


def _usage(reply: Reply, *, finished: bool) -> dict[str, object]:
    """Token counts; nothing is ever written to a cache or read from one."""
    return {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": reply.completion_tokens if finished else min(1, reply.completion_tokens),
        "service_tier": "standard",
    }


def _message_delta(reply: Reply) -> dict[str, object]:
    whole = _message(reply, [], reply.end)
    usage = {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": reply.completion_tokens,
    }
    delta = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    return {"type": "message_delta", "delta": delta, "usage": usage}


def _block(reply: Reply) -> dict[str, object]:
    if reply.call is None:
        return {"type": "text", "text": reply.text, "citations": None}
    return _tool_use(reply, reply.call, _input(reply.call))


def _tool_use(reply: Reply, call: ToolCall, given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": f"toolu_{reply.key[:24]}", "name": call.name, "input": given}


def _input(call: ToolCall) -> object:
    """The arguments as an object; cut off by ``max_tokens`` they are none."""
    try:
        return json.loads(call.arguments)
    except json.JSONDecodeError:
        return {}


def _block_events(reply: Reply, words: int) -> list[bytes]:
    call = reply.call
    if call is None:
        opened: dict[str, object] = {"type": "text", "text": "", "citations": None}
        deltas = [{"type": "text_delta", "text": piece} for piece in split_words(reply.text, words)]
    else:
        opened = _tool_use(reply, call, {})
        pieces = split_characters(call.arguments, words * CHARACTERS_PER_WORD)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        _event({"type": "content_block_start", "index": 0, "content_block": opened}),
        *(_event({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        _event({"type": "content_block_stop", "index": 0}),
    ]
