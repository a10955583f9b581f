"""OpenAI Responses: bodies and stream events."""

from __future__ import annotations

from collections.abc import Iterator

from devkit.simulator.tokens import split_characters, split_words
from devkit.simulator.tools import ToolCall
from devkit.simulator.wire.dialect import CHARACTERS_PER_WORD, Ask, End, Events, Reply
from devkit.simulator.wire.encoding import encode, named_event
from devkit.simulator.wire.openai import OpenAiErrors, cost_field, with_usage
from devkit.simulator.wire.responses_request import parse_responses_request

_INCOMPLETE = {End.LENGTH: "max_output_tokens", End.FILTERED: "content_filter"}
_AT = {"output_index": 0}
_IN = {"output_index": 0, "content_index": 0}


class Responses(OpenAiErrors):
    """``POST /v1/responses``."""

    name = "responses"

    def parse(self, raw: bytes) -> Ask:
        """Read a request body. Raises ``ApiError`` 400."""
        return parse_responses_request(raw)

    def body(self, reply: Reply, ask: Ask) -> bytes:
        """The response to a call without ``stream``."""
        return with_usage(encode(_response(reply, ask, _status(reply))), usage(reply))

    def events(self, reply: Reply, ask: Ask, words: int) -> Events:
        """Created, in progress, one output item in deltas of ``words`` words, and the end."""
        started = _response(reply, ask, "in_progress") | {"usage": None}
        bodies: list[dict[str, object]] = [
            {"type": "response.created", "response": started},
            {"type": "response.in_progress", "response": started},
            *(() if reply.blank else _item_events(reply, words)),
        ]
        content = [named_event(_numbered(body, at)) for at, body in enumerate(bodies)]
        return Events(content, [_last(reply, len(content), self.body(reply, ask))])

    def broken_off(self, reply: Reply, ask: Ask, sent: int) -> bytes:
        """``response.failed`` with the reason."""
        failed = _response(reply, ask, "failed") | {
            "output": [],
            "error": {"code": "server_error", "message": "The provider broke off the answer."},
            "usage": None,
        }
        return named_event(_numbered({"type": "response.failed", "response": failed}, sent))


def usage(reply: Reply) -> str:
    """Token counts as JSON; nothing is ever cached or spent on reasoning."""
    total = reply.prompt_tokens + reply.completion_tokens
    return (
        f'{{"input_tokens":{reply.prompt_tokens},'
        '"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},'
        f'"output_tokens":{reply.completion_tokens},'
        f'"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{total}'
        f"{cost_field(reply)}}}"
    )


def _status(reply: Reply) -> str:
    return "incomplete" if reply.end in _INCOMPLETE else "completed"


def _response(reply: Reply, ask: Ask, status: str) -> dict[str, object]:
    """The response object without its usage; it has output and details once it has ended."""
    ended = status in ("completed", "incomplete")
    reason = _INCOMPLETE.get(reply.end) if ended else None
    return {
        "id": f"resp_{reply.key}",
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": reply.model,
        "output": [_item(reply, status, whole=True)] if ended and not reply.blank else [],
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "truncation": "disabled",
        "simulated": True,
        **ask.echo,
    }


def _item(reply: Reply, status: str, *, whole: bool) -> dict[str, object]:
    if reply.call:
        return _function_call(reply, reply.call, status, whole=whole)
    return {
        "id": f"msg_{reply.key}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [_part(reply.text)] if whole else [],
    }


def _function_call(reply: Reply, call: ToolCall, status: str, *, whole: bool) -> dict[str, object]:
    return {
        "id": f"fc_{reply.key}",
        "type": "function_call",
        "call_id": f"call_{reply.key[:24]}",
        "name": call.name,
        "arguments": call.arguments if whole else "",
        "status": status,
    }


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item_events(reply: Reply, words: int) -> Iterator[dict[str, object]]:
    started, done = (
        _item(reply, "in_progress", whole=False),
        _item(reply, _status(reply), whole=True),
    )
    yield {"type": "response.output_item.added", **_AT, "item": started}
    yield from _call_events(reply, reply.call, words) if reply.call else _text_events(reply, words)
    yield {"type": "response.output_item.done", **_AT, "item": done}


def _text_events(reply: Reply, words: int) -> Iterator[dict[str, object]]:
    where = {"item_id": f"msg_{reply.key}", **_IN}
    yield {"type": "response.content_part.added", **where, "part": _part("")}
    for piece in split_words(reply.text, words):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": reply.text, "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": _part(reply.text)}


def _call_events(reply: Reply, call: ToolCall, words: int) -> Iterator[dict[str, object]]:
    where = {"item_id": f"fc_{reply.key}", **_AT}
    for piece in split_characters(call.arguments, words * CHARACTERS_PER_WORD):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    arguments = {"name": call.name, "arguments": call.arguments}
    yield {"type": "response.function_call_arguments.done", **where, **arguments}


def _numbered(body: dict[str, object], number: int) -> dict[str, object]:
    return body | {"sequence_number": number, "simulated": True}


def _last(reply: Reply, number: int, response: bytes) -> bytes:
    """Written by hand around the finished response, whose cost must keep its digits."""
    name = f"response.{_status(reply)}".encode()
    start = encode(_numbered({"type": name.decode()}, number))
    return b"event: " + name + b"\ndata: " + start[:-1] + b',"response":' + response + b"}\n\n"
