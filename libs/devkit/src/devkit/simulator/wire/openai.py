"""What OpenAI's two APIs share: keys, errors, tools and the wish for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devkit.simulator.tools import Tool, ToolMode, ToolUse
from devkit.simulator.wire import reading
from devkit.simulator.wire.dialect import Headers, JsonShape, Reply
from devkit.simulator.wire.encoding import encode, number
from devkit.simulator.wire.errors import ApiError, bad_request, unauthenticated
from devkit.simulator.wire.reading import Body

PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}


def bearer_key(headers: Headers) -> bool:
    """Whether there is an ``Authorization: Bearer`` header with anything in it."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and bool(key.strip())


class OpenAiErrors:
    """Keys and refusals of both APIs."""

    def authenticate(self, headers: Headers) -> None:
        """Any bearer key will do."""
        if not bearer_key(headers):
            raise unauthenticated()

    def headers(self, request_id: str) -> Mapping[str, str]:
        """None of their own."""
        return {}

    def error_body(self, error: ApiError, request_id: str) -> bytes:
        """``{"error": {message, type, param, code}}``."""
        return encode(error.body())

    def model_not_found(self, model: str) -> ApiError:
        """404: the configuration declares no such model."""
        message = f"The model `{model}` does not exist or you do not have access to it."
        return ApiError(404, message, code="model_not_found")

    def not_settable(self, parameter: str, model: str) -> ApiError:
        """400: this model's parameter cannot be set."""
        message = f"Unsupported parameter: '{parameter}' is not supported with this model."
        return bad_request(message, parameter, "unsupported_parameter")

    def no_images(self, model: str) -> ApiError:
        """400: this model reads no images."""
        message = f"Invalid content type: image input is not supported by `{model}`."
        return bad_request(message, "messages", "invalid_value")

    def prompt_too_long(self, tokens: int, limit: int) -> ApiError:
        """400: the prompt is longer than the model's context."""
        message = (
            f"The maximum context length of this model is {limit} tokens, "
            f"but the messages add up to {tokens} tokens. Please shorten them."
        )
        return bad_request(message, "messages", "context_length_exceeded")

    def limit_too_high(self, asked: int, limit: int, model: str) -> ApiError:
        """400: more output tokens are asked for than the model can ever give."""
        message = f"max_tokens is too large: {asked}. This model gives {limit} tokens at most."
        return bad_request(message, "max_tokens", "invalid_value")


def model_name(body: Body) -> str:
    """The model a request names."""
    if body.get("model") is None:
        raise bad_request("you must provide a model parameter", None)
    return reading.string(body["model"], "model")


def json_shape(wish: object, at: str, definition: str | None) -> JsonShape | None:
    """The JSON asked for; ``definition`` is the key under which a schema is wrapped, if any."""
    if wish is None:
        return None
    body = reading.mapping(wish, at)
    kind = body.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonShape(None, "json_object")
    if kind != "json_schema":
        raise reading.invalid_value(f"{at}.type", "expected text, json_object or json_schema")
    where = f"{at}.{definition}" if definition else at
    declared = reading.mapping(body.get(definition), where) if definition else body
    reading.string(declared.get("name"), f"{where}.name")
    schema = reading.mapping(declared.get("schema", {}), f"{where}.schema")
    return JsonShape(schema, encode(schema).decode())


def declared_tools(body: Body, read: Callable[[Body, str], Tool]) -> ToolUse | None:
    """The tools of a request and its choice among them; ``read`` reads one (row, where it is)."""
    declared = body.get("tools")
    if not declared:
        return tool_use((), body.get("tool_choice") or "auto", "")
    tools = tuple(read(row, at) for at, row in reading.filled(declared, "tools"))
    return tool_use(tools, body.get("tool_choice"), encode(declared).decode())


def tool_use(tools: tuple[Tool, ...], choice: object, text: str) -> ToolUse | None:
    """Tools with OpenAI's ``tool_choice``: a word, one function, or those allowed."""
    if choice is None or isinstance(choice, str):
        mode = reading.one_of(choice or "auto", frozenset(ToolMode), "tool_choice")
        return _used(tools, ToolMode(mode), text)
    body = reading.mapping(choice, "tool_choice")
    if body.get("type") == "allowed_tools":
        allowed = reading.mapping(body.get("allowed_tools", body), "tool_choice.allowed_tools")
        mode = reading.one_of(allowed.get("mode"), frozenset(ToolMode), "tool_choice.mode")
        names = [_name(row) for _, row in reading.filled(allowed.get("tools"), "tool_choice.tools")]
        return _used(_named(tools, names), ToolMode(mode), text)
    if body.get("type") != "function":
        raise reading.invalid_value("tool_choice.type", "expected function or allowed_tools")
    return _used(_named(tools, [_name(body)]), ToolMode.REQUIRED, text)


def _used(tools: tuple[Tool, ...], mode: ToolMode, text: str) -> ToolUse | None:
    if not tools and mode is ToolMode.REQUIRED:
        raise bad_request("'tool_choice' needs 'tools' to choose from.", "tool_choice")
    return ToolUse(tools, mode, text) if tools else None


def _name(body: Body) -> object:
    """Chat Completions wraps the name in ``function``, Responses does not."""
    function = body.get("function")
    return function.get("name") if isinstance(function, dict) else body.get("name")


def _named(tools: tuple[Tool, ...], names: list[object]) -> tuple[Tool, ...]:
    found = tuple(tool for tool in tools if tool.name in names)
    if not found:
        message = f"Tool choice {names} not found in 'tools' parameter."
        raise bad_request(message, "tool_choice", "invalid_value")
    return found


def with_usage(envelope: bytes, usage: str) -> bytes:
    """A JSON object with ``usage`` put in as its last key; spares encoding decimals as floats."""
    return envelope[:-1] + b',"usage":' + usage.encode() + b"}"


def cost_field(reply: Reply) -> str:
    """``usage.cost`` in USD with all its digits, as OpenRouter reports it; empty if unknown."""
    return "" if reply.cost is None else f',"cost":{number(reply.cost)}'
