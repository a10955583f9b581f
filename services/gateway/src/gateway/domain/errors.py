"""What a caller can get wrong, each with what to do about it."""

from __future__ import annotations

from uuid import UUID


class GatewayError(Exception):
    """Base: ``code`` is a stable word, ``hint`` says what to do."""

    code = "gateway-error"

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidRun(GatewayError):
    """The pieces of a run do not fit together."""

    code = "invalid-run"


class InvalidCampaign(GatewayError):
    """The pieces of a campaign do not fit together."""

    code = "invalid-campaign"


class EventTooLarge(GatewayError):
    """What was told makes an event that the log does not take."""

    code = "event-too-large"


class InvalidCursor(GatewayError):
    """A page cursor that this list never gave out."""

    code = "invalid-cursor"


class InvalidImport(GatewayError):
    """An upload without a single line that can be taken in."""

    code = "invalid-import"

    def __init__(self, message: str, hint: str, errors: list[dict[str, object]]) -> None:
        super().__init__(message, hint)
        self.errors = errors


class NameTaken(GatewayError):
    """Another brand of the tenant has that name."""

    code = "name-taken"


class UnsupportedMedia(GatewayError):
    """A body of a kind that the route does not read."""

    code = "unsupported-media-type"


class WrongKind(GatewayError):
    """The run is there, but not of the kind that the request needs."""

    code = "wrong-kind"


class NotFound(GatewayError):
    """There is nothing of that id in the caller's tenant."""

    code = "not-found"


class Unauthorized(GatewayError):
    """No key, or one that is not (or no longer) valid."""

    code = "unauthorized"


class Forbidden(GatewayError):
    """A valid key, but not for this."""

    code = "forbidden"


class InvalidKey(GatewayError):
    """A key that nobody could use was asked for."""

    code = "invalid-key"


class EmailTaken(GatewayError):
    """The tenant has a user with this address, in some spelling."""

    code = "email-taken"


class LastOwner(GatewayError):
    """Without this user the tenant would have no owner."""

    code = "last-owner"


class IdempotencyConflict(GatewayError):
    """An Idempotency-Key came back with another request."""

    code = "idempotency-conflict"


class RetryLater(GatewayError):
    """Not now, but perhaps after ``retry_after`` seconds."""

    code = "retry-later"

    def __init__(self, message: str, hint: str, retry_after: int) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class RateLimited(RetryLater):
    """More requests than the key's limit."""

    code = "rate-limited"


class TooManyStreams(RateLimited):
    """The key has as many streams open as its tier allows."""

    code = "too-many-streams"


class ReadModelUnready(RetryLater):
    """The read model of recommendations is being rebuilt, or cannot be reached."""

    code = "read-model-unready"


class SearchUnanswered(RetryLater):
    """Nobody answered a search in time, or nothing could be looked for."""

    code = "search-unanswered"


def no_run(run_id: UUID) -> NotFound:
    """What is said of a run that is not there, or not the caller's."""
    return NotFound(f"no run {run_id}", "check the id; runs of other tenants are not shown")


def no_campaign(campaign_id: str) -> NotFound:
    """What is said of a campaign that is not there, or not the caller's."""
    return NotFound(f"no campaign {campaign_id}", "GET /v1/campaigns lists yours")
