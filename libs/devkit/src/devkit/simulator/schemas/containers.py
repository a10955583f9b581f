"""How many items an array and how many properties an object is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devkit.simulator.schemas.conform import Schema, SchemaError, bound

_MOST = 2_000
_ENTRIES = 2


def count_between(schema: Schema, prefix: int, open_end: bool) -> tuple[int, int]:
    """The least and the most items; without ``items`` no more than ``prefixItems`` declares."""
    least, most = _size(schema, "minItems", 0), _size(schema, "maxItems", _MOST)
    if least > _MOST:
        raise SchemaError("minItems", f"asks for more than {_MOST} items")
    if not open_end:
        most = min(most, prefix)
    if least > most:
        raise SchemaError("minItems", f"asks for {least} items, more than allowed ({most})")
    return least, most


def entry_names(schema: Schema, made: Mapping[str, Any], declared: bool) -> list[str]:
    """Names of properties to add that the schema does not declare.

    As many as ``minProperties`` still needs; two where the schema describes a map.
    """
    least = _size(schema, "minProperties", 0)
    most = _size(schema, "maxProperties", _MOST)
    is_map = isinstance(schema.get("additionalProperties"), dict) and not declared
    wanted = max(least, min(_ENTRIES, most) if is_map and not made else 0) - len(made)
    if wanted > 0 and schema.get("additionalProperties", True) is False:
        raise SchemaError("minProperties", "asks for more properties than are declared")
    if max(least, len(made)) > most or wanted > _MOST:
        raise SchemaError("maxProperties", "allows fewer properties than are needed")
    free = (name for at in range(1, _MOST * 2) if (name := f"entry{at}") not in made)
    return [name for name, _ in zip(free, range(wanted), strict=False)]


def _size(schema: Schema, keyword: str, default: int) -> int:
    if keyword not in schema:
        return default
    value = bound(schema, keyword)
    if value < 0 or value != int(value):
        raise SchemaError(keyword, "is no size")
    return int(value)
