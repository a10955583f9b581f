"""Reading a Chat Completions request, refusing with OpenAI's errors what cannot be answered."""

from __future__ import annotations

from devkit.simulator.drawing import Message
from devkit.simulator.tools import Tool
from devkit.simulator.wire import reading
from devkit.simulator.wire.dialect import Ask
from devkit.simulator.wire.errors import bad_request
from devkit.simulator.wire.openai import PARAMETERS, declared_tools, json_shape, model_name
from devkit.simulator.wire.reading import Body

_ROLES = frozenset({"developer", "system", "user", "assistant", "tool"})
_UNSUPPORTED = (
    *("functions", "function_call", "audio", "logprobs", "web_search_options", "prediction"),
)


def parse_chat_request(raw: bytes) -> Ask:
    """Read a request body. Raises ``ApiError`` 400 for what OpenAI or this simulator refuses."""
    body = reading.read_object(raw)
    _refuse_unsupported(body)
    limit = reading.integer(body, "max_completion_tokens", least=1)
    older = reading.integer(body, "max_tokens", least=1)
    return Ask(
        model=model_name(body),
        messages=_messages(body),
        stream=reading.flag(body, "stream"),
        include_usage=_include_usage(body),
        seed=reading.integer(body, "seed"),
        max_tokens=older if limit is None else limit,
        given=reading.given(body),
        tools=declared_tools(body, _tool),
        shape=json_shape(body.get("response_format"), "response_format", "json_schema"),
    )


def _refuse_unsupported(body: Body) -> None:
    """Answering as if the parameter were not there would be a silent lie."""
    for name in _UNSUPPORTED:
        if body.get(name):
            raise reading.unsupported(name)
    if body.get("n") not in (None, 1):
        raise reading.unsupported("n")
    if body.get("modalities") not in (None, ["text"]):
        raise reading.unsupported("modalities")


def _messages(body: Body) -> tuple[Message, ...]:
    value = reading.required(body, "messages")
    return tuple(_message(item, at) for at, item in reading.filled(value, "messages"))


def _message(item: Body, at: str) -> Message:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        expected = ", ".join(sorted(_ROLES))
        raise bad_request(f"Invalid value for '{at}.role': expected one of {expected}.", at)
    calls = _calls(item, at)
    if isinstance(content, str):
        return Message(role, content, (), calls)
    if content is None and role == "assistant":
        return Message(role, "", (), calls)
    texts, images = _parts(content, f"{at}.content")
    return Message(role, "".join(texts), tuple(images), calls)


def _parts(content: object, at: str) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    images: list[str] = []
    if not isinstance(content, list):
        raise reading.wrong_type(at, "a string")
    for where, part in reading.rows(content, at):
        kind = part.get("type")
        if kind in ("text", "refusal"):
            texts.append(reading.string(part.get(kind), f"{where}.{kind}"))
        elif kind == "image_url":
            image = reading.mapping(part.get("image_url"), f"{where}.image_url")
            url = reading.string(image.get("url"), f"{where}.image_url.url")
            images.append(reading.image_key(url))
        else:
            raise reading.invalid_value(f"{where}.type", "expected text or image_url")
    return texts, images


def _calls(item: Body, at: str) -> tuple[str, ...]:
    """The calls of an assistant message; ids are left out, they say nothing."""
    if item.get("tool_calls") is None:
        return ()
    calls = []
    for where, call in reading.rows(item["tool_calls"], f"{at}.tool_calls"):
        function = reading.mapping(call.get("function"), f"{where}.function")
        name = reading.string(function.get("name"), f"{where}.function.name")
        arguments = reading.string(function.get("arguments"), f"{where}.function.arguments")
        calls.append(f"{name} {arguments}")
    return tuple(calls)


def _tool(row: Body, at: str) -> Tool:
    if row.get("type") != "function":
        raise reading.invalid_value(f"{at}.type", "the simulator calls functions only")
    function = reading.mapping(row.get("function"), f"{at}.function")
    name = reading.string(function.get("name"), f"{at}.function.name")
    schema = function.get("parameters") or PARAMETERS
    return Tool(name, reading.mapping(schema, f"{at}.function.parameters"))


def _include_usage(body: Body) -> bool:
    """OpenAI asks with ``stream_options``, OpenRouter with ``usage: {include: true}``."""
    wish = body.get("usage")
    if wish is not None and reading.flag(reading.mapping(wish, "usage"), "include"):
        return True
    options = body.get("stream_options")
    if options is None:
        return False
    options = reading.mapping(options, "stream_options")
    if body.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise bad_request(message, "stream_options")
    return reading.flag(options, "include_usage")
