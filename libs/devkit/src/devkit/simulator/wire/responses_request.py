"""Reading an OpenAI Responses request, refusing what cannot be answered."""

from __future__ import annotations

from devkit.simulator.drawing import Message
from devkit.simulator.tools import Tool
from devkit.simulator.wire import reading
from devkit.simulator.wire.dialect import Ask
from devkit.simulator.wire.openai import PARAMETERS, declared_tools, json_shape, model_name
from devkit.simulator.wire.reading import Body

_ROLES = frozenset({"developer", "system", "user", "assistant"})
_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
_UNSUPPORTED = ("previous_response_id", "conversation", "background", "prompt", "top_logprobs")
_ECHOED: dict[str, object] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}


def parse_responses_request(raw: bytes) -> Ask:
    """Read a request body. Raises ``ApiError`` 400 for what OpenAI or this simulator refuses."""
    body = reading.read_object(raw)
    for name in _UNSUPPORTED:
        if body.get(name):
            raise reading.unsupported(name)
    if body.get("truncation") not in (None, "disabled"):
        raise reading.unsupported("truncation")
    text = reading.mapping(body.get("text") or {}, "text")
    return Ask(
        model=model_name(body),
        messages=(*_instructions(body), *_input(body)),
        stream=reading.flag(body, "stream"),
        include_usage=True,
        max_tokens=reading.integer(body, "max_output_tokens", least=1),
        given=reading.given(body),
        tools=declared_tools(body, _tool),
        shape=json_shape(text.get("format"), "text.format", None),
        echo=_echo(body),
    )


def _echo(body: Body) -> Body:
    return {
        name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()
    }


def _instructions(body: Body) -> list[Message]:
    if body.get("instructions") is None:
        return []
    return [Message("system", reading.string(body["instructions"], "instructions"))]


def _input(body: Body) -> list[Message]:
    value = reading.required(body, "input")
    if isinstance(value, str):
        return [Message("user", value)]
    found = [_item(item, at) for at, item in reading.filled(value, "input")]
    return [message for message in found if message is not None]


def _item(item: Body, at: str) -> Message | None:
    kind = item.get("type", "message")
    if kind == "message":
        role = reading.one_of(item.get("role"), _ROLES, f"{at}.role")
        return _message(role, item.get("content"), f"{at}.content")
    if kind == "function_call":
        name = reading.string(item.get("name"), f"{at}.name")
        arguments = reading.string(item.get("arguments"), f"{at}.arguments")
        return Message("assistant", "", (), (f"{name} {arguments}",))
    if kind == "function_call_output":
        return _message("tool", item.get("output"), f"{at}.output")
    if kind == "reasoning":
        return None
    raise reading.invalid_value(f"{at}.type", f"{kind!r} items cannot be read here")


def _message(role: str, content: object, at: str) -> Message:
    if isinstance(content, str):
        return Message(role, content)
    texts: list[str] = []
    images: list[str] = []
    for where, part in reading.rows(content, at):
        kind = part.get("type")
        if kind in _TEXTS:
            texts.append(reading.string(part.get(_TEXTS[kind]), f"{where}.{_TEXTS[kind]}"))
        elif kind == "input_image":
            url = reading.string(part.get("image_url"), f"{where}.image_url")
            images.append(reading.image_key(url))
        else:
            raise reading.invalid_value(f"{where}.type", f"{kind!r} parts cannot be read here")
    return Message(role, "".join(texts), tuple(images))


def _tool(row: Body, at: str) -> Tool:
    if row.get("type") != "function":
        raise reading.invalid_value(f"{at}.type", "the simulator calls functions only")
    name = reading.string(row.get("name"), f"{at}.name")
    return Tool(name, reading.mapping(row.get("parameters") or PARAMETERS, f"{at}.parameters"))
