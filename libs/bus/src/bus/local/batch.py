"""How records lie in the file: many to a row, as a sequence of frames.

A row per record would be simpler, but every row costs SQLite a step, and every step gives up
and takes back the interpreter lock: beside a busy event loop that made reading 500 records take
150 ms and more instead of 0.2 ms. A batch is what one transaction appended to one partition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bus.record import Headers, OutRecord, Record, TopicPartition

# Offset relative to the batch, then the sizes of key, value and headers; -1 stands for null.
_FRAME = struct.Struct("<IiiI")
_HEADER = struct.Struct("<II")
_NULL = -1


class Batch(NamedTuple):
    """One stored row: ``base`` is the offset from which the frames count."""

    base: int
    timestamp_ms: int
    body: bytes


class Frame(NamedTuple):
    """One record inside a batch, its value not looked at; ``raw`` is the frame as it lies."""

    offset: int
    key: bytes | None
    is_tombstone: bool
    raw: bytes


class Packed(NamedTuple):
    """A record to be stored; ``size`` counts key, value and headers without any framing."""

    size: int
    key_size: int
    value_size: int
    headers_size: int
    content: bytes


def pack(record: OutRecord) -> Packed:
    """Bring ``record`` into the form in which it is stored; raises UnicodeEncodeError."""
    key, value = record.key, record.value
    headers = _encode_headers(record.headers)
    key_size = _NULL if key is None else len(key)
    value_size = _NULL if value is None else len(value)
    content = b"".join((key or b"", value or b"", headers))
    size = len(content) - _HEADER.size * len(record.headers)
    return Packed(size, key_size, value_size, len(headers), content)


def encode(records: Iterable[Packed]) -> bytes:
    """Frames of ``records`` at consecutive offsets from the batch's base."""
    parts: list[bytes] = []
    for delta, (_, key_size, value_size, headers_size, content) in enumerate(records):
        parts += (_FRAME.pack(delta, key_size, value_size, headers_size), content)
    return b"".join(parts)


def decode(batch: Batch, source: TopicPartition, start: int, limit: int) -> list[Record]:
    """Up to ``limit`` records of ``batch`` whose offset is ``start`` or higher."""
    body, base = batch.body, batch.base
    found: list[Record] = []
    at, end = 0, len(body)
    while at < end and len(found) < limit:
        delta, key_size, value_size, headers_size = _FRAME.unpack_from(body, at)
        key_at = at + _FRAME.size
        value_at = key_at + max(key_size, 0)
        headers_at = value_at + max(value_size, 0)
        at = headers_at + headers_size
        if base + delta < start:
            continue
        found.append(
            Record(
                source.topic,
                source.partition,
                base + delta,
                None if key_size == _NULL else body[key_at:value_at],
                None if value_size == _NULL else body[value_at:headers_at],
                _decode_headers(body, headers_at, at),
                batch.timestamp_ms,
            )
        )
    return found


def frames(batch: Batch) -> Iterator[Frame]:
    """Every record of ``batch`` as it lies in the file; for rewriting it."""
    at, body = 0, batch.body
    while at < len(body):
        delta, key_size, value_size, headers_size = _FRAME.unpack_from(body, at)
        key_at = at + _FRAME.size
        value_at = key_at + max(key_size, 0)
        end = value_at + max(value_size, 0) + headers_size
        key = None if key_size == _NULL else body[key_at:value_at]
        yield Frame(batch.base + delta, key, value_size == _NULL, body[at:end])
        at = end


def _encode_headers(headers: Headers) -> bytes:
    parts: list[bytes] = []
    for name, value in headers:
        raw = name.encode()
        parts += (_HEADER.pack(len(raw), len(value)), raw, value)
    return b"".join(parts)


def _decode_headers(body: bytes, at: int, end: int) -> Headers:
    found: list[tuple[str, bytes]] = []
    while at < end:
        name_size, value_size = _HEADER.unpack_from(body, at)
        name_at = at + _HEADER.size
        value_at = name_at + name_size
        at = value_at + value_size
        found.append((body[name_at:value_at].decode(), body[value_at:at]))
    return tuple(found)
