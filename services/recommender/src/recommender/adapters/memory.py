"""The store in memory: what the ports promise, said as plainly as can be. For tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from runtime.clock import Clock

from recommender.adapters.memory_state import (
    Gone,
    Listed,
    StoredUser,
    Tenant,
    arrived,
    catalog_of,
    earlier,
    engaged_at,
    facts_of,
    hashed,
    is_gone,
    plan,
    user_of,
)
from recommender.adapters.redis_coding import micros
from recommender.domain.catalog import Catalog
from recommender.domain.models import (
    Affinity,
    Campaign,
    CampaignVector,
    Engagement,
    Person,
)
from recommender.domain.policy import Policy
from recommender.domain.ports import (
    ON_ITS_WAY,
    SWEEP,
    Backlog,
    Counted,
    Draft,
    Due,
    End,
    Known,
    PopularDraft,
    Saved,
    Settled,
    UserKey,
    Verdict,
)
from recommender.domain.tallies import Tally, counted
from recommender.domain.vectors import direction

LEASE = timedelta(seconds=10)


class MemoryStore:
    """People, offers and agenda in dictionaries, for one event loop."""

    def __init__(self, clock: Clock, policy: Policy, popular_after: timedelta) -> None:
        self.tenants: dict[str, Tenant] = defaultdict(Tenant)
        self._clock = clock
        self._policy = policy
        self._popular_after = popular_after
        self._leases: dict[str, datetime] = {}

    async def take_affinities(self, items: Mapping[UserKey, Affinity]) -> Mapping[UserKey, Known]:
        for (tenant_id, user_id), affinity in items.items():
            tenant = self.tenants[tenant_id]
            if is_gone(tenant, user_id, affinity.heard_at):
                continue
            user = user_of(tenant, user_id)
            if user.affinity is None or affinity.version > user.affinity.version:
                user.affinity = affinity
                self._touch(user)
        return await self.read(items)

    async def take_engagements(
        self, items: Sequence[tuple[str, Engagement]]
    ) -> Mapping[UserKey, Known]:
        for tenant_id, item in items:
            tenant = self.tenants[tenant_id]
            known = tenant.ids[item.user_id]
            if is_gone(tenant, item.user_id, item.taken_at) or item.engagement_id in known:
                continue
            known.add(item.engagement_id)
            self._count(tenant, item)
        return await self.read([(tenant_id, item.user_id) for tenant_id, item in items])

    async def read(self, users: Collection[UserKey]) -> Mapping[UserKey, Known]:
        found = {}
        for tenant_id, user_id in users:
            user = self.tenants[tenant_id].users.get(user_id)
            if user is not None:
                person = Person(user_id, user.affinity, facts_of(user.engagements))
                found[tenant_id, user_id] = Known(person, user.revision)
        return found

    async def save(self, drafts: Sequence[Draft]) -> Sequence[Saved]:
        return [self._save(draft) for draft in drafts]

    async def settle(self, users: Mapping[UserKey, Settled]) -> None:
        for (tenant_id, user_id), one in users.items():
            tenant = self.tenants[tenant_id]
            if not self._overtaken(tenant, user_id, one.version):
                user = tenant.users.get(user_id)
                if user is not None and user.revision == one.revision:
                    tenant.due[user_id] = self._settled(user, one.due_at)

    async def published(self, users: Mapping[UserKey, int]) -> None:
        for (tenant_id, user_id), version in users.items():
            tenant = self.tenants[tenant_id]
            if not self._overtaken(tenant, user_id, version):
                arrived(tenant.users.get(user_id, StoredUser()))

    async def ended(self, users: Collection[UserKey]) -> Mapping[UserKey, End]:
        found = {user: self.tenants[user[0]].gone.get(hashed(user[1])) for user in users}
        return {user: End(one.version, one.owed) for user, one in found.items() if one is not None}

    async def postpone(self, users: Mapping[UserKey, datetime]) -> None:
        for (tenant_id, user_id), at in users.items():
            earlier(self.tenants[tenant_id].due, user_id, at)

    async def drop(self, users: Mapping[UserKey, int]) -> None:
        for (tenant_id, user_id), owed in users.items():
            tenant = self.tenants[tenant_id]
            gone = tenant.gone.get(hashed(user_id))
            if user_id not in tenant.users and owed == (gone.owed if gone else 0):
                tenant.due.pop(user_id, None)

    async def forget(self, users: Mapping[UserKey, datetime]) -> Mapping[UserKey, int]:
        return {
            user: self._forget(self.tenants[user[0]], user[1], at) for user, at in users.items()
        }

    async def take_campaigns(self, items: Sequence[tuple[str, Campaign]]) -> None:
        for tenant_id, campaign in items:
            tenant, key = self.tenants[tenant_id], campaign.campaign_id
            known = tenant.campaigns.get(key)
            if known is None or (known != campaign and known.changed_at <= campaign.changed_at):
                tenant.campaigns[key] = campaign
                tenant.changed.add(key)
                tenant.mark += 1
                tenant.revision = self._later(tenant.revision)
                earlier(tenant.chores, "walk", self._clock.now())
                earlier(tenant.chores, "popular", self._clock.now())

    async def take_vectors(self, items: Sequence[tuple[str, CampaignVector]]) -> None:
        checked = [(tenant_id, vector, direction(vector)) for tenant_id, vector in items]
        for tenant_id, vector, _ in checked:
            tenant, key = self.tenants[tenant_id], vector.campaign_id
            known = tenant.vectors.get(key)
            if known is None or (known != vector and known.changed_at <= vector.changed_at):
                tenant.vectors[key] = vector
                tenant.revision = self._later(tenant.revision)

    async def catalogs(self, tenants: Collection[str]) -> Mapping[str, Catalog]:
        return {tenant_id: catalog_of(self.tenants[tenant_id]) for tenant_id in tenants}

    async def counted(self, tenants: Collection[str]) -> Mapping[str, Counted]:
        return {
            tenant_id: Counted(dict(tenant.tallies), tenant.popular.revision, tenant.mark)
            for tenant_id, tenant in ((one, self.tenants[one]) for one in tenants)
        }

    async def save_popular(self, drafts: Sequence[PopularDraft]) -> Sequence[Saved]:
        return [self._save_popular(draft) for draft in drafts]

    async def settle_popular(self, drafts: Sequence[tuple[PopularDraft, Saved]]) -> None:
        for draft, answer in drafts:
            tenant = self.tenants[draft.tenant_id]
            popular = tenant.popular
            if popular.version != answer.version:
                self._overtaken_popular(tenant)
            elif popular.revision == answer.revision:
                tenant.chores["popular"] = self._settled(popular, self._due(tenant, draft))

    async def popular_published(self, tenants: Mapping[str, int]) -> None:
        for tenant_id, version in tenants.items():
            tenant = self.tenants[tenant_id]
            if tenant.popular.version not in {0, version}:
                self._overtaken_popular(tenant)
            else:
                arrived(tenant.popular)

    async def claim(self, limit: int) -> Sequence[str]:
        now = self._clock.now()
        waiting = {
            tenant_id: min([*tenant.due.values(), *tenant.chores.values()], default=None)
            for tenant_id, tenant in self.tenants.items()
            if self._leases.get(tenant_id, now) <= now
        }
        ready = {one: first for one, first in waiting.items() if first is not None and first <= now}
        claimed = sorted(ready, key=ready.__getitem__)[:limit]
        self._leases.update(dict.fromkeys(claimed, now + LEASE))
        return claimed

    async def release(self, tenants: Collection[str]) -> None:
        for tenant_id in tenants:
            self._leases.pop(tenant_id, None)

    async def due(self, tenants: Mapping[str, int]) -> Mapping[str, Due]:
        found = {}
        for tenant_id, limit in tenants.items():
            tenant = self.tenants[tenant_id]
            users, chores = self._ripe(tenant.due), self._ripe(tenant.chores)
            found[tenant_id] = Due(tuple(users[:limit]), "popular" in chores, "walk" in chores)
        return found

    async def walk(self, tenant_id: str, pages: int) -> None:
        tenant = self.tenants[tenant_id]
        for user_id in tenant.due:
            user = tenant.users.get(user_id, StoredUser())
            if tenant.changed and (not user.complete or user.considered & tenant.changed):
                earlier(tenant.due, user_id, self._clock.now())
        tenant.changed.clear()
        tenant.chores.pop("walk", None)

    async def backlog(self) -> Backlog:
        now = self._clock.now()
        late = [
            (now - at).total_seconds()
            for tenant in self.tenants.values()
            for at in tenant.due.values()
            if at <= now
        ]
        return Backlog(len(late), max(late, default=0.0))

    def _ripe(self, queue: Mapping[str, datetime]) -> list[str]:
        now = self._clock.now()
        return sorted((key for key, at in queue.items() if at <= now), key=lambda key: queue[key])

    def _later(self, previous: int) -> int:
        return max(previous + 1, micros(self._clock.now()))

    def _touch(self, listed: Listed) -> int:
        listed.revision = self._later(listed.revision)
        return listed.revision

    def _count(self, tenant: Tenant, item: Engagement) -> None:
        user = user_of(tenant, item.user_id)
        before = engaged_at(user.engagements, item.campaign_id)
        user.engagements.append(item)
        tenant.tallies[item.campaign_id] = counted(
            tenant.tallies.get(item.campaign_id, Tally()),
            item.kind,
            item.at,
            before,
            self._policy.half_life,
        )
        tenant.mark += 1
        self._touch(user)
        earlier(tenant.chores, "popular", self._clock.now() + self._popular_after)

    def _save(self, draft: Draft) -> Saved:
        tenant, user_id = self.tenants[draft.user[0]], draft.user[1]
        user = tenant.users.get(user_id)
        if user is None or (user.revision, tenant.revision) != (
            draft.revision,
            draft.catalog_revision,
        ):
            return Saved(Verdict.STALE)
        answer = self._told(user, draft.digest, draft.cause)
        user.considered = frozenset(draft.considered)
        user.complete = draft.complete
        if not draft.held or answer.verdict is Verdict.KNOWN:
            plan(tenant.due, user_id, user, draft.due_at)
        return answer

    def _save_popular(self, draft: PopularDraft) -> Saved:
        tenant = self.tenants[draft.tenant_id]
        made_from = draft.counted.revision, draft.catalog_revision
        if (tenant.popular.revision, tenant.revision) != made_from:
            return Saved(Verdict.STALE)
        tenant.standings = draft.standings
        answer = self._told(tenant.popular, draft.digest, draft.cause)
        if not draft.held or answer.verdict is Verdict.KNOWN:
            plan(tenant.chores, "popular", tenant.popular, self._due(tenant, draft))
        return answer

    def _told(self, listed: Listed, digest: str, cause: str) -> Saved:
        now, changed = self._clock.now(), listed.digest != digest
        if changed:
            listed.version = self._later(listed.version)
            if listed.unpublished is not None:
                listed.astray = now + ON_ITS_WAY
        listed.digest = digest
        owed = cause == SWEEP and listed.astray is not None and listed.astray <= now
        publish = changed or owed or listed.unpublished in {cause, SWEEP}
        if publish:
            listed.unpublished = cause
        verdict = Verdict.PUBLISH if publish else Verdict.KNOWN
        return Saved(verdict, listed.version, self._touch(listed))

    def _due(self, tenant: Tenant, draft: PopularDraft) -> datetime:
        again = self._clock.now() + self._popular_after
        return draft.due_at if tenant.mark == draft.counted.mark else again

    def _settled(self, listed: Listed, due_at: datetime) -> datetime:
        """When it is due now."""
        if listed.astray is not None and listed.astray > self._clock.now():
            return min(listed.astray, due_at)
        listed.unpublished = listed.astray = None
        return due_at

    def _overtaken(self, tenant: Tenant, user_id: str, version: int) -> bool:
        """Whether a version is not the last; that one has to come out once more then."""
        user, gone = tenant.users.get(user_id), tenant.gone.get(hashed(user_id))
        if (user or gone or StoredUser()).version in {0, version}:
            return False
        if user is not None:
            user.unpublished = SWEEP
            self._touch(user)
        elif gone is not None:
            late = replace(gone, astray=self._clock.now(), owed=gone.owed + 1)
            tenant.gone[hashed(user_id)] = late
        tenant.due[user_id] = self._clock.now()
        return True

    def _overtaken_popular(self, tenant: Tenant) -> None:
        tenant.popular.unpublished = SWEEP
        self._touch(tenant.popular)
        tenant.chores["popular"] = self._clock.now()

    def _forget(self, tenant: Tenant, user_id: str, at: datetime) -> int:
        known = tenant.gone.get(hashed(user_id))
        if known is not None and known.at >= at:
            return known.version
        old = user_of(tenant, user_id)
        last = max(old.version, micros(at))
        version, revision = self._later(last), self._later(old.revision)
        astray = old.astray if old.unpublished is None else self._clock.now() + ON_ITS_WAY
        owed = (known.owed if known else 0) + (astray is not None)
        tenant.gone[hashed(user_id)] = Gone(at, version, revision, astray, owed)
        tenant.users.pop(user_id)
        stays = [one for one in old.engagements if one.taken_at > at]
        heard = old.affinity if old.affinity and old.affinity.heard_at > at else None
        tenant.ids[user_id] = {one.engagement_id for one in stays}
        tenant.due.pop(user_id, None)
        if stays or heard:
            tenant.users[user_id] = StoredUser(
                revision,
                version,
                astray=astray,
                affinity=heard,
                engagements=stays,
            )
            tenant.due[user_id] = self._clock.now()
        elif astray is not None:
            tenant.due[user_id] = astray
        return version
