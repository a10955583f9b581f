"""Counting requests and streams on a real Redis, and without one."""

from __future__ import annotations

import asyncio
import itertools
import socket
from pathlib import Path

import pytest
from devkit.embedded import EmbeddedRedis
from gateway.adapters import connections
from gateway.adapters import redis as adapter
from gateway.adapters.memory import ProcessRateLimiter, ProcessStreamSlots
from gateway.adapters.redis import RedisRateLimiter, RedisStreamSlots
from gateway.domain.limits import RatePolicy
from gateway.domain.models import Quota
from gateway.domain.ports import RateLimiter, StreamSlots
from redis.asyncio import Redis
from services.gateway.tests.kits import redis_on

pytestmark = pytest.mark.asyncio
HOUR = 3600
THREE, TWO, ONE = (RatePolicy(f"of {n}", n, HOUR) for n in (3, 2, 1))
STRICT = RatePolicy("strict", 1, HOUR, strict=True)


@pytest.fixture(params=["redis", "process"])
def limiter(request: pytest.FixtureRequest, redis: EmbeddedRedis) -> RateLimiter:
    return RedisRateLimiter(redis.url) if request.param == "redis" else ProcessRateLimiter()


async def test_requests_are_counted_down_to_a_refusal(limiter: RateLimiter) -> None:
    quotas = [await limiter.spend(THREE, "key") for _ in range(5)]
    assert [quota.remaining for quota in quotas] == [2, 1, 0, 0, 0]
    assert [quota.allowed for quota in quotas] == [True, True, True, False, False]
    assert {quota.limit for quota in quotas} == {3}
    assert all(1 <= quota.reset_seconds <= 2 * HOUR for quota in quotas)


async def test_every_caller_has_a_window_of_its_own(limiter: RateLimiter) -> None:
    assert (await limiter.spend(ONE, "one")).allowed
    assert not (await limiter.spend(ONE, "one")).allowed
    assert (await limiter.spend(ONE, "two")).allowed


async def test_every_policy_has_a_window_of_its_own(limiter: RateLimiter) -> None:
    other = RatePolicy("other", ONE.requests, ONE.seconds)
    assert (await limiter.spend(ONE, "key")).allowed
    assert (await limiter.spend(other, "key")).allowed
    assert not (await limiter.spend(other, "key")).allowed


async def test_a_window_passes(limiter: RateLimiter) -> None:
    short = RatePolicy("short", 1, 3)
    assert (await limiter.spend(short, "key")).allowed
    assert not (await limiter.spend(short, "key")).allowed
    async with asyncio.timeout(60):
        while not (await limiter.spend(short, "key")).allowed:
            pass


async def test_a_window_that_begins_does_not_end_at_once(redis: EmbeddedRedis) -> None:
    limiter = RedisRateLimiter(redis.url)
    quotas = [await limiter.spend(THREE, f"caller {n}") for n in range(20)]
    assert min(quota.reset_seconds for quota in quotas) >= HOUR - 5


async def test_replicas_share_the_count(redis: EmbeddedRedis) -> None:
    one, two = (RedisRateLimiter(redis.url) for _ in range(2))
    allowed = [(await each.spend(TWO, "key")).allowed for each in (one, two, one)]
    assert allowed == [True, True, False]


async def test_however_many_ask_at_once_no_more_are_allowed(limiter: RateLimiter) -> None:
    quotas = await asyncio.gather(*(limiter.spend(THREE, "key") for _ in range(400)))
    assert sum(quota.allowed for quota in quotas) == 3


async def test_a_window_slides(redis: EmbeddedRedis) -> None:
    limiter, policy = RedisRateLimiter(redis.url), RatePolicy("sliding", 100, 4)
    spent = await asyncio.gather(*(limiter.spend(policy, "key") for _ in range(100)))
    assert all(quota.allowed for quota in spent)
    refused = await limiter.spend(policy, "key")
    assert (refused.allowed, refused.remaining) == (False, 0)
    await asyncio.sleep(6)  # half of the window before counts no more
    quota = await limiter.spend(policy, "key")
    assert quota.allowed
    assert 30 <= quota.remaining <= 99


