"""Cursors of pages: opaque to clients, so that what they stand for can change."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query

from gateway.domain.errors import InvalidCursor

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=500, description="items a page")]
Cursor = Annotated[str | None, Query(max_length=2000, description="next_cursor of the page before")]


def cursor_of(*position: str) -> str:
    """A position as a cursor."""
    return (
        base64.urlsafe_b64encode(json.dumps(position, ensure_ascii=False).encode())
        .decode()
        .rstrip("=")
    )


def position_of(cursor: str | None, read: Callable[..., T]) -> T | None:
    """The position that a cursor stands for. Raises InvalidCursor: it is none of ours."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        parts = [str(part).replace("\x00", "") for part in json.loads(raw)]
        "".join(parts).encode()  # half a surrogate pair is text that no store takes
        return read(*parts)
    except (ValueError, TypeError, RecursionError, OverflowError, binascii.Error) as error:
        raise InvalidCursor(
            "the cursor is not one of this list", "pass next_cursor as it came, or no cursor"
        ) from error
