"""How a call can fail. ``kind`` is the word that the finished event carries."""

from __future__ import annotations

from enum import Enum


class Blame(Enum):
    """Whom a failure says something about.

    ``PROVIDER``: down or broken, it counts for the circuit breaker. ``LOAD``: it asks for fewer
    calls, the adaptive limit listens. ``REQUEST``: nothing else; the next request may be fine.
    """

    PROVIDER = "provider"
    LOAD = "load"
    REQUEST = "request"


# kind: (may the same call succeed later, whom it speaks about, may another model do better)
KINDS: dict[str, tuple[bool, Blame, bool]] = {
    "rate-limited": (True, Blame.LOAD, True),
    "overloaded": (True, Blame.LOAD, True),
    "server-error": (True, Blame.PROVIDER, True),
    "timed-out": (True, Blame.PROVIDER, True),
    "connection-failed": (True, Blame.PROVIDER, True),
    "stream-cut": (True, Blame.PROVIDER, True),
    "malformed-answer": (True, Blame.PROVIDER, True),
    "breaker-open": (True, Blame.REQUEST, True),
    "auth": (False, Blame.REQUEST, True),
    "out-of-credit": (False, Blame.REQUEST, True),
    "unknown-provider": (False, Blame.REQUEST, True),
    "unknown-model": (False, Blame.REQUEST, True),
    "context-too-long": (False, Blame.REQUEST, True),
    "content-filtered": (False, Blame.REQUEST, False),
    "bad-request": (False, Blame.REQUEST, False),
    "schema-violated": (False, Blame.REQUEST, True),
    "price-unknown": (False, Blame.REQUEST, False),
    "answer-too-large": (False, Blame.REQUEST, False),
    "outcome-unknown": (False, Blame.REQUEST, False),
    "internal-error": (False, Blame.REQUEST, False),
    "budget": (False, Blame.REQUEST, False),
    "cancelled": (False, Blame.REQUEST, False),
    "deadline-passed": (False, Blame.REQUEST, False),
}
NOT_RUN = frozenset({"budget", "cancelled", "deadline-passed"})
"""Kinds that end a completion before its call, when nothing failed."""


class CallFailed(Exception):
    """A call ended without an answer. ``kind`` is one of ``KINDS``.

    ``retry_after`` is the provider's own wish in seconds. ``billed``: whether the provider may
    charge for the attempt although it gave no answer (it worked on it, or may have).
    """

    def __init__(
        self, kind: str, message: str, *, retry_after: float | None = None, billed: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable, self.blame, self.elsewhere = KINDS[kind]
        self.retry_after = retry_after
        self.billed = billed
