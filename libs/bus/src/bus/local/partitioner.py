"""Which partition a key belongs to: the same one as on Kafka, so that a log can move there."""

from __future__ import annotations

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 with Kafka's seed, unsigned (``Utils.murmur2`` of Kafka's clients)."""
    words, tail = divmod(len(data), 4)
    h = _SEED ^ len(data)
    for k in struct.unpack_from(f"<{words}I", data):
        mixed = (k * _M) & _MASK
        h = ((h * _M) ^ ((mixed ^ (mixed >> 24)) * _M)) & _MASK
    if tail:
        h = ((h ^ int.from_bytes(data[-tail:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=16_384)  # an entity's key comes back in every topic it passes through
def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner picks for a non-null ``key``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
