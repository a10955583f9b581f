"""Rate limits and open streams in Redis, shared by all replicas of the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from redis.exceptions import RedisError, TimeoutError
from runtime.logging import logger

from gateway.adapters.connections import commands
from gateway.adapters.memory import ProcessRateLimiter
from gateway.adapters.scripts import SPEND, TAKE_SLOT
from gateway.domain.limits import RatePolicy
from gateway.domain.models import Quota

_log = logger(__name__)
# A Redis that hangs costs a request a second, and is then left alone for a while.
_HANGING_SECONDS = 5.0
# Slots of a process that was killed are free again after this long.
SLOT_SECONDS = 60.0


class RedisRateLimiter:
    """A sliding window per policy and caller.

    What counts is the window at hand, and of the one before the share that has not passed.

    While Redis is down requests pass uncounted: a lost cache must not take the API down. Strict
    policies are then counted by each process. It is logged, and readiness shows it.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = commands(redis_url)
        self._spend = self._redis.register_script(SPEND)
        self._alone = ProcessRateLimiter()
        self._asked_again_at = 0.0

    async def spend(self, policy: RatePolicy, who: str) -> Quota:
        """Count one request of ``who``, in one round trip."""
        if time.monotonic() >= self._asked_again_at:
            key = f"limit:{policy.name}:{policy.requests}/{policy.seconds}:{who}"
            window = _milliseconds(policy.seconds)
            try:
                found = await self._spend(
                    [f"{{{key}}}", f"{{{key}}}:past"], [policy.requests, window]
                )
                return _quota(policy, *map(int, found))
            except RedisError as error:
                _log.warning("rate limit not counted", policy=policy.name, error=str(error))
                if isinstance(error, TimeoutError):
                    self._asked_again_at = time.monotonic() + _HANGING_SECONDS
        if policy.strict:
            return await self._alone.spend(policy, who)
        return Quota(policy.requests, policy.requests, 1, allowed=True)

    async def healthy(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except RedisError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _quota(
    policy: RatePolicy, allowed: int, count: int, left_ms: int, past: int, past_left_ms: int
) -> Quota:
    """What is left, and when the next request that counts now will count no more."""
    window = _milliseconds(policy.seconds)
    spent = count + past * past_left_ms // window
    ends: list[float] = [left_ms % window or window] if count else []
    ends += [past_left_ms % (window / past)] if past else []
    reset = min(ends, default=window) / 1000
    # A refusal that leaves something would not be one.
    remaining = max(0, policy.requests - spent) if allowed else 0
    return Quota(policy.requests, remaining, max(1, round(reset)), allowed=bool(allowed))


class RedisStreamSlots:
    """Open streams as leases in a sorted set per key, by the time they end.

    While Redis is down every stream gets a slot.
    """

    def __init__(self, redis_url: str, seconds: float = SLOT_SECONDS) -> None:
        self._redis = commands(redis_url)
        self._take = self._redis.register_script(TAKE_SLOT)
        self._seconds = seconds

    @asynccontextmanager
    async def slot(self, who: str, limit: int) -> AsyncIterator[bool]:
        """Hold a slot, renewed while the context is open; false if all are held."""
        name, stream = f"streams:{who}", str(uuid4())
        if not await self._taken(name, stream, limit):
            yield False
            return
        renewal = asyncio.create_task(self._renew(name, stream))
        try:
            yield True
        finally:
            renewal.cancel()
            await self._free(name, stream)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _taken(self, name: str, stream: str, limit: int) -> bool:
        now = time.time()
        ends = _milliseconds(now + self._seconds)
        try:
            return bool(await self._take([name], [_milliseconds(now), ends, limit, stream]))
        except RedisError as error:
            _log.warning("stream not counted", error=str(error))
            return True

    async def _renew(self, name: str, stream: str) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            ends = _milliseconds(time.time() + self._seconds)
            try:
                await self._redis.zadd(name, {stream: ends})
                await self._redis.pexpireat(name, ends)
            except RedisError as error:
                _log.warning("stream slot not renewed", error=str(error))

    async def _free(self, name: str, stream: str) -> None:
        try:
            await self._redis.zrem(name, stream)
        except RedisError as error:  # the lease runs out by itself
            _log.warning("stream slot not freed", error=str(error))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
