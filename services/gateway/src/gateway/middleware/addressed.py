"""Where requests come from, and how many may come from one place."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.domain.addresses import Network, address_bucket, client_address, is_trusted
from gateway.domain.limits import Limits, RatePolicy
from gateway.domain.ports import RateLimiter
from gateway.middleware.problems import too_many
from gateway.middleware.state import ANONYMOUS, BUCKET, SECURE, note_quota, state_of

OPEN_PREFIX = "/demo/"
"""Paths that are there for callers without a key; their routes have a limit of their own."""


class Addressed:
    """Finds the client's address and counts its requests, before anything is read of them."""

    def __init__(
        self, app: ASGIApp, limiter: RateLimiter, limits: Limits, trusted: Sequence[Network]
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._limits = limits
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bucket = self._note_origin(scope)
        for policy in self._policies(scope):
            quota = await self._limiter.spend(policy, bucket)
            if quota.allowed and policy is self._limits.address:
                continue  # generous: what counts for the caller is the quota of its key
            note_quota(scope, policy, quota)
            if not quota.allowed:
                hint = (
                    f"wait {quota.reset_seconds} seconds; the limit of an address is {quota.limit}"
                )
                await too_many(hint, quota.reset_seconds)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _policies(self, scope: Scope) -> list[RatePolicy]:
        """An invalid key is counted where it is found to be invalid."""
        keyed = any(name == b"authorization" for name, _ in scope["headers"])
        if keyed or scope["path"].startswith(OPEN_PREFIX):
            return [self._limits.address]
        state_of(scope)[ANONYMOUS] = True
        return [self._limits.address, self._limits.anonymous]

    def _note_origin(self, scope: Scope) -> str:
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = _values(scope, b"x-forwarded-for")
        bucket = address_bucket(client_address(peer, forwarded, self._trusted))
        state = state_of(scope)
        state[BUCKET] = bucket
        state[SECURE] = scope["scheme"] == "https" or (
            is_trusted(peer, self._trusted)
            and _values(scope, b"x-forwarded-proto")[-1:] == ["https"]
        )
        return bucket


def _values(scope: Scope, header: bytes) -> list[str]:
    """The comma-separated values of all headers of a name, in order."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return [part.strip() for line in lines for part in line.split(",") if part.strip()]
