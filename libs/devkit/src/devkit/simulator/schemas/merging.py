"""One schema that says what two say together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devkit.simulator.schemas.conform import Schema, SchemaError, checked, same

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "$comment", "$defs"}
)
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def merged(base: Schema, extra: Schema) -> Schema:
    """A schema for the values both allow. Raises ``SchemaError`` where no rule is known.

    The result may allow more than both together do (it is checked against both afterwards).
    """
    result = dict(base)
    for keyword, value in extra.items():
        if keyword not in result or same(result[keyword], value) or keyword in _ANNOTATIONS:
            result[keyword] = value
        elif keyword in _RULES:
            result[keyword] = _RULES[keyword](result[keyword], value)
        else:
            raise SchemaError(keyword, "is given twice in ways that cannot be combined")
    return result


def _both(one: object, other: object) -> object:
    if one is True or other is True:
        return other if one is True else one
    if one is False or other is False:
        return False
    return merged(checked(one), checked(other))


def _properties(one: Any, other: Any) -> dict[str, Any]:
    shared = {name: _both(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **shared}


def _types(one: Any, other: Any) -> list[Any]:
    first, second = _names(one), _names(other)
    found = [name for name in first if name in second or _narrows(name, second)]
    found += [name for name in second if name not in first and _narrows(name, first)]
    if not found:
        raise SchemaError("type", "asks for different types at once")
    return found


def _names(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _narrows(name: Any, others: list[Any]) -> bool:
    return bool(name == "integer" and "number" in others)


def _enum(one: Any, other: Any) -> list[Any]:
    return [value for value in one if any(same(value, allowed) for allowed in other)]


_RULES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_LOWER, max),
    **dict.fromkeys(_UPPER, min),
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "properties": _properties,
    "type": _types,
    "enum": _enum,
    "items": _both,
    "additionalProperties": _both,
    "uniqueItems": lambda one, other: one or other,
    "allOf": lambda one, other: [*one, *other],
}
