"""Campaigns and how they do, in Redis."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from runtime.clock import Clock

from recommender.adapters.redis import Batch, RedisConnection
from recommender.adapters.redis_coding import (
    campaign_bytes,
    campaign_of,
    fingerprint,
    micros,
    standings_json,
    standings_of,
    tally_of,
    vector_bytes,
    vector_of,
)
from recommender.adapters.redis_keys import AGENDA, keys_of
from recommender.adapters.redis_people import saved
from recommender.domain.catalog import Catalog
from recommender.domain.models import Campaign, CampaignVector
from recommender.domain.policy import Policy
from recommender.domain.ports import ON_ITS_WAY, SWEEP, Counted, PopularDraft, Saved
from recommender.domain.vectors import Vectors, direction

_TENANTS = 256
"""Catalogs that a process keeps, those of the tenants it last had to do with."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A catalog as last read, and the revision of the popular list whose standings it has."""

    catalog: Catalog = field(default_factory=Catalog)
    popular_revision: str = "0"


class RedisOffers:
    """``domain.ports.Offers``. Only what changed since the last reading is read again."""

    def __init__(
        self, redis: RedisConnection, clock: Clock, policy: Policy, popular_after: timedelta
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._policy = policy
        self._popular_after = popular_after
        self._last: OrderedDict[str, _Read] = OrderedDict()

    async def take_campaigns(self, items: Sequence[tuple[str, Campaign]]) -> None:
        """One script for each."""
        batch, now = Batch(), self._now()
        for tenant_id, campaign in items:
            keys = keys_of(tenant_id)
            batch.run(
                "apply-campaign",
                [keys.campaigns, keys.revisions, keys.changed, keys.chores, keys.popular],
                campaign.campaign_id,
                micros(campaign.changed_at),
                campaign_bytes(campaign),
                now,
                fingerprint(campaign.campaign_id),
            )
        for tenant_id in dict.fromkeys(tenant_id for tenant_id, _ in items):
            batch.add("ZADD", AGENDA, "LT", now, tenant_id)
        await self._redis.send(batch)

    async def take_vectors(self, items: Sequence[tuple[str, CampaignVector]]) -> None:
        """One script for each."""
        batch, now = Batch(), self._now()
        for tenant_id, vector in items:
            keys, changed_at = keys_of(tenant_id), vector.changed_at
            batch.run(
                "apply-vector",
                [keys.vectors, keys.revisions],
                vector.campaign_id,
                micros(changed_at),
                vector_bytes(vector.model, direction(vector), changed_at),
                now,
            )
        await self._redis.send(batch)

    async def catalogs(self, tenants: Collection[str]) -> Mapping[str, Catalog]:
        """One script for each tenant."""
        batch = Batch()
        known = {tenant_id: self._last.get(tenant_id, _Read()) for tenant_id in tenants}
        for tenant_id, read in known.items():
            keys = keys_of(tenant_id)
            batch.run(
                "read-catalog",
                [keys.revisions, keys.campaigns, keys.vectors, keys.popular],
                read.catalog.revision,
                read.popular_revision,
            )
        answers = await self._redis.send(batch)
        found = {
            tenant_id: self._keep(tenant_id, _renewed(read, answer))
            for (tenant_id, read), answer in zip(known.items(), answers, strict=True)
        }
        while len(self._last) > _TENANTS:
            self._last.popitem(last=False)
        return found

    async def counted(self, tenants: Collection[str]) -> Mapping[str, Counted]:
        """The mark is read first: what is counted later sets another."""
        batch = Batch()
        half_life = int(self._policy.half_life.total_seconds())
        for tenant_id in tenants:
            keys = keys_of(tenant_id)
            batch.add("HMGET", keys.popular, "revision", "mark")
            batch.add("HGETALL", keys.tallies(half_life))
        answers = await self._redis.send(batch)
        return {
            tenant_id: Counted(
                {key.decode(): tally_of(value) for key, value in tallies.items()},
                int(revision or 0),
                int(mark or 0),
            )
            for tenant_id, (revision, mark), tallies in zip(
                tenants, answers[::2], answers[1::2], strict=True
            )
        }

    async def save_popular(self, drafts: Sequence[PopularDraft]) -> Sequence[Saved]:
        """One script for each draft."""
        batch, now = Batch(), self._now()
        for draft in drafts:
            keys = keys_of(draft.tenant_id)
            batch.run(
                "save-popular",
                [keys.popular, keys.chores, keys.revisions],
                draft.counted.revision,
                draft.catalog_revision,
                draft.counted.mark,
                draft.digest,
                draft.cause,
                now,
                standings_json(draft.standings),
                micros(draft.due_at),
                int(draft.held),
                self._again(),
                SWEEP,
                micros(self._clock.now() + ON_ITS_WAY),
            )
        self._remind(batch, drafts)
        answers = await self._redis.send(batch)
        return [saved(answer) for answer in answers[: len(drafts)]]

    async def settle_popular(self, drafts: Sequence[tuple[PopularDraft, Saved]]) -> None:
        """One script for each draft."""
        batch = Batch()
        for draft, answer in drafts:
            told = (answer.version, answer.revision, draft.counted.mark, micros(draft.due_at))
            self._arrived(batch, draft.tenant_id, *told)
        self._remind(batch, [draft for draft, _ in drafts])
        await self._redis.send(batch)

    async def popular_published(self, tenants: Mapping[str, int]) -> None:
        """One script for each tenant."""
        batch = Batch()
        for tenant_id, version in tenants.items():
            self._arrived(batch, tenant_id, version, "", 0, 0)
        answers = await self._redis.send(batch)
        late, now = Batch(), self._now()
        for tenant_id, answer in zip(tenants, answers, strict=True):
            if answer:
                late.add("ZADD", AGENDA, "LT", now, tenant_id)
        await self._redis.send(late)

    def _arrived(
        self, batch: Batch, tenant_id: str, version: int, revision: int | str, mark: int, due: int
    ) -> None:
        keys = keys_of(tenant_id)
        told = (version, revision, mark, due, self._again(), self._now(), SWEEP)
        batch.run("settle-popular", [keys.popular, keys.chores], *told)

    def _now(self) -> int:
        return micros(self._clock.now())

    def _again(self) -> int:
        return micros(self._clock.now() + self._popular_after)

    def _remind(self, batch: Batch, drafts: Sequence[PopularDraft]) -> None:
        """At the earliest at which the list may be due: whether it was marked is not known here."""
        for draft in drafts:
            due = min(micros(draft.due_at), self._again())
            batch.add("ZADD", AGENDA, "LT", due, draft.tenant_id)

    def _keep(self, tenant_id: str, read: _Read) -> Catalog:
        self._last[tenant_id] = read
        self._last.move_to_end(tenant_id)
        return read.catalog


def _renewed(read: _Read, answer: Sequence[Any]) -> _Read:
    revision, lost, ids, states, directions, popular_revision, standings = answer
    catalog = Catalog() if lost else read.catalog
    if ids:
        catalog = _changed(catalog, [one.decode() for one in ids], states, directions)
    if standings is not None:
        catalog = replace(catalog, standings=standings_of(standings))
    if int(revision) != catalog.revision:
        catalog = replace(catalog, revision=int(revision))
    return _Read(catalog, popular_revision.decode())


def _changed(
    catalog: Catalog,
    ids: Sequence[str],
    states: Sequence[bytes | None],
    directions: Sequence[bytes | None],
) -> Catalog:
    campaigns = dict(catalog.campaigns)
    vectors = dict(catalog.vectors.directions)
    for key, state, vector in zip(ids, states, directions, strict=True):
        if state is not None:
            campaigns[key] = campaign_of(key, state)
        if vector is not None:
            vectors[key] = vector_of(vector)
    return replace(catalog, campaigns=campaigns, vectors=Vectors(vectors))
