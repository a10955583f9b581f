"""What a caller can get wrong, each with what to do about it."""

from __future__ import annotations


class GatewayError(Exception):
    """Base: ``code`` is a stable word, ``hint`` says what to do."""

    code = "gateway-error"

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidRun(GatewayError):
    """The pieces of a run do not fit together."""

    code = "invalid-run"


class NotFound(GatewayError):
    """There is nothing of that id in the caller's tenant."""

    code = "not-found"


class Unauthorized(GatewayError):
    """No key, or one that is not (or no longer) valid."""

    code = "unauthorized"


class IdempotencyConflict(GatewayError):
    """An Idempotency-Key came back with another request."""

    code = "idempotency-conflict"


class RateLimited(GatewayError):
    """More requests than the key's limit; ``retry_after`` in seconds."""

    code = "rate-limited"

    def __init__(self, message: str, hint: str, retry_after: int) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after
