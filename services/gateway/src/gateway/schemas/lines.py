"""Lines of NDJSON, each on its own: a broken one costs no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field, ValidationError

NDJSON = "application/x-ndjson"
BOM = b"\xef\xbb\xbf"
SHOWN_ERRORS = 1000
_SHOWN_CHARACTERS = 500


class BadLine(BaseModel):
    """A line that was left out."""

    line: int = Field(description="counted from 1; of CSV the line its record begins on")
    error: str


def ndjson_lines(body: bytes) -> Iterator[tuple[int, Any]]:
    """Each line that is not empty with its number: its object, or as a text what is wrong."""
    for number, raw in enumerate(body.removeprefix(BOM).split(b"\n"), 1):
        if raw.strip():
            yield number, _parsed(raw)


def _parsed(raw: bytes) -> Any:
    """The value of a line, or as a string what is wrong with it."""
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start} of the line)"
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"not JSON that can be read: {error}"
    return value if isinstance(value, dict) else "not a JSON object"


def complaint(error: ValidationError) -> str:
    """Field and complaint, without the input: it may be long."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    said = "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in problems[:5]
    )
    # A field may have a name of any length, and of half a surrogate pair.
    return said[:_SHOWN_CHARACTERS].encode(errors="backslashreplace").decode()
