"""JSON and server-sent events as bytes."""

from __future__ import annotations

import json
from decimal import Decimal

_encoder = json.JSONEncoder(separators=(",", ":"))


def encode(body: object) -> bytes:
    """Compact JSON."""
    return _encoder.encode(body).encode()


def quoted(text: str) -> str:
    """The text as a JSON string."""
    return _encoder.encode(text)


def number(value: Decimal) -> str:
    """The digits of a decimal as a JSON number without exponent; nothing is rounded."""
    return format(value.normalize(), "f")


def data_event(payload: bytes | str) -> bytes:
    """An event without a name, as Chat Completions streams them."""
    return b"data: " + (payload if isinstance(payload, bytes) else payload.encode()) + b"\n\n"


def named_event(body: dict[str, object]) -> bytes:
    """An event whose name is the ``type`` of its body."""
    return b"event: " + str(body["type"]).encode() + b"\ndata: " + encode(body) + b"\n\n"
