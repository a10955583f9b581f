"""Events of a tenant, on topics open to producers outside, that a service could not take in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

EXPLAINED = frozenset(
    {
        "null-body",
        "bad-json",
        "not-utf8",
        "wrong-model",
        "oversize",
        "bad-header",
        "unknown-type",
        "wrong-key",
        "wrong-tenant",
        "unknown-tenant",
        "permanent",
    }
)
"""Reasons whose message is written for the producer, and says what to change."""
OURS = "nothing that you sent is known to be wrong: whoever runs the platform sees what failed"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record that a service refused. Partition and offset are what the broker acknowledged.

    ``event_id`` is the producer's ``ce_id``, None for a record without ``ce_*`` headers. The key
    and the body of the record are not kept: they may tell of a user.
    """

    tenant_id: str
    topic: str
    partition: int
    offset: int
    service: str
    event_id: str | None
    reason: str
    message: str
    attempts: int
    rejected_at: datetime


@dataclass(frozen=True, slots=True)
class Numbered:
    """A stored rejection; the later it was stored, the higher its number."""

    number: int
    rejection: Rejection


def told_to_producer(reason: str, message: str) -> str:
    """What its producer may read: of a failure inside that it was none of theirs, and no more."""
    return message if reason in EXPLAINED else OURS
