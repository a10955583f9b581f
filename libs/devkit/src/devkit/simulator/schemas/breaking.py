"""JSON that looks like an answer and violates its schema."""

from __future__ import annotations

import json
from typing import Any

from devkit.simulator.schemas.conform import checked, violation

_OF_ANY_TYPE: tuple[Any, ...] = ("unexpected", -1, None, [], {}, True)


def broken(schema: object, value: Any) -> str:
    """The text of ``value`` changed so that it violates ``schema``.

    The last top-level property that matters is dropped or given the wrong type; where the
    schema allows anything, the text is cut off, so that it is no JSON at all.
    """
    root = checked(schema)
    for candidate in _candidates(value):
        if violation(root, candidate, root) is not None:
            return json.dumps(candidate)
    text = json.dumps(value)
    return text[: max(1, len(text) // 2)] if len(text) > 2 else "{"


def _candidates(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        return [*_OF_ANY_TYPE]
    names = list(reversed(value))
    dropped = [{key: item for key, item in value.items() if key != name} for name in names]
    changed = [{**value, name: other} for name in names for other in _OF_ANY_TYPE]
    return [*dropped, *changed, *_OF_ANY_TYPE]
