"""Decompression within bounds: what a topic limits is the compressed size of a batch.

aiokafka inflates a batch whole before it looks at any record, and a megabyte of zeros compressed
can be gigabytes. Its decoders are module globals that take and return bytes; the ones here stop
at ``MOST_BYTES``. A batch past that cannot be read by any service, so its records are set aside.
"""

from __future__ import annotations

import sys
import zlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch  # type: ignore[import-untyped]

MOST_BYTES = 32 * 1_048_576
"""Eight of the largest records that any topic takes; producers make batches of a megabyte."""
_FIRST_GUESS = 8
_GZIP = 31  # zlib's number for the gzip format
_XERIAL = b"\x82SNAPPY\x00"  # Java's clients frame snappy in blocks
_XERIAL_HEADER = 16

Into = Callable[[Any, Any], int]


class Unreadable(ValueError):
    """A batch that does not decompress, or not into so few bytes. ``mark`` tells it from others."""

    def __init__(self, codec: str, data: bytes) -> None:
        super().__init__(
            f"its batch is no valid {codec}, or has more than {MOST_BYTES} bytes once "
            "decompressed: send smaller batches (batch.size)"
        )
        self.mark = (codec, len(data), zlib.crc32(data))


_refused: deque[tuple[str, int, int]] = deque(maxlen=64)
"""Marks of batches that were tried: who looks for their end meets them again and again."""


def _bounded(codec: str, inflate: Callable[[bytes], bytes]) -> Callable[[Any], bytes]:
    def decode(payload: Any) -> bytes:
        data = bytes(payload)
        if _refused and (error := Unreadable(codec, data)).mark in _refused:
            raise error
        try:
            return inflate(data)
        except (zlib.error, cramjam.DecompressionError, _TooLarge) as cause:
            error = Unreadable(codec, data)
            _refused.append(error.mark)
            raise error from cause

    return decode


class _TooLarge(Exception):
    """Not to be inflated."""


def _gzip(data: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    found = inflater.decompress(data, MOST_BYTES)
    if not inflater.eof:
        raise _TooLarge
    return found


def _snappy(data: bytes) -> bytes:
    if not data.startswith(_XERIAL):
        return _snappy_block(data, MOST_BYTES)
    found, at = bytearray(), _XERIAL_HEADER
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        found += _snappy_block(data[at + 4 : end], MOST_BYTES - len(found))
        at = end
    return bytes(found)


def _snappy_block(data: bytes, most: int) -> bytes:
    """A block says in front how large it gets."""
    if cramjam.snappy.decompress_raw_len(data) > most:
        raise _TooLarge
    return bytes(cramjam.snappy.decompress_raw(data))


def _growing(decompress_into: Into, data: bytes) -> bytes:
    """A frame need not say how large it gets: try with more room until it fits."""
    room = max(65_536, _FIRST_GUESS * len(data))
    while True:
        target = bytearray(min(room, MOST_BYTES))
        try:
            size = decompress_into(data, target)
        except cramjam.DecompressionError:
            if room >= MOST_BYTES:
                raise
            room *= 8
            continue
        return bytes(memoryview(target)[:size])


DECODERS: dict[str, Callable[[Any], bytes]] = {
    "gzip_decode": _bounded("gzip", _gzip),
    "snappy_decode": _bounded("snappy", _snappy),
    "lz4_decode": _bounded("lz4", partial(_growing, cramjam.lz4.decompress_into)),
    "zstd_decode": _bounded("zstd", partial(_growing, cramjam.zstd.decompress_into)),
}
"""By the names that aiokafka has for them; each raises Unreadable."""


def bound() -> None:
    """Have aiokafka use these. Raises ImportError if it looks for them elsewhere by now."""
    module = sys.modules[DefaultRecordBatch.__module__]
    for name, decoder in DECODERS.items():
        if not hasattr(module, name):
            raise ImportError(f"aiokafka has no {name} in {module.__name__} any more")
        setattr(module, name, decoder)
