"""How a call can fail. ``kind`` is the word that the finished event carries."""

from __future__ import annotations


class CallFailed(Exception):
    """A call ended without an answer.

    ``retryable`` says whether the same call may succeed later; ``retry_after`` is the provider's
    own wish in seconds.
    """

    def __init__(
        self, kind: str, message: str, *, retryable: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.retry_after = retry_after
