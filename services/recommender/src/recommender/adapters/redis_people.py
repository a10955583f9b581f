"""Users in Redis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from runtime.clock import Clock

from recommender.adapters.redis import Batch, RedisConnection
from recommender.adapters.redis_coding import (
    LETTERS,
    affinity_bytes,
    affinity_of,
    considered,
    facts_of,
    micros,
)
from recommender.adapters.redis_keys import AGENDA, keys_of
from recommender.domain.decay import EPOCH
from recommender.domain.models import Affinity, Engagement, Person
from recommender.domain.policy import Policy
from recommender.domain.ports import (
    ON_ITS_WAY,
    SWEEP,
    Draft,
    End,
    Known,
    Saved,
    Settled,
    UserKey,
    Verdict,
)

IDS_REMEMBERED = timedelta(days=30)
TOMBSTONES_REMEMBERED = timedelta(days=90)
"""Longer than any topic or DLQ holds what was taken in before a user was forgotten."""


class RedisPeople:
    """``domain.ports.People``: a hash for each user, one for their facts, and their ids."""

    def __init__(
        self, redis: RedisConnection, clock: Clock, policy: Policy, popular_after: timedelta
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._policy = policy
        self._popular_after = popular_after

    async def take_affinities(self, items: Mapping[UserKey, Affinity]) -> Mapping[UserKey, Known]:
        """One script for each user."""
        batch, now = Batch(), self._now()
        for (tenant_id, user_id), affinity in items.items():
            keys = keys_of(tenant_id)
            batch.run(
                "apply-affinity",
                [keys.user(user_id), keys.facts(user_id), keys.gone(user_id)],
                affinity.version,
                micros(affinity.heard_at),
                affinity_bytes(affinity),
                now,
            )
        return _known(items, await self._redis.send(batch), items)

    async def take_engagements(
        self, items: Sequence[tuple[str, Engagement]]
    ) -> Mapping[UserKey, Known]:
        """One script for each engagement, then one for each user."""
        batch = Batch()
        for tenant_id, engagement in items:
            self._count(batch, tenant_id, engagement)
        users = list(dict.fromkeys((tenant_id, item.user_id) for tenant_id, item in items))
        _read(batch, users)
        due = micros(self._clock.now() + self._popular_after)
        for tenant_id in dict.fromkeys(tenant_id for tenant_id, _ in items):
            batch.add("ZADD", AGENDA, "LT", due, tenant_id)
        answers = await self._redis.send(batch)
        return _known(users, answers[len(items) :][: len(users)])

    async def read(self, users: Collection[UserKey]) -> Mapping[UserKey, Known]:
        """One script for each user."""
        batch = Batch()
        _read(batch, users)
        return _known(users, await self._redis.send(batch))

    async def save(self, drafts: Sequence[Draft]) -> Sequence[Saved]:
        """One script for each draft."""
        batch, now = Batch(), self._now()
        for draft in drafts:
            tenant_id, user_id = draft.user
            keys = keys_of(tenant_id)
            batch.run(
                "save-user",
                [keys.user(user_id), keys.due, keys.revisions, keys.gone(user_id)],
                user_id,
                draft.revision,
                draft.catalog_revision,
                draft.digest,
                draft.cause,
                now,
                considered(draft.considered, complete=draft.complete),
                micros(draft.due_at),
                int(draft.held),
                SWEEP,
                self._landed(),
            )
        _remind(batch, {draft.user: draft.due_at for draft in drafts})
        answers = (await self._redis.send(batch))[: len(drafts)]
        owed = [draft.user for draft, one in zip(drafts, answers, strict=True) if one[-1] == 1]
        await self._remind_at(owed, self._clock.now() + ON_ITS_WAY)
        return [saved(answer) for answer in answers]

    async def settle(self, users: Mapping[UserKey, Settled]) -> None:
        """One script for each user."""
        batch = Batch()
        for user, one in users.items():
            self._arrived(batch, user, one.version, one.revision, micros(one.due_at))
        _remind(batch, {user: one.due_at for user, one in users.items()})
        await self._remind_of(users, await self._redis.send(batch))

    async def published(self, users: Mapping[UserKey, int]) -> None:
        """One script for each user."""
        batch = Batch()
        for user, version in users.items():
            self._arrived(batch, user, version, "", 0)
        await self._remind_of(users, await self._redis.send(batch))

    async def ended(self, users: Collection[UserKey]) -> Mapping[UserKey, End]:
        """One command for each user."""
        batch = Batch()
        for tenant_id, user_id in users:
            batch.add("HMGET", keys_of(tenant_id).gone(user_id), "version", "owed")
        found = zip(users, await self._redis.send(batch), strict=True)
        return {
            user: End(int(version), int(owed or 0))
            for user, (version, owed) in found
            if version is not None
        }

    async def postpone(self, users: Mapping[UserKey, datetime]) -> None:
        """The earlier time stays."""
        batch = Batch()
        for (tenant_id, user_id), at in users.items():
            batch.add("ZADD", keys_of(tenant_id).due, "LT", micros(at), user_id)
        _remind(batch, users)
        await self._redis.send(batch)

    async def drop(self, users: Mapping[UserKey, int]) -> None:
        """One script for each user."""
        batch = Batch()
        for (tenant_id, user_id), owed in users.items():
            keys = keys_of(tenant_id)
            own = [keys.user(user_id), keys.due, keys.gone(user_id)]
            batch.run("drop-user", own, user_id, owed)
        await self._redis.send(batch)

    async def forget(self, users: Mapping[UserKey, datetime]) -> Mapping[UserKey, int]:
        """One script for each user; who stays with something newer is due at once."""
        batch, now = Batch(), self._now()
        for (tenant_id, user_id), forgotten_at in users.items():
            keys = keys_of(tenant_id)
            own = [keys.user(user_id), keys.facts(user_id), keys.ids(user_id), keys.gone(user_id)]
            remembered = int(TOMBSTONES_REMEMBERED.total_seconds())
            batch.run(
                "forget-user",
                [*own, keys.due],
                user_id,
                micros(forgotten_at),
                now,
                remembered,
                self._landed(),
            )
        _remind(batch, dict.fromkeys(users, self._clock.now()))
        answers = await self._redis.send(batch)
        return {user: int(answer[0]) for user, answer in zip(users, answers, strict=False)}

    def _now(self) -> int:
        return micros(self._clock.now())

    def _landed(self) -> int:
        return micros(self._clock.now() + ON_ITS_WAY)

    def _arrived(
        self, batch: Batch, user: UserKey, version: int, revision: int | str, due: int
    ) -> None:
        keys = keys_of(user[0])
        own = [keys.user(user[1]), keys.due, keys.gone(user[1])]
        batch.run("settle-user", own, user[1], version, revision, due, self._now(), SWEEP)

    async def _remind_of(self, users: Collection[UserKey], answers: Sequence[Any]) -> None:
        """Those who are due at once, by the answers about them."""
        late = [user for user, answer in zip(users, answers, strict=False) if answer]
        await self._remind_at(late, self._clock.now())

    async def _remind_at(self, users: Collection[UserKey], at: datetime) -> None:
        batch = Batch()
        _remind(batch, dict.fromkeys(users, at))
        await self._redis.send(batch)

    def _count(self, batch: Batch, tenant_id: str, item: Engagement) -> None:
        keys, now, half_life = keys_of(tenant_id), self._clock.now(), self._policy.half_life
        batch.run(
            "apply-engagement",
            [
                keys.user(item.user_id),
                keys.facts(item.user_id),
                keys.ids(item.user_id),
                keys.gone(item.user_id),
                keys.tallies(int(half_life.total_seconds())),
                keys.popular,
                keys.chores,
            ],
            item.engagement_id,
            item.campaign_id,
            LETTERS[item.kind],
            micros(item.at),
            micros(item.taken_at),
            micros(now),
            micros(now - IDS_REMEMBERED),
            int(IDS_REMEMBERED.total_seconds()),
            self._policy.impressions_kept,
            micros(EPOCH),
            int(half_life.total_seconds() * 1_000_000),
            micros(now + self._popular_after),
        )


def saved(answer: Sequence[bytes]) -> Saved:
    """What a script that saves has answered."""
    verdict = Verdict(answer[0].decode())
    if verdict is Verdict.STALE:
        return Saved(verdict)
    return Saved(verdict, int(answer[1]), int(answer[2]))


def _read(batch: Batch, users: Collection[UserKey]) -> None:
    for tenant_id, user_id in users:
        keys = keys_of(tenant_id)
        batch.run("read-user", [keys.user(user_id), keys.facts(user_id)])


def _remind(batch: Batch, users: Mapping[UserKey, datetime]) -> None:
    """Put the tenants on the agenda, after what is due of them is written."""
    first: dict[str, datetime] = {}
    for (tenant_id, _), at in users.items():
        first[tenant_id] = min(at, first.get(tenant_id, at))
    for tenant_id, at in first.items():
        batch.add("ZADD", AGENDA, "LT", micros(at), tenant_id)


def _known(
    users: Collection[UserKey],
    answers: Sequence[Any],
    affinities: Mapping[UserKey, Affinity] | None = None,
) -> Mapping[UserKey, Known]:
    """Users of whom something is stored; an affinity that is not sent is the caller's own."""
    found: dict[UserKey, Known] = {}
    for user, answer in zip(users, answers, strict=True):
        if answer is None:
            continue
        revision, affinity, facts = answer
        held = affinities[user] if affinities and affinity == b"" else _affinity(affinity)
        found[user] = Known(Person(user[1], held, facts_of(facts)), int(revision))
    return found


def _affinity(data: bytes | None) -> Affinity | None:
    return affinity_of(data) if data else None
