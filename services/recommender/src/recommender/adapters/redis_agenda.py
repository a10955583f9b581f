"""What is due when, in Redis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from runtime.clock import Clock

from recommender.adapters.redis import Batch, RedisConnection
from recommender.adapters.redis_coding import ANY_CAMPAIGN, micros
from recommender.adapters.redis_keys import AGENDA, keys_of
from recommender.domain.ports import Backlog, Due

LEASE = timedelta(seconds=10)
"""For how long a claimed tenant belongs to who claimed it."""
VISITED = timedelta(seconds=60)
"""A tenant is looked at this often at least, whatever is written at the moment of its release."""
PAGE = 500
_MICROSECOND = timedelta(microseconds=1)


class RedisAgenda:
    """``domain.ports.Agenda``: tenants by their first due time, each with its own queues."""

    def __init__(self, redis: RedisConnection, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._leases: dict[str, int] = {}

    async def claim(self, limit: int) -> Sequence[str]:
        """Atomically, by one script."""
        batch, lease = Batch(), micros(self._clock.now() + LEASE)
        batch.run("claim-tenants", [AGENDA], self._now(), lease, limit)
        (found,) = await self._redis.send(batch)
        tenants = [one.decode() for one in found]
        self._leases.update(dict.fromkeys(tenants, lease))
        return tenants

    async def release(self, tenants: Collection[str]) -> None:
        """Each to the time of its first due thing."""
        heads = Batch()
        for tenant_id in tenants:
            keys = keys_of(tenant_id)
            heads.add("ZRANGE", keys.due, 0, 0, "WITHSCORES")
            heads.add("ZRANGE", keys.chores, 0, 0, "WITHSCORES")
        answers = await self._redis.send(heads)
        batch, now = Batch(), self._now()
        for tenant_id, users, chores in zip(tenants, answers[::2], answers[1::2], strict=True):
            first = min([*_scores(users), *_scores(chores), now + VISITED // _MICROSECOND])
            # Behind tenants that wait already, however long this one has been waiting.
            due = max(int(first), now)
            batch.run("release-tenant", [AGENDA], tenant_id, self._leases.pop(tenant_id, 0), due)
        await self._redis.send(batch)

    async def due(self, tenants: Mapping[str, int]) -> Mapping[str, Due]:
        """Users and chores of each."""
        batch, now = Batch(), self._now()
        for tenant_id, limit in tenants.items():
            keys = keys_of(tenant_id)
            batch.add("ZRANGEBYSCORE", keys.due, "-inf", now, "LIMIT", 0, limit)
            batch.add("ZRANGEBYSCORE", keys.chores, "-inf", now)
        answers = await self._redis.send(batch)
        return {
            tenant_id: Due(
                tuple(user.decode() for user in users),
                popular=b"popular" in chores,
                walk=b"walk" in chores,
            )
            for tenant_id, users, chores in zip(tenants, answers[::2], answers[1::2], strict=True)
        }

    async def walk(self, tenant_id: str, pages: int) -> None:
        """Every user is due some time, so that the queue of users is a list of them all.

        Who is there from the beginning to the end of the walk is seen; where it stands is stored.
        """
        keys = keys_of(tenant_id)
        begin = Batch()
        begin.run("begin-walk", [keys.walk, keys.changed])
        (found,) = await self._redis.send(begin)
        if found is None:
            await self._end(tenant_id)
            return
        cursor, campaigns = int(found[0]), found[1]
        for _ in range(pages):
            cursor, entries = await self._redis.call("ZSCAN", keys.due, cursor, "COUNT", PAGE)
            await self._mark(tenant_id, campaigns, [user.decode() for user, _ in entries])
            if cursor == 0:
                await self._end(tenant_id)
                return
            await self._redis.call("HSET", keys.walk, "cursor", cursor)

    async def backlog(self) -> Backlog:
        """Over all tenants; for the metrics, never while a list is made."""
        tenants = [one.decode() for one in await self._redis.call("ZRANGE", AGENDA, 0, -1)]
        batch, now = Batch(), self._now()
        for tenant_id in tenants:
            batch.add("ZCOUNT", keys_of(tenant_id).due, "-inf", now)
            batch.add("ZRANGE", keys_of(tenant_id).due, 0, 0, "WITHSCORES")
        answers = await self._redis.send(batch)
        first = min((score for found in answers[1::2] for score in _scores(found)), default=now)
        return Backlog(sum(answers[::2]), max(0.0, (now - first) / 1_000_000))

    async def _mark(self, tenant_id: str, campaigns: bytes, users: Sequence[str]) -> None:
        if not users:
            return
        keys, batch = keys_of(tenant_id), Batch()
        every = [keys.due, *(keys.user(user) for user in users)]
        batch.run("mark-users", every, self._now(), ANY_CAMPAIGN + campaigns, *users)
        batch.add("ZADD", AGENDA, "LT", self._now(), tenant_id)
        await self._redis.send(batch)

    async def _end(self, tenant_id: str) -> None:
        keys, batch = keys_of(tenant_id), Batch()
        batch.run("end-walk", [keys.walk, keys.changed, keys.chores])
        await self._redis.send(batch)

    def _now(self) -> int:
        return micros(self._clock.now())


def _scores(found: Sequence[bytes]) -> list[float]:
    """The scores of a range, member and score in turn."""
    return [float(score) for score in found[1::2]]
