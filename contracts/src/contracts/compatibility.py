"""What breaks between two JSON Schemas of one topic, as a pure function.

Both directions count, because services are deployed one by one: today's readers meet events of
the last release, and readers of the last release meet today's events. So within a major version
nothing may change but new optional fields and words for humans (title, description).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = Mapping[str, Any]
Rule = Literal[
    "field-removed",
    "required-field-added",
    "field-became-required",
    "field-became-optional",
    "type-changed",
    "enum-value-removed",
    "enum-value-added",
    "default-changed",
    "limit-changed",
]
_ABSENT = object()
# Words for humans, and keywords that are compared by a rule of their own.
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "examples"}
)
_STRUCTURE = frozenset(
    {"type", "properties", "required", "items", "additionalProperties", "enum", "const", "default"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """One breaking change. ``path`` names the field, e.g. ``origin.kind`` or ``brands[].name``."""

    path: str
    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}: {self.detail}"


def breaking_changes(old: Schema, new: Schema) -> list[Change]:
    """Everything that breaks a reader when a topic goes from schema ``old`` to ``new``."""
    return list(_Comparison(old, new).schemas("$", old, new))


@dataclass(slots=True)
class _Comparison:
    """Two root schemas, whose ``$defs`` may be named differently and may refer to themselves."""

    old_root: Schema
    new_root: Schema
    in_progress: set[tuple[int, int]] = field(default_factory=set)

    def schemas(self, path: str, old: Schema, new: Schema) -> Iterator[Change]:
        yield from _default(path, old, new)
        yield from self._choices(path, self._branches(old, "old"), self._branches(new, "new"))

    def _branches(self, schema: Schema, side: Literal["old", "new"]) -> list[Schema]:
        """The alternatives of a schema: those of a union, or itself alone; references resolved."""
        resolved = _resolved(schema, self.old_root if side == "old" else self.new_root)
        for keyword in ("anyOf", "oneOf"):
            if keyword in resolved:
                return [leaf for part in resolved[keyword] for leaf in self._branches(part, side)]
        return [resolved]

    def _choices(self, path: str, old: list[Schema], new: list[Schema]) -> Iterator[Change]:
        remaining = list(new)
        for branch in old:
            partner = _partner(branch, remaining)
            if partner is None:
                yield Change(path, "type-changed", f"{_kind(branch)} is not accepted any more")
            else:
                remaining.remove(partner)
                yield from self._branch(path, branch, partner)
        for branch in remaining:
            yield Change(path, "type-changed", f"{_kind(branch)} is new: old readers refuse it")

    def _branch(self, path: str, old: Schema, new: Schema) -> Iterator[Change]:
        pair = (id(old), id(new))
        if pair in self.in_progress:  # a part that contains itself
            return
        self.in_progress.add(pair)
        yield from self._inside(path, old, new)
        self.in_progress.discard(pair)

    def _inside(self, path: str, old: Schema, new: Schema) -> Iterator[Change]:
        yield from _enum(path, old, new)
        yield from _limits(path, old, new)
        yield from self._properties(path, old, new)
        for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
            yield from self._nested(path + suffix, old.get(keyword), new.get(keyword))

    def _nested(self, path: str, old: Any, new: Any) -> Iterator[Change]:
        # Absent and True both mean "anything"; False closes the object.
        old, new = (True if part is None else part for part in (old, new))
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self.schemas(path, old, new)
        elif old != new:
            yield Change(path, "type-changed", f"{_short(old)} became {_short(new)}")

    def _properties(self, path: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        yield from _fields(path, old, new)
        for name in sorted(before.keys() & after.keys()):
            yield from self.schemas(_join(path, name), before[name], after[name])


def _fields(path: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield Change(_join(path, name), "field-removed", "old readers may need it")
    for name in sorted((after.keys() - before.keys()) & needed_after):
        yield Change(_join(path, name), "required-field-added", "old events do not have it")
    both = before.keys() & after.keys()
    for name in sorted(both & (needed_after - needed_before)):
        yield Change(_join(path, name), "field-became-required", "old events may lack it")
    for name in sorted(both & (needed_before - needed_after)):
        yield Change(_join(path, name), "field-became-optional", "old readers need it")


def _enum(path: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = _values(old), _values(new)
    if before is None and after is None:
        return
    if before is None or after is None:
        yield Change(path, "type-changed", "a list of values came or went")
        return
    for value in sorted(before - after):
        yield Change(path, "enum-value-removed", f"{value} in an old event is refused")
    for value in sorted(after - before):
        yield Change(path, "enum-value-added", f"old readers refuse {value}")


def _values(schema: Schema) -> set[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else {_short(value) for value in values}


def _limits(path: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Every other keyword must be equal: tighter refuses old events, looser new ones."""
    keywords = (old.keys() | new.keys()) - _ANNOTATIONS - _STRUCTURE
    for keyword in sorted(keywords):
        before, after = old.get(keyword), new.get(keyword)
        if before != after:
            detail = f"{keyword} {_short(before)} became {_short(after)}"
            yield Change(path, "limit-changed", detail)


def _default(path: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = old.get("default", _ABSENT), new.get("default", _ABSENT)
    # A default that comes or goes shows in ``required``, which has rules of its own.
    if _ABSENT not in (before, after) and before != after:
        yield Change(path, "default-changed", f"{_short(before)} became {_short(after)}")


def _partner(branch: Schema, candidates: list[Schema]) -> Schema | None:
    """The candidate that ``branch`` became: an equal one if there is, else the first alike."""
    alike = [candidate for candidate in candidates if _kind(candidate) == _kind(branch)]
    same = [candidate for candidate in alike if candidate == branch]
    named = [candidate for candidate in alike if candidate.get("title") == branch.get("title")]
    return next(iter(same + named + alike), None)


def _kind(schema: Schema) -> str:
    """What makes two alternatives of a union comparable: the type, and the format of a string."""
    if "type" not in schema:
        return f"any of {_short(schema['enum'])}" if "enum" in schema else "anything"
    return " ".join([_short(schema["type"]).strip('"'), schema.get("format", "")]).strip()


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        # A default beside a reference belongs to the field, not to what it refers to.
        schema = root["$defs"][name]
    return schema


def _join(path: str, name: str) -> str:
    return name if path == "$" else f"{path}.{name}"


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
