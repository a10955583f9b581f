"""Dead letters of records that are larger than a DLQ takes: their largest parts are left out.

A broker limits what producers send compressed, a consumer gets it inflated: it may meet more than
it can set aside. The original stays on its topic, and the letter says where that is.
"""

from __future__ import annotations

from dataclasses import replace

from bus.record import Headers, OutRecord, record_bytes

PREFIX = "dlq-"
LEFT_OUT = "left-out"
BODY, KEY, HEADERS, ATTRIBUTES = "body", "key", "headers", "ce_* headers"


def fitting(letter: OutRecord, limit: int) -> OutRecord:
    """The letter in at most ``limit`` bytes, if that can be had by leaving out."""
    while record_bytes(letter) > limit:
        smaller = without_largest(letter)
        if smaller is None:
            break
        letter = smaller
    return letter


def without_largest(letter: OutRecord) -> OutRecord | None:
    """The letter without its largest part, and saying so; None if it has no part left."""
    sizes = {
        BODY: len(letter.value or b""),
        KEY: len(letter.key or b""),
        # Whose it is stays apart from what a stranger may have added.
        **{part: _bytes(_headers(letter, part)) for part in (HEADERS, ATTRIBUTES)},
    }
    part = max(sizes, key=sizes.__getitem__)
    if not sizes[part]:
        return None
    return _noting(_without(letter, part), f"{part} ({sizes[part]} bytes)")


def _headers(letter: OutRecord, part: str) -> Headers:
    return tuple(item for item in letter.headers if _part_of(item[0]) == part)


def _part_of(name: str) -> str | None:
    """Which part a header belongs to; None: it is about the letter itself."""
    if name.startswith(PREFIX):
        return None
    return ATTRIBUTES if name.startswith("ce_") else HEADERS


def _bytes(headers: Headers) -> int:
    return record_bytes(OutRecord("", None, None, headers))


def _without(letter: OutRecord, part: str) -> OutRecord:
    if part == BODY:
        return replace(letter, value=None)
    if part == KEY:
        return replace(letter, key=None)
    return replace(
        letter, headers=tuple(item for item in letter.headers if _part_of(item[0]) != part)
    )


def _noting(letter: OutRecord, left_out: str) -> OutRecord:
    """One header about all that was left out, also of an earlier letter of the same record."""
    name = PREFIX + LEFT_OUT
    before = [value.decode() for known, value in letter.headers if known == name]
    others = tuple(item for item in letter.headers if item[0] != name)
    return replace(letter, headers=(*others, (name, ", ".join([*before, left_out]).encode())))
