"""Rate limits in Redis, shared by all replicas of the gateway."""

from __future__ import annotations

import time

from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from runtime.logging import logger

from gateway.domain.models import Quota

_log = logger(__name__)


class RedisRateLimiter:
    """A sliding window per key.

    While Redis is down requests pass uncounted: a lost cache must not take the API down. It is
    logged, and readiness shows it.
    """

    def __init__(self, redis_url: str, limit: str) -> None:
        self._storage = RedisStorage(
            f"async+{redis_url}".replace("async+unix://", "async+redis+unix://"),
            implementation="redispy",
            wrap_exceptions=True,
        )
        self._window = SlidingWindowCounterRateLimiter(self._storage)
        self._limit = parse(limit)

    async def spend(self, key: str) -> Quota:
        """Count one request of ``key``."""
        try:
            allowed = await self._window.hit(self._limit, key)
            stats = await self._window.get_window_stats(self._limit, key)
        except StorageError as error:
            _log.warning("rate limit not counted", error=str(error))
            return Quota(self._limit.amount, self._limit.amount, 1, allowed=True)
        reset = max(1, round(stats.reset_time - time.time()))
        return Quota(self._limit.amount, max(0, stats.remaining), reset, allowed)

    async def healthy(self) -> bool:
        """Whether Redis answers."""
        return await self._storage.check()
