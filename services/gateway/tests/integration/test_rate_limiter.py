"""The rate limiter on a real Redis, and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from devkit.embedded import EmbeddedRedis
from gateway.adapters.redis import RedisRateLimiter
from gateway.domain.models import Quota
from services.gateway.tests.kits import redis_on

pytestmark = pytest.mark.asyncio


async def test_requests_are_counted_down_to_a_refusal(redis: EmbeddedRedis) -> None:
    limiter = RedisRateLimiter(redis.url, "3/hour")
    quotas = [await limiter.spend("key") for _ in range(5)]
    assert [quota.remaining for quota in quotas] == [2, 1, 0, 0, 0]
    assert [quota.allowed for quota in quotas] == [True, True, True, False, False]
    assert {quota.limit for quota in quotas} == {3}
    assert all(1 <= quota.reset_seconds <= 7200 for quota in quotas)


async def test_every_key_has_a_window_of_its_own(redis: EmbeddedRedis) -> None:
    limiter = RedisRateLimiter(redis.url, "1/hour")
    assert (await limiter.spend("one")).allowed
    assert not (await limiter.spend("one")).allowed
    assert (await limiter.spend("two")).allowed


async def test_replicas_share_the_count(redis: EmbeddedRedis) -> None:
    one, two = (RedisRateLimiter(redis.url, "2/hour") for _ in range(2))
    assert [(await each.spend("key")).allowed for each in (one, two, one)] == [True, True, False]


async def test_without_redis_requests_pass_uncounted(tmp_path: Path) -> None:
    limiter = RedisRateLimiter(f"unix://{tmp_path / 'nobody.sock'}", "1/hour")
    quotas = [await limiter.spend("key") for _ in range(3)]
    assert quotas == [Quota(limit=1, remaining=1, reset_seconds=1, allowed=True)] * 3
    assert not await limiter.healthy()


async def test_redis_may_go_down_and_come_back(tmp_path: Path) -> None:
    redis = await redis_on(tmp_path / "redis")
    limiter = RedisRateLimiter(redis.url, "2/hour")
    assert await limiter.healthy()
    assert (await limiter.spend("key")).remaining == 1
    await redis.stop()
    assert (await limiter.spend("key")).remaining == 2
    assert not await limiter.healthy()
    redis = await redis_on(tmp_path / "redis")
    try:
        assert await limiter.healthy()
        assert (await limiter.spend("key")).remaining == 0
    finally:
        await redis.stop()
