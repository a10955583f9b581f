"""Reading an Anthropic Messages request, refusing what cannot be answered."""

from __future__ import annotations

from devkit.simulator.drawing import Message
from devkit.simulator.tools import Tool, ToolMode, ToolUse
from devkit.simulator.wire import reading
from devkit.simulator.wire.dialect import Ask, JsonShape
from devkit.simulator.wire.encoding import encode
from devkit.simulator.wire.errors import bad_request
from devkit.simulator.wire.reading import Body

_ROLES = frozenset({"user", "assistant", "system"})
_UNSUPPORTED = ("container", "mcp_servers", "stop_sequences", "context_management")
_MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "none": ToolMode.NONE}
_THOUGHTS = ("thinking", "redacted_thinking")


def parse_messages_request(raw: bytes, *, counting: bool = False) -> Ask:
    """Read a request body. Raises ``ApiError`` 400.

    ``counting`` is for ``count_tokens``, which has no ``max_tokens``.
    """
    body = reading.read_object(raw)
    for name in _UNSUPPORTED:
        if body.get(name):
            raise reading.unsupported(name)
    if not counting:
        reading.required(body, "max_tokens")
    return Ask(
        model=reading.string(reading.required(body, "model"), "model"),
        messages=(*_system(body.get("system")), *_messages(body)),
        stream=reading.flag(body, "stream"),
        max_tokens=reading.integer(body, "max_tokens", least=1),
        given=reading.given(body),
        tools=_tools(body),
        shape=_shape(body),
    )


def _system(value: object) -> list[Message]:
    if value is None:
        return []
    texts, _ = _texts(value, "system", images=False)
    return [Message("system", "".join(texts))]


def _messages(body: Body) -> list[Message]:
    found: list[Message] = []
    for at, item in reading.filled(reading.required(body, "messages"), "messages"):
        role = reading.one_of(item.get("role"), _ROLES, f"{at}.role")
        found += _split(role, item.get("content"), f"{at}.content")
    return found


def _split(role: str, content: object, at: str) -> list[Message]:
    """One message, after those for the tool results in it, as other APIs put it."""
    if isinstance(content, str):
        return [Message(role, content)]
    results: list[Message] = []
    calls: list[str] = []
    rest: list[Body] = []
    for where, block in reading.rows(content, at):
        kind = block.get("type")
        if kind == "tool_result":
            results.append(_result(block, where))
        elif kind == "tool_use":
            calls.append(_call(block, where))
        elif kind not in _THOUGHTS:
            rest.append(block)
    texts, images = _texts(rest, at, images=True)
    if results and not (calls or rest):
        return results
    return [*results, Message(role, "".join(texts), tuple(images), tuple(calls))]


def _texts(value: object, at: str, *, images: bool) -> tuple[list[str], list[str]]:
    if isinstance(value, str):
        return [value], []
    texts: list[str] = []
    found: list[str] = []
    for where, block in reading.rows(value, at):
        kind = block.get("type")
        if kind == "text":
            texts.append(reading.string(block.get("text"), f"{where}.text"))
        elif kind == "image" and images:
            found.append(_image(block, where))
        else:
            raise reading.invalid_value(f"{where}.type", f"{kind!r} blocks cannot be read here")
    return texts, found


def _image(block: Body, at: str) -> str:
    source = reading.mapping(block.get("source"), f"{at}.source")
    kinds = {"base64": "data", "url": "url"}
    kind = reading.one_of(source.get("type"), frozenset(kinds), f"{at}.source.type")
    where = kinds[kind]
    return reading.image_key(reading.string(source.get(where), f"{at}.source.{where}"))


def _result(block: Body, at: str) -> Message:
    reading.string(block.get("tool_use_id"), f"{at}.tool_use_id")
    content = block.get("content")
    texts, images = _texts("" if content is None else content, f"{at}.content", images=True)
    return Message("tool", "".join(texts), tuple(images))


def _call(block: Body, at: str) -> str:
    name = reading.string(block.get("name"), f"{at}.name")
    return f"{name} {encode(reading.mapping(block.get('input'), f'{at}.input')).decode()}"


def _tools(body: Body) -> ToolUse | None:
    declared = body.get("tools")
    if not declared:
        return None
    tools = tuple(_tool(row, at) for at, row in reading.filled(declared, "tools"))
    text = encode(declared).decode()
    choice = reading.mapping(body.get("tool_choice") or {"type": "auto"}, "tool_choice")
    kind = reading.one_of(choice.get("type"), frozenset({*_MODES, "tool"}), "tool_choice.type")
    if kind != "tool":
        return ToolUse(tools, _MODES[kind], text)
    named = tuple(tool for tool in tools if tool.name == choice.get("name"))
    if not named:
        message = f"Tool '{choice.get('name')}' not found in provided tools"
        raise bad_request(message, "tool_choice.name")
    return ToolUse(named, ToolMode.REQUIRED, text)


def _tool(row: Body, at: str) -> Tool:
    if row.get("type") not in (None, "custom"):
        raise reading.invalid_value(f"{at}.type", "the simulator calls custom tools only")
    name = reading.string(row.get("name"), f"{at}.name")
    return Tool(name, reading.mapping(row.get("input_schema"), f"{at}.input_schema"))


def _shape(body: Body) -> JsonShape | None:
    """The schema in ``output_config.format``; older clients send it as ``output_format``."""
    config = reading.mapping(body.get("output_config") or {}, "output_config")
    wish = config.get("format") or body.get("output_format")
    if wish is None:
        return None
    form = reading.mapping(wish, "output_config.format")
    reading.one_of(form.get("type"), frozenset({"json_schema"}), "output_config.format.type")
    schema = reading.mapping(form.get("schema"), "output_config.format.schema")
    return JsonShape(schema, encode(schema).decode())
