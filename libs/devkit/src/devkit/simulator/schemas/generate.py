"""Making a value that satisfies a schema, the same one for the same luck."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devkit.simulator.schemas.conform import (
    Schema,
    SchemaError,
    checked,
    listed,
    resolve,
    same,
    tabled,
    types,
    violation,
)
from devkit.simulator.schemas.containers import count_between, entry_names
from devkit.simulator.schemas.merging import merged
from devkit.simulator.schemas.numbers import make_integer, make_number
from devkit.simulator.schemas.strings import make_string

_SOFT_DEPTH = 4  # from here on only what is required
_HARD_DEPTH = 40
_MOST_STEPS = 20_000
_TRIES_PER_ITEM = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What the value should say where the schema has room for it.

    ``values`` are taken for properties of these names. ``rows`` fill arrays in properties
    whose name contains "brand": an array of strings takes their ``name``, one of objects a row
    each, by the names of its properties.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    rows: Sequence[Mapping[str, object]] = ()


def generate(schema: object, luck: random.Random, facts: Facts | None = None) -> Any:
    """A JSON value that satisfies ``schema``.

    Raises ``SchemaError`` with the keyword at fault if there is no such value, or if the schema
    says something this does not understand; it never returns a value that does not satisfy it.
    """
    try:
        root = checked(schema)
        known = facts or Facts()
        value = _Maker(root, luck, known).make(root, "", known.values, 0)
        wrong = violation(root, value, root)
    except RecursionError:
        raise SchemaError("schema", "is nested too deeply") from None
    if wrong is not None:
        raise SchemaError(wrong, "cannot be satisfied together with the rest")
    return value


class _Maker:
    """``name`` is the property a value is for, ``told`` the facts for properties around it."""

    def __init__(self, root: Schema, luck: random.Random, facts: Facts) -> None:
        self._root = root
        self._luck = luck
        self._rows = facts.rows
        self._steps = 0

    def make(self, schema: object, name: str, told: Mapping[str, object], depth: int) -> Any:
        self._count(depth)
        own = self._flat(schema)
        key = name.lower()
        if key in told and self._allows(own, told[key]):
            return told[key]
        for keyword in ("oneOf", "anyOf"):  # first: a branch may say more of a const or an enum
            if keyword in own:
                return self._branch(own, keyword, name, told, depth)
        if "const" in own:
            return self._constant(own)
        if "enum" in own:
            return self._listed(own)
        return self._typed(own, name, told, depth)

    def _count(self, depth: int) -> None:
        self._steps += 1
        if depth > _HARD_DEPTH or self._steps > _MOST_STEPS:
            raise SchemaError("$ref" if depth > _HARD_DEPTH else "schema", "asks for too much")

    def _flat(self, schema: object) -> Schema:
        """The schema with its reference followed and its ``allOf`` merged in."""
        own, beside = resolve(schema, self._root)
        if beside:
            own = merged(own, beside)
        while "allOf" in own:
            parts = listed(own, "allOf")
            own = {key: value for key, value in own.items() if key != "allOf"}
            for part in parts:
                own = merged(own, self._flat(part))
        return own

    def _allows(self, schema: Schema, value: object) -> bool:
        unsure = {"format", "anyOf", "oneOf"} & schema.keys()  # a branch may have a format
        return not unsure and violation(schema, value, self._root) is None

    def _constant(self, own: Schema) -> Any:
        """The ``const``; nothing here can tell whether a given text has a format."""
        if "format" in own and isinstance(own["const"], str):
            raise SchemaError("const", "stands beside a format, which is not looked for in it")
        return own["const"]

    def _listed(self, own: Schema) -> Any:
        """One of the ``enum``, if the rest of the schema allows any of them."""
        allowed = [value for value in listed(own, "enum") if self._allows(own, value)]
        if not allowed:
            raise SchemaError("enum", "holds no value that the rest of the schema allows")
        return self._luck.choice(allowed)

    def _branch(
        self, own: Schema, keyword: str, name: str, told: Mapping[str, object], depth: int
    ) -> Any:
        """A value of the first branch that has one which all of the schema allows."""
        rest = {key: value for key, value in own.items() if key != keyword}
        reasons: list[str] = []
        for branch in self._ordered(listed(own, keyword), depth):
            try:
                value = self.make(merged(rest, self._flat(branch)), name, told, depth + 1)
                wrong = violation(own, value, self._root)
            except SchemaError as error:
                wrong = str(error)
            else:
                if wrong is None:
                    return value
            reasons.append(wrong)
        raise SchemaError(keyword, f"has no branch to satisfy ({'; '.join(reasons[:3])})")

    def _ordered(self, branches: list[Any], depth: int) -> list[Any]:
        """By luck, but deep down the ones that end soonest first."""
        shuffled = self._luck.sample(branches, len(branches))
        return sorted(shuffled, key=_weight) if depth >= _SOFT_DEPTH else shuffled

    def _typed(self, own: Schema, name: str, told: Mapping[str, object], depth: int) -> Any:
        kind = self._kind(own)
        if kind == "object":
            return self._object(own, told, depth)
        if kind == "array":
            return self._array(own, name, told, depth)
        return self._scalar(own, kind)

    def _scalar(self, own: Schema, kind: str) -> Any:
        if kind == "string":
            return make_string(own, self._luck)
        if kind == "integer":
            return make_integer(own, self._luck)
        if kind == "number":
            return make_number(own, self._luck)
        return self._luck.random() < 0.5 if kind == "boolean" else None

    def _kind(self, own: Schema) -> str:
        """The type to make: one of those named, else the one the keywords are about."""
        named = types(own)
        if not named:
            return next((kind for word, kind in _TELLING if word in own), "string")
        for name in named:
            if name not in _TYPES:
                raise SchemaError("type", f"{name!r} is no JSON type")
        return str(self._luck.choice(named))

    def _object(self, own: Schema, told: Mapping[str, object], depth: int) -> dict[str, Any]:
        declared = tabled(own, "properties")
        needed = [str(name) for name in listed(own, "required")]
        made: dict[str, Any] = {}
        for name in [*(n for n in declared if n in needed), *needed]:
            if name not in made:
                made[name] = self._required(own, declared, name, told, depth)
        for name in (n for n in declared if n not in made):
            made |= self._optional(own, declared, name, told, depth, len(made))
        more = own.get("additionalProperties", True)
        for name in entry_names(own, made, bool(declared)):
            made[name] = self.make(more, name, {}, depth + 1)
        order = {name: at for at, name in enumerate(declared)}
        return dict(sorted(made.items(), key=lambda item: order.get(item[0], len(order))))

    def _required(
        self,
        own: Schema,
        declared: Mapping[str, Any],
        name: str,
        told: Mapping[str, object],
        depth: int,
    ) -> Any:
        if name in declared:
            return self.make(declared[name], name, told, depth + 1)
        more = own.get("additionalProperties", True)
        if more is False:
            raise SchemaError("required", f"needs {name!r}, which 'additionalProperties' forbids")
        return self.make(more, name, told, depth + 1)

    def _optional(
        self,
        own: Schema,
        declared: Mapping[str, Any],
        name: str,
        told: Mapping[str, object],
        depth: int,
        have: int,
    ) -> dict[str, Any]:
        """A property that may be left out: too deep, one too many, or without any value."""
        needed = have < int(own.get("minProperties", 0))
        if not needed and (depth >= _SOFT_DEPTH or have >= own.get("maxProperties", have + 1)):
            return {}
        try:
            return {name: self.make(declared[name], name, told, depth + 1)}
        except SchemaError:
            return {}

    def _array(self, own: Schema, name: str, told: Mapping[str, object], depth: int) -> list[Any]:
        prefix, rest = listed(own, "prefixItems"), own.get("items", True)
        told_items = self._brand_items(own, name, rest, depth)
        least, most = count_between(own, len(prefix), rest is not False)
        wanted = len(told_items) if told_items else self._wanted(least, most, depth)
        items = [self.make(part, "", told, depth + 1) for part in prefix[:most]]
        for item in told_items[: most - len(items)]:
            self._add(own, items, iter((item,)))
        while len(items) < max(least, min(wanted, most)):
            if not self._add(own, items, self._fresh(rest, told, depth)):
                break
        if len(items) < least:
            raise SchemaError("uniqueItems", f"leaves fewer than {least} different items")
        return items

    def _wanted(self, least: int, most: int, depth: int) -> int:
        if depth >= _SOFT_DEPTH:
            return least
        return self._luck.randint(least, max(least, min(most, least + 2, max(3, least))))

    def _fresh(self, schema: object, told: Mapping[str, object], depth: int) -> Iterator[Any]:
        for _ in range(_TRIES_PER_ITEM):
            yield self.make(schema, "", told, depth + 1)

    def _add(self, own: Schema, items: list[Any], candidates: Iterator[Any]) -> bool:
        """Append the first candidate that may be there; whether there was one."""
        for item in candidates:
            if not own.get("uniqueItems") or not any(same(item, other) for other in items):
                items.append(item)
                return True
        return False

    def _brand_items(self, own: Schema, name: str, items: object, depth: int) -> list[Any]:
        """The drawn brands, when this is an array for them."""
        if "brand" not in name.lower() or items in (True, False) or "prefixItems" in own:
            return []
        inner = self._flat(items)
        if "object" in types(inner) or "properties" in inner:
            return [self.make(inner, "", row, depth + 1) for row in self._rows]
        names = [row["name"] for row in self._rows]
        return [value for value in names if self._allows(inner, value)]


_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_TELLING = (
    ("properties", "object"),
    ("required", "object"),
    ("additionalProperties", "object"),
    ("minProperties", "object"),
    ("items", "array"),
    ("prefixItems", "array"),
    ("minItems", "array"),
    ("uniqueItems", "array"),
    ("minimum", "number"),
    ("maximum", "number"),
    ("exclusiveMinimum", "number"),
    ("exclusiveMaximum", "number"),
    ("multipleOf", "number"),
)


def _weight(branch: object) -> int:
    if not isinstance(branch, dict):
        return 0
    if "$ref" in branch or "properties" in branch:
        return 2
    return 1 if set(types(branch)) & {"object", "array"} else 0