async def test_a_request_is_counted_in_one_round_trip(redis: EmbeddedRedis) -> None:
    limiter, raw = RedisRateLimiter(redis.url), Redis.from_url(redis.url)
    await limiter.spend(THREE, "key")
    calls = (await raw.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await limiter.spend(THREE, "key")
    stats = await raw.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == calls + 1
    await raw.aclose()
    await limiter.close()


async def test_without_redis_requests_pass_uncounted(tmp_path: Path) -> None:
    limiter = RedisRateLimiter(f"unix://{tmp_path / 'nobody.sock'}")
    quotas = [await limiter.spend(ONE, "key") for _ in range(3)]
    assert quotas == [Quota(limit=1, remaining=1, reset_seconds=1, allowed=True)] * 3
    assert not await limiter.healthy()


async def test_without_redis_a_strict_policy_is_counted_here(tmp_path: Path) -> None:
    limiter = RedisRateLimiter(f"unix://{tmp_path / 'nobody.sock'}")
    assert [(await limiter.spend(STRICT, "key")).allowed for _ in range(2)] == [True, False]
    assert (await limiter.spend(STRICT, "another")).allowed


async def test_a_redis_that_hangs_costs_one_request_a_second_and_the_next_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(adapter, "_HANGING_SECONDS", 300.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts, and never answers
        limiter = RedisRateLimiter(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        assert (await limiter.spend(ONE, "key")).allowed
        assert calls(deaf) > 0
        assert (await limiter.spend(ONE, "key")).allowed
        strict = [(await limiter.spend(STRICT, "key")).allowed for _ in range(2)]
        assert strict == [True, False]
        assert calls(deaf) == 0  # the first one has waited for all


def calls(deaf: socket.socket) -> int:
    """How many have connected since this was asked last."""
    deaf.setblocking(False)
    for count in itertools.count():
        try:
            connection, _ = deaf.accept()
        except BlockingIOError:
            return count
        connection.close()
    raise AssertionError


async def test_redis_may_go_down_and_come_back(tmp_path: Path) -> None:
    redis = await redis_on(tmp_path / "redis")
    limiter = RedisRateLimiter(redis.url)
    assert await limiter.healthy()
    assert (await limiter.spend(TWO, "key")).remaining == 1
    await redis.stop()
    assert (await limiter.spend(TWO, "key")).remaining == 2
    assert not await limiter.healthy()
    redis = await redis_on(tmp_path / "redis")
    try:
        assert await limiter.healthy()
        assert (await limiter.spend(TWO, "key")).remaining == 0
    finally:
        await redis.stop()


@pytest.fixture(params=["redis", "process"])
def slots(request: pytest.FixtureRequest, redis: EmbeddedRedis) -> StreamSlots:
    return RedisStreamSlots(redis.url) if request.param == "redis" else ProcessStreamSlots()


async def test_slots_are_held_and_freed(slots: StreamSlots) -> None:
    async with slots.slot("key", 2) as first, slots.slot("key", 2) as second:
        async with slots.slot("key", 2) as third:
            assert (first, second, third) == (True, True, False)
        async with slots.slot("other", 2) as others:
            assert others
        async with slots.slot("key", 2) as fourth:  # a refusal held nothing, and freed nothing
            assert not fourth
    async with slots.slot("key", 1) as free:
        assert free


async def test_a_stream_that_fails_frees_its_slot(slots: StreamSlots) -> None:
    with pytest.raises(KeyError):
        async with slots.slot("key", 1):
            raise KeyError
    async with slots.slot("key", 1) as free:
        assert free


async def test_replicas_share_the_slots(redis: EmbeddedRedis) -> None:
    one, two = RedisStreamSlots(redis.url), RedisStreamSlots(redis.url)
    async with one.slot("key", 1), two.slot("key", 1) as free:
        assert not free


async def test_slots_of_the_dead_are_free_after_a_while_and_those_of_the_living_are_not(
    redis: EmbeddedRedis,
) -> None:
    dead, living = RedisStreamSlots(redis.url, 0.5), RedisStreamSlots(redis.url, 3)
    killed, beside = dead.slot("dead", 1), dead.slot("living", 2)
    assert await killed.__aenter__()
    assert await beside.__aenter__()
    await dead.close()
    for task in asyncio.all_tasks():
        if "_renew" in repr(task):
            task.cancel()
    async with living.slot("living", 2):
        await asyncio.sleep(3.5)
        async with living.slot("living", 1) as free:
            assert not free
        async with living.slot("living", 2) as free:
            assert free
        async with living.slot("dead", 1) as free:
            assert free


async def test_without_redis_every_stream_has_a_slot(tmp_path: Path) -> None:
    slots = RedisStreamSlots(f"unix://{tmp_path / 'nobody.sock'}")
    async with slots.slot("key", 1) as one, slots.slot("key", 1) as two:
        assert one
        assert two
