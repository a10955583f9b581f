"""Rate limits and open streams in Redis, shared by all replicas of the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError
from redis.asyncio import Redis
from redis.exceptions import RedisError, TimeoutError
from runtime.logging import logger

from gateway.adapters.memory import ProcessRateLimiter, spend
from gateway.domain.limits import RatePolicy
from gateway.domain.models import Quota

_log = logger(__name__)
# A Redis that hangs costs a request a second, and is then left alone for a while.
_ANSWER_SECONDS = 1.0
_HANGING_SECONDS = 5.0
# Slots of a process that was killed are free again after this long.
SLOT_SECONDS = 60.0

_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1
"""


class RedisRateLimiter:
    """A sliding window per policy and caller.

    While Redis is down requests pass uncounted: a lost cache must not take the API down. Strict
    policies are then counted by each process. It is logged, and readiness shows it.
    """

    def __init__(self, redis_url: str) -> None:
        self._storage = _storage(redis_url)
        self._window = SlidingWindowCounterRateLimiter(self._storage)
        self._alone = ProcessRateLimiter()
        self._asked_again_at = 0.0

    async def spend(self, policy: RatePolicy, who: str) -> Quota:
        """Count one request of ``who``."""
        if time.monotonic() >= self._asked_again_at:
            try:
                return await spend(self._window, policy, who)
            except StorageError as error:
                _log.warning("rate limit not counted", policy=policy.name, error=str(error))
                if isinstance(error.storage_error, TimeoutError):
                    self._asked_again_at = time.monotonic() + _HANGING_SECONDS
        if policy.strict:
            return await self._alone.spend(policy, who)
        return Quota(policy.requests, policy.requests, 1, allowed=True)

    async def healthy(self) -> bool:
        """Whether Redis answers."""
        return await self._storage.check()


def _storage(redis_url: str) -> RedisStorage:
    try:
        return RedisStorage(
            f"async+{redis_url}".replace("async+unix://", "async+redis+unix://"),
            implementation="redispy",
            wrap_exceptions=True,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
        )
    except ConfigurationError:  # its words hold the address, and with it a password
        raise ValueError("give redis://host:port/0 or unix:///path") from None


class RedisStreamSlots:
    """Open streams as leases in a sorted set per key, by the time they end.

    While Redis is down every stream gets a slot.
    """

    def __init__(self, redis_url: str, seconds: float = SLOT_SECONDS) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        )
        self._take = self._redis.register_script(_TAKE)
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
