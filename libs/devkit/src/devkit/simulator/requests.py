"""Reading a Chat Completions request, refusing with OpenAI's errors what cannot be answered."""

from __future__ import annotations

import json
from dataclasses import dataclass

from devkit.simulator.drawing import Message
from devkit.simulator.errors import ApiError, bad_request

_ROLES = frozenset({"developer", "system", "user", "assistant"})
_UNSUPPORTED = ("tools", "functions", "audio", "logprobs", "web_search_options", "prediction")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What of a request matters here; sampling parameters are accepted and change nothing."""

    model: str
    messages: tuple[Message, ...]
    stream: bool
    include_usage: bool
    seed: int | None
    max_tokens: int | None


def parse_chat_request(raw: bytes) -> ChatRequest:
    """Read a request body. Raises ``ApiError`` 400 for what OpenAI or this simulator refuses."""
    body = _object(raw)
    _refuse_unsupported(body)
    limit = _integer(body, "max_completion_tokens", least=1)
    return ChatRequest(
        model=_model(body),
        messages=_messages(body),
        stream=_flag(body, "stream"),
        include_usage=_include_usage(body),
        seed=_integer(body, "seed"),
        max_tokens=_integer(body, "max_tokens", least=1) if limit is None else limit,
    )


def _object(raw: bytes) -> dict[str, object]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request.", None)
    return body


def _refuse_unsupported(body: dict[str, object]) -> None:
    """Answering plain text to a request for tools or JSON would be a silent lie."""
    for name in _UNSUPPORTED:
        if body.get(name):
            raise _unsupported(name)
    if body.get("n") not in (None, 1):
        raise _unsupported("n")
    answer_format = body.get("response_format")
    if answer_format is not None and answer_format != {"type": "text"}:
        raise _unsupported("response_format")
    if body.get("modalities") not in (None, ["text"]):
        raise _unsupported("modalities")


def _unsupported(param: str) -> ApiError:
    message = f"Unsupported parameter: '{param}' is not supported by the simulator."
    return bad_request(message, param, "unsupported_parameter")


def _model(body: dict[str, object]) -> str:
    if body.get("model") is None:
        raise bad_request("you must provide a model parameter", None)
    return _string(body["model"], "model")


def _messages(body: dict[str, object]) -> tuple[Message, ...]:
    value = body.get("messages")
    if value is None:
        message = "Missing required parameter: 'messages'."
        raise bad_request(message, "messages", "missing_required_parameter")
    if not isinstance(value, list):
        raise _wrong_type("messages", "an array of objects")
    if not value:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise bad_request(message, "messages", "empty_array")
    return tuple(_message(item, f"messages[{at}]") for at, item in enumerate(value))


def _message(item: object, at: str) -> Message:
    if not isinstance(item, dict):
        raise _wrong_type(at, "an object")
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        expected = ", ".join(sorted(_ROLES))
        raise bad_request(f"Invalid value for '{at}.role': expected one of {expected}.", at)
    return Message(role, _content(item.get("content"), f"{at}.content"))


def _content(content: object, at: str) -> str:
    if isinstance(content, list):
        return "".join(_part(part, f"{at}[{index}]") for index, part in enumerate(content))
    return _string(content, at)


def _part(part: object, at: str) -> str:
    if not isinstance(part, dict):
        raise _wrong_type(at, "an object")
    if part.get("type") != "text":
        message = f"Invalid value for '{at}.type': the simulator reads text parts only."
        raise bad_request(message, f"{at}.type", "invalid_value")
    return _string(part.get("text"), f"{at}.text")


def _include_usage(body: dict[str, object]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise _wrong_type("stream_options", "an object")
    if body.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise bad_request(message, "stream_options")
    return _flag(options, "include_usage")


def _flag(body: dict[str, object], name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong_type(name, "a boolean")


def _integer(body: dict[str, object], name: str, least: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "an integer")
    if least is not None and value < least:
        message = f"Invalid '{name}': integer below minimum value. Expected a value >= {least}."
        raise bad_request(message, name, "integer_below_min_value")
    return value


def _string(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(at, "a string")
    return value


def _wrong_type(at: str, expected: str) -> ApiError:
    return bad_request(f"Invalid type for '{at}': expected {expected}.", at, "invalid_type")
