"""What the middleware notes in a request's state, and routes read."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.types import Scope

from gateway.domain.limits import RatePolicy
from gateway.domain.models import Quota

CALLER = "caller"
"""The API key that was accepted."""
BUCKET = "address_bucket"
"""What requests of the same origin are counted by: an IPv4 address, or the /64 of an IPv6 one."""
ANONYMOUS = "counted_as_anonymous"
"""True once the request is counted among those without a key."""
SECURE = "over_https"
"""Whether the client came over HTTPS, as far as that can be believed."""
SOURCE_HEADER = "Limelight-Source"
"""The header that tells where a list of recommendations comes from."""
QUOTA_HEADERS = "quota_headers"
"""Headers that tell the caller's quota."""


def state_of(scope: Scope) -> MutableMapping[str, Any]:
    """The request's state; the same that a route has as ``request.state``."""
    state: MutableMapping[str, Any] = scope.setdefault("state", {})
    return state


def note_quota(scope: Scope, policy: RatePolicy, quota: Quota) -> None:
    """Tell the caller what is left of a policy; the last one noted is told.

    The names are those of draft-ietf-httpapi-ratelimit-headers-10, and the three that earlier
    drafts had and most clients know.
    """
    item = f'"{policy.name}"'
    state_of(scope)[QUOTA_HEADERS] = tuple(
        (name, value.encode())
        for name, value in (
            (b"ratelimit-policy", f"{item};q={quota.limit};w={policy.seconds}"),
            (b"ratelimit", f"{item};r={quota.remaining};t={quota.reset_seconds}"),
            (b"ratelimit-limit", str(quota.limit)),
            (b"ratelimit-remaining", str(quota.remaining)),
            (b"ratelimit-reset", str(quota.reset_seconds)),
        )
    )
