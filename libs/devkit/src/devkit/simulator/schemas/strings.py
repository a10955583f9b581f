"""Strings of a wanted length or format."""

from __future__ import annotations

import random
from collections.abc import Callable

from devkit.simulator import phrases
from devkit.simulator.schemas.conform import Schema, SchemaError, bound

# Words that answers use anyway: a brand can never be one of them.
_WORDS = tuple(
    sorted({word.strip(".,").lower() for line in phrases.NOTHING_NAMED for word in line.split()})
)
_LONGEST = 200_000
_MOST_WORDS = 5


def make_string(schema: Schema, luck: random.Random) -> str:
    """A string within ``minLength``, ``maxLength`` and ``format``. Raises ``SchemaError``."""
    least, most = _length(schema, "minLength", 0), _length(schema, "maxLength", _LONGEST)
    if least > most:
        raise SchemaError("minLength", f"asks for {least} characters, more than allowed ({most})")
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _fitting(_FORMATS[form](luck), form, least, most)
    text = _words(luck, least)
    return text[:most].rstrip() if least == 0 else _cut(text, least, most)


def _length(schema: Schema, keyword: str, default: int) -> int:
    if keyword not in schema:
        return default
    value = bound(schema, keyword)
    if value < 0 or value != int(value):
        raise SchemaError(keyword, "is no length")
    if keyword == "minLength" and value > _LONGEST:
        raise SchemaError(keyword, f"asks for more than {_LONGEST} characters")
    return int(value)


def _words(luck: random.Random, least: int) -> str:
    words = [luck.choice(_WORDS) for _ in range(luck.randint(1, _MOST_WORDS))]
    size = sum(map(len, words)) + len(words)
    while size <= least:
        words.append(luck.choice(_WORDS))
        size += len(words[-1]) + 1
    return " ".join(words)


def _cut(text: str, least: int, most: int) -> str:
    cut = text[:most]
    return cut if len(cut.rstrip()) < least else cut.rstrip()


def _fitting(text: str, form: str, least: int, most: int) -> str:
    if not least <= len(text) <= most:
        raise SchemaError("format", f"{form!r} cannot have a length from {least} to {most}")
    return text


def _date(luck: random.Random) -> str:
    return f"20{luck.randint(10, 29)}-{luck.randint(1, 12):02d}-{luck.randint(1, 28):02d}"


def _time(luck: random.Random) -> str:
    return f"{luck.randint(0, 23):02d}:{luck.randint(0, 59):02d}:{luck.randint(0, 59):02d}Z"


def _host(luck: random.Random) -> str:
    return f"site{luck.randint(1, 999)}.example"


def _uuid(luck: random.Random) -> str:
    digits = f"{luck.getrandbits(128):032x}"
    parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", f"8{digits[17:20]}", digits[20:])
    return "-".join(parts)


def _uri(luck: random.Random) -> str:
    return f"https://{_host(luck)}/page{luck.randint(1, 99)}"


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda luck: f"{_date(luck)}T{_time(luck)}",
    "duration": lambda luck: f"P{luck.randint(1, 30)}D",
    "email": lambda luck: f"reader{luck.randint(1, 999)}@{_host(luck)}",
    "hostname": _host,
    "uri": _uri,
    "uri-reference": lambda luck: f"/page{luck.randint(1, 99)}",
    "iri": _uri,
    "uuid": _uuid,
    "ipv4": lambda luck: f"192.0.2.{luck.randint(1, 254)}",
    "ipv6": lambda luck: f"2001:db8::{luck.randint(1, 0xFFFF):x}",
}
