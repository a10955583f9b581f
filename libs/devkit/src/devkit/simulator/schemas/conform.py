"""Whether a value satisfies a schema, in the part of JSON Schema 2020-12 used here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

Schema = Mapping[str, Any]

# Asserting keywords that values are never made for. Passing over one could break the promise.
_REFUSED = (
    *("pattern", "not", "if", "then", "else", "patternProperties", "propertyNames", "contains"),
    *("minContains", "maxContains", "dependentRequired", "dependentSchemas", "dependencies"),
    *("unevaluatedProperties", "unevaluatedItems", "additionalItems"),
    *("$dynamicRef", "$recursiveRef"),
)
_LONGEST_CHAIN = 50


class SchemaError(ValueError):
    """No value can be made for a schema; ``keyword`` says which part of it is the reason."""

    def __init__(self, keyword: str, reason: str) -> None:
        super().__init__(f"'{keyword}' {reason}")
        self.keyword = keyword


def checked(schema: object) -> Schema:
    """The schema as a mapping; ``True`` is the empty one. Raises ``SchemaError``."""
    if schema is True:
        return {}
    if schema is False:
        raise SchemaError("false", "allows no value at all")
    if not isinstance(schema, dict):
        raise SchemaError("schema", "is neither an object nor a boolean")
    for keyword in _REFUSED:
        if keyword in schema:
            raise SchemaError(keyword, "is not supported")
    return schema


def resolve(schema: object, root: Schema) -> tuple[Schema, Schema | None]:
    """What a schema refers to, and what else it says beside the reference."""
    found, beside = checked(schema), None
    for _ in range(_LONGEST_CHAIN):
        if "$ref" not in found:
            return found, beside
        rest = {key: value for key, value in found.items() if key != "$ref"}
        if beside and rest:
            raise SchemaError("$ref", "has other keywords beside it twice in a chain")
        beside = rest or beside
        found = checked(_target(found["$ref"], root))
    raise SchemaError("$ref", "leads in a circle")


def _target(reference: object, root: Schema) -> object:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaError("$ref", f"{reference!r} does not point into the schema itself")
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            raise SchemaError("$ref", f"{reference!r} points to nothing")
        found = found[key]
    return found


def violation(schema: object, value: object, root: Schema) -> str | None:
    """The keyword a value violates, ``None`` when it satisfies the schema.

    ``root`` is where references point into. ``format`` and annotations assert nothing. Raises
    ``SchemaError`` for a schema that cannot be read.
    """
    if schema is False:
        return "false"
    own, beside = resolve(schema, root)
    if beside is not None and (found := violation(beside, value, root)):
        return found
    for keyword, holds in _RULES.items():
        if keyword in own and not holds(own, value, root):
            return keyword
    return None


def same(one: object, other: object) -> bool:
    """JSON equality: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def has_type(value: object, name: object) -> bool:
    """Whether a value is of a JSON type; 1.0 is an integer."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "integer":
        return number and (isinstance(value, int) or float(str(value)).is_integer())
    if name == "number":
        return number
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SchemaError("type", f"{name!r} is no JSON type")
    return isinstance(value, kind)


def listed(schema: Schema, keyword: str) -> list[Any]:
    """A keyword that is a list, empty when absent. Raises ``SchemaError``."""
    value = schema.get(keyword, [])
    if not isinstance(value, list):
        raise SchemaError(keyword, "is not a list")
    return value


def tabled(schema: Schema, keyword: str) -> dict[str, Any]:
    """A keyword that is an object, empty when absent. Raises ``SchemaError``."""
    value = schema.get(keyword, {})
    if not isinstance(value, dict):
        raise SchemaError(keyword, "is not an object")
    return value


def bound(schema: Schema, keyword: str) -> int | float:
    """A keyword that is a number. Raises ``SchemaError``."""
    value = schema[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError(keyword, "is not a number")
    return value


def types(schema: Schema) -> list[Any]:
    """The types a schema allows, none when it does not say."""
    value = schema.get("type")
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_Rule = Callable[[Schema, Any, Schema], bool]


def _is_number(value: object) -> bool:
    return has_type(value, "number")


def _limit(
    keyword: str, applies: Callable[[Any], bool], holds: Callable[[Any, Any], bool]
) -> _Rule:
    def rule(schema: Schema, value: Any, _root: Schema) -> bool:
        return not applies(value) or holds(value, bound(schema, keyword))

    return rule


def _limits() -> Iterator[tuple[str, _Rule]]:
    for suffix, kind in (("Items", list), ("Length", str), ("Properties", dict)):
        sized = _of(kind)
        yield f"min{suffix}", _limit(f"min{suffix}", sized, lambda v, b: len(v) >= b)
        yield f"max{suffix}", _limit(f"max{suffix}", sized, lambda v, b: len(v) <= b)
    yield "minimum", _limit("minimum", _is_number, lambda v, b: bool(v >= b))
    yield "maximum", _limit("maximum", _is_number, lambda v, b: bool(v <= b))
    yield "exclusiveMinimum", _limit("exclusiveMinimum", _is_number, lambda v, b: bool(v > b))
    yield "exclusiveMaximum", _limit("exclusiveMaximum", _is_number, lambda v, b: bool(v < b))
    yield "multipleOf", _limit("multipleOf", _is_number, _is_multiple)


def _of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _is_multiple(value: float, unit: float) -> bool:
    """In binary and in decimal: validators differ about 0.3 and 0.1, so it must be both."""
    if unit <= 0:
        raise SchemaError("multipleOf", "must be above 0")
    exact = Fraction(str(value)) / Fraction(str(unit))
    return exact.denominator == 1 and (isinstance(unit, int) or (value / unit).is_integer())


def _type(schema: Schema, value: Any, _root: Schema) -> bool:
    matching = [has_type(value, name) for name in types(schema)]  # all: each must be a type
    return any(matching)


def _enum(schema: Schema, value: Any, _root: Schema) -> bool:
    return any(same(value, allowed) for allowed in listed(schema, "enum"))


def _const(schema: Schema, value: Any, _root: Schema) -> bool:
    return same(value, schema["const"])


def _required(schema: Schema, value: Any, _root: Schema) -> bool:
    return not isinstance(value, dict) or all(name in value for name in listed(schema, "required"))


def _properties(schema: Schema, value: Any, root: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    declared = tabled(schema, "properties")
    return all(
        violation(declared[name], item, root) is None
        for name, item in value.items()
        if name in declared
    )


def _additional(schema: Schema, value: Any, root: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    others = [item for name, item in value.items() if name not in tabled(schema, "properties")]
    rule = schema["additionalProperties"]
    return all(violation(rule, item, root) is None for item in others)


def _prefix(schema: Schema, value: Any, root: Schema) -> bool:
    if not isinstance(value, list):
        return True
    pairs = zip(listed(schema, "prefixItems"), value, strict=False)
    return all(violation(rule, item, root) is None for rule, item in pairs)


def _items(schema: Schema, value: Any, root: Schema) -> bool:
    if not isinstance(value, list):
        return True
    rest = value[len(listed(schema, "prefixItems")) :]
    return all(violation(schema["items"], item, root) is None for item in rest)


def _unique(schema: Schema, value: Any, _root: Schema) -> bool:
    if not isinstance(value, list) or not schema["uniqueItems"]:
        return True
    return not any(same(one, other) for at, one in enumerate(value) for other in value[:at])


def _matches(keyword: str, schema: Schema, value: Any, root: Schema) -> int:
    return sum(violation(branch, value, root) is None for branch in listed(schema, keyword))


_RULES: dict[str, _Rule] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    **dict(_limits()),
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "prefixItems": _prefix,
    "items": _items,
    "uniqueItems": _unique,
    "anyOf": lambda schema, value, root: _matches("anyOf", schema, value, root) > 0,
    "oneOf": lambda schema, value, root: _matches("oneOf", schema, value, root) == 1,
    "allOf": lambda schema, value, root: (
        _matches("allOf", schema, value, root) == len(listed(schema, "allOf"))
    ),
}
