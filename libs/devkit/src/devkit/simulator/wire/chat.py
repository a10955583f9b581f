"""OpenAI Chat Completions: bodies and stream chunks."""

from __future__ import annotations

from devkit.simulator.tokens import split_characters, split_words
from devkit.simulator.tools import ToolCall
from devkit.simulator.wire.chat_request import parse_chat_request
from devkit.simulator.wire.dialect import CHARACTERS_PER_WORD, Ask, End, Events, Reply
from devkit.simulator.wire.encoding import data_event, encode
from devkit.simulator.wire.openai import OpenAiErrors, cost_field, with_usage

_DONE = b"data: [DONE]\n\n"
_FINISH = {
    End.STOP: "stop",
    End.LENGTH: "length",
    End.TOOL: "tool_calls",
    End.FILTERED: "content_filter",
}


class ChatCompletions(OpenAiErrors):
    """``POST /v1/chat/completions``."""

    name = ""

    def parse(self, raw: bytes) -> Ask:
        """Read a request body. Raises ``ApiError`` 400."""
        return parse_chat_request(raw)

    def body(self, reply: Reply, ask: Ask) -> bytes:
        """The response to a call without ``stream``."""
        choice = {
            "index": 0,
            "message": _message(reply),
            "logprobs": None,
            "finish_reason": _FINISH[reply.end],
        }
        choices = [] if _is_empty(reply) else [choice]
        return with_usage(encode(_envelope(reply, "chat.completion", choices)), usage(reply))

    def events(self, reply: Reply, ask: Ask, words: int) -> Events:
        """Chunks of ``words`` words; usage and ``[DONE]`` come last."""
        writer = _Chunks(reply, ask.include_usage)
        content, closing = [], []
        if not _is_empty(reply):
            first: dict[str, object] = {
                "role": "assistant",
                "content": None if reply.call else "",
                "refusal": None,
            }
            content = [writer.chunk(first), *writer.deltas(words)]
            closing = [writer.chunk({}, _FINISH[reply.end])]
        if ask.include_usage:
            closing.append(writer.usage_chunk())
        return Events(content, [*closing, _DONE])

    def broken_off(self, reply: Reply, ask: Ask, sent: int) -> bytes:
        """A chunk with an error and ``finish_reason: "error"``, as OpenRouter sends it."""
        choice = _choice({"content": ""}, "error")
        envelope = _envelope(reply, "chat.completion.chunk", [choice])
        error = {"code": "server_error", "message": "The provider broke off the answer."}
        return data_event(encode(envelope | {"error": error}))


class _Chunks:
    """The chunks of one stream, which share everything but their choice."""

    def __init__(self, reply: Reply, include_usage: bool) -> None:
        self._reply = reply
        bare = encode(_envelope(reply, "chat.completion.chunk", []))
        empty_usage = b',"usage":null' if include_usage else b""
        self._start = b"data: " + bare[: -len(b"]}")]
        self._end = b"]" + empty_usage + b"}\n\n"
        self._bare = bare

    def chunk(self, delta: dict[str, object], finish_reason: str | None = None) -> bytes:
        return self._start + encode(_choice(delta, finish_reason)) + self._end

    def deltas(self, words: int) -> list[bytes]:
        call = self._reply.call
        if call is None:
            pieces = split_words(self._reply.text, words)
            return [self.chunk({"content": piece}) for piece in pieces]
        opening = {"index": 0, **_tool_call(self._reply.key, ToolCall(call.name, ""))}
        arguments = split_characters(call.arguments, words * CHARACTERS_PER_WORD)
        return [
            self.chunk({"tool_calls": [opening]}),
            *(
                self.chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                for piece in arguments
            ),
        ]

    def usage_chunk(self) -> bytes:
        return data_event(with_usage(self._bare, usage(self._reply)))


def usage(reply: Reply) -> str:
    """Token counts as JSON; nothing is ever cached or spent on reasoning."""
    total = reply.prompt_tokens + reply.completion_tokens
    return (
        f'{{"prompt_tokens":{reply.prompt_tokens},"completion_tokens":{reply.completion_tokens},'
        f'"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},'
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}'
        f"{cost_field(reply)}}}"
    )


def _envelope(reply: Reply, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{reply.key}",
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": reply.fingerprint,
        "simulated": True,
        "choices": choices,
    }


def _message(reply: Reply) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if reply.blank or reply.call else reply.text,
        "refusal": None,
        "annotations": [],
    }
    if reply.call:
        message["tool_calls"] = [_tool_call(reply.key, reply.call)]
    return message


def _tool_call(key: str, call: ToolCall) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{key[:24]}", "type": "function", "function": function}


def _is_empty(reply: Reply) -> bool:
    return reply.blank and reply.end is End.STOP


def _choice(delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
