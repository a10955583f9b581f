"""Reproducible randomness: everything the simulator draws comes from a digest of its inputs.

Python's own ``hash()`` is salted per process, so it is never used here.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def digest(*parts: str) -> int:
    """128-bit BLAKE2b of the parts, each prefixed with its length so that no two lists collide."""
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")  # JSON may carry lone surrogates
        pieces += (len(raw).to_bytes(8, "big"), raw)
    return int.from_bytes(blake2b(b"".join(pieces), digest_size=16).digest(), "big")


def rng(*parts: str) -> random.Random:
    """A generator that depends on nothing but ``parts``."""
    return random.Random(digest(*parts))
