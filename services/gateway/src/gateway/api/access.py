"""Who calls, and what they may do: the dependencies that routes name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.api.ports import Ports, PortsOf
from gateway.domain.access import Scope, spelled
from gateway.domain.errors import Forbidden, RateLimited, TooManyStreams, Unauthorized
from gateway.domain.limits import RatePolicy
from gateway.domain.models import ApiKey
from gateway.domain.rules import secret_hash
from gateway.middleware import ANONYMOUS, BUCKET, CALLER, note_quota

_BEARER = HTTPBearer(auto_error=False, description="An API key: lk_...")
_STREAM_RETRY_SECONDS = 5


async def _caller(
    ports: PortsOf,
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> ApiKey:
    """The key that the request came with, if it is valid and within its limit."""
    try:
        key = await _valid(ports, credentials)
    except Unauthorized:
        if not getattr(request.state, ANONYMOUS, False):  # else it is counted already
            await spend(ports, request, ports.limits.anonymous, getattr(request.state, BUCKET))
        raise
    setattr(request.state, CALLER, key)
    await spend(ports, request, ports.limits.policy(key.tier), str(key.key_id))
    return key


async def spend(ports: Ports, request: Request, policy: RatePolicy, who: str) -> None:
    """Count a request and note its quota for the response. Raises RateLimited."""
    quota = await ports.limiter.spend(policy, who)
    note_quota(request.scope, policy, quota)
    if not quota.allowed:
        hint = f"wait {quota.reset_seconds} seconds; the limit is {quota.limit} in {policy.seconds}"
        raise RateLimited("too many requests", hint, quota.reset_seconds)


async def _valid(ports: Ports, credentials: HTTPAuthorizationCredentials | None) -> ApiKey:
    if credentials is None:
        raise Unauthorized("no API key", "send the header Authorization: Bearer lk_...")
    key = await ports.keys.by_hash(secret_hash(credentials.credentials))
    if key is None:
        raise Unauthorized("unknown API key", "check the key, or ask its owner for a new one")
    ended = _ended(key)
    if ended is not None:
        raise Unauthorized(f"API key {key.prefix}... {ended}", "use another key of the tenant")
    return key


def _ended(key: ApiKey) -> str | None:
    if key.revoked_at is not None:
        return f"was revoked at {key.revoked_at.isoformat()}"
    if key.disabled_at is not None:
        return f"is of a user who was disabled at {key.disabled_at.isoformat()}"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return f"expired at {key.expires_at.isoformat()}"
    return None


_Authenticated = Annotated[ApiKey, Depends(_caller)]


def _with(scope: Scope) -> Callable[[ApiKey], Awaitable[ApiKey]]:
    async def checked(key: _Authenticated) -> ApiKey:
        if scope not in key.scopes:
            raise Forbidden(
                f"this needs a key with the scope {scope}",
                f"{key.prefix}... has {spelled(key.scopes) or 'no scope'}; use a key with {scope}",
            )
        return key

    return checked


Reader = Annotated[ApiKey, Depends(_with(Scope.READ))]
Writer = Annotated[ApiKey, Depends(_with(Scope.WRITE))]
Admin = Annotated[ApiKey, Depends(_with(Scope.ADMIN))]
Operator = Annotated[ApiKey, Depends(_with(Scope.OPERATOR))]


async def _streaming(key: Reader, ports: PortsOf) -> AsyncIterator[ApiKey]:
    """A reader who holds one of its key's stream slots until the response has been sent."""
    limit = ports.limits.tiers[key.tier].streams
    async with ports.streams.slot(str(key.key_id), limit) as free:
        if not free:
            raise TooManyStreams(
                f"{limit} streams of this key are open",
                f"close one of them; keys of tier {key.tier} may have {limit} open",
                _STREAM_RETRY_SECONDS,
            )
        yield key


Streamer = Annotated[ApiKey, Depends(_streaming)]


def completions_allowed(ports: Ports, key: ApiKey) -> int:
    """How many completions a run of this key may have: its tier's share, under the cap of all."""
    return min(ports.limits.tiers[key.tier].run_completions, ports.max_run_completions)
