"""What was published of a user's candidates last, small enough to be kept with every user."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import blake2b

from graph_loader.domain.models import Candidate

TOLERANCE = 0.01
_ENTRY = struct.Struct("<4sf")


def shown(candidates: Sequence[Candidate]) -> str:
    """Four bytes of a hash of each campaign and what speaks for it, and its affinity."""
    packed = b"".join(
        _ENTRY.pack(_hashed(candidate), candidate.affinity) for candidate in candidates
    )
    return b64encode(packed).decode()


def is_new(before: str, candidates: Sequence[Candidate]) -> bool:
    """Whether there are other campaigns or reasons, or an affinity moved by more than 1 %."""
    known = dict(_ENTRY.iter_unpack(b64decode(before)))
    now = {_hashed(candidate): candidate.affinity for candidate in candidates}
    return known.keys() != now.keys() or any(
        abs(affinity - known[campaign]) > TOLERANCE * known[campaign]
        for campaign, affinity in now.items()
    )


def _hashed(candidate: Candidate) -> bytes:
    """Of the people behind a reason their number's power of two: nobody is told of 19 after 18."""
    reasons = sorted((path.kind, path.users.bit_length()) for path in candidate.paths)
    return blake2b(repr((candidate.campaign_id, reasons)).encode(), digest_size=4).digest()
