"""The store in memory: what the ports promise, said as plainly as can be. For tests."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from runtime.clock import Clock

from recommender.domain.catalog import Catalog
from recommender.domain.models import (
    Affinity,
    Campaign,
    CampaignVector,
    Engagement,
    Facts,
    Kind,
    Person,
)
from recommender.domain.policy import Policy
from recommender.domain.ports import (
    SWEEP,
    Backlog,
    Counted,
    Draft,
    Due,
    Known,
    PopularDraft,
    Saved,
    UserKey,
    Verdict,
)
from recommender.domain.standings import Standings
from recommender.domain.tallies import ENGAGED, Tally, counted
from recommender.domain.vectors import Vectors, direction

LEASE = timedelta(seconds=10)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Listed:
    """What is known of a list that was made: a user's, or the popular one."""

    revision: int = 0
    version: int = 0
    digest: str | None = None
    unpublished: str | None = None


@dataclass
class StoredUser(_Listed):
    """What is kept of a user."""

    affinity: Affinity | None = None
    engagements: list[Engagement] = field(default_factory=list)
    considered: frozenset[str] = frozenset()
    complete: bool = True


@dataclass(frozen=True)
class _Gone:
    """A user that was forgotten: when, and the last version and revision."""

    at: datetime
    version: int
    revision: int


@dataclass
class _Tenant:
    users: dict[str, StoredUser] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    gone: dict[str, _Gone] = field(default_factory=dict)
    due: dict[str, datetime] = field(default_factory=dict)
    chores: dict[str, datetime] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    vectors: dict[str, CampaignVector] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    popular: _Listed = field(default_factory=_Listed)
    standings: Standings = field(default_factory=Standings)
    mark: int = 0
    revision: int = 0


class MemoryStore:
    """People, offers and agenda in dictionaries, for one event loop."""

    def __init__(self, clock: Clock, policy: Policy, popular_after: timedelta) -> None:
        self.tenants: dict[str, _Tenant] = defaultdict(_Tenant)
        self._clock = clock
        self._policy = policy
        self._popular_after = popular_after
        self._leases: dict[str, datetime] = {}

    async def take_affinities(self, items: Mapping[UserKey, Affinity]) -> Mapping[UserKey, Known]:
        for (tenant_id, user_id), affinity in items.items():
            tenant = self.tenants[tenant_id]
            if _is_gone(tenant, user_id, affinity.heard_at):
                continue
            user = _user(tenant, user_id)
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
            if _is_gone(tenant, item.user_id, item.taken_at) or item.engagement_id in known:
                continue
            known.add(item.engagement_id)
            self._count(tenant, item)
        return await self.read([(tenant_id, item.user_id) for tenant_id, item in items])

    async def read(self, users: Collection[UserKey]) -> Mapping[UserKey, Known]:
        found = {}
        for tenant_id, user_id in users:
            user = self.tenants[tenant_id].users.get(user_id)
            if user is not None:
                person = Person(user_id, user.affinity, _facts(user.engagements))
                found[tenant_id, user_id] = Known(person, user.revision)
        return found

    async def save(self, drafts: Sequence[Draft]) -> Sequence[Saved]:
        return [self._save(draft) for draft in drafts]

    async def settle(self, users: Mapping[UserKey, tuple[int, datetime]]) -> None:
        for (tenant_id, user_id), (revision, due_at) in users.items():
            tenant = self.tenants[tenant_id]
            user = tenant.users.get(user_id)
            if user is not None and user.revision == revision:
                user.unpublished = None
                tenant.due[user_id] = due_at

    async def postpone(self, users: Mapping[UserKey, datetime]) -> None:
        for (tenant_id, user_id), at in users.items():
            _earlier(self.tenants[tenant_id].due, user_id, at)

    async def drop(self, users: Collection[UserKey]) -> None:
        for tenant_id, user_id in users:
            if user_id not in self.tenants[tenant_id].users:
                self.tenants[tenant_id].due.pop(user_id, None)

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
                _earlier(tenant.chores, "walk", self._clock.now())
                _earlier(tenant.chores, "popular", self._clock.now())

    async def take_vectors(self, items: Sequence[tuple[str, CampaignVector]]) -> None:
        checked = [(tenant_id, vector, direction(vector)) for tenant_id, vector in items]
        for tenant_id, vector, _ in checked:
            tenant, key = self.tenants[tenant_id], vector.campaign_id
            known = tenant.vectors.get(key)
            if known is None or (known != vector and known.changed_at <= vector.changed_at):
                tenant.vectors[key] = vector
                tenant.revision = self._later(tenant.revision)

    async def catalogs(self, tenants: Collection[str]) -> Mapping[str, Catalog]:
        return {tenant_id: _catalog(self.tenants[tenant_id]) for tenant_id in tenants}

    async def counted(self, tenants: Collection[str]) -> Mapping[str, Counted]:
        return {
            tenant_id: Counted(dict(tenant.tallies), tenant.popular.revision, tenant.mark)
            for tenant_id, tenant in ((one, self.tenants[one]) for one in tenants)
        }

    async def save_popular(self, drafts: Sequence[PopularDraft]) -> Sequence[Saved]:
        return [self._save_popular(draft) for draft in drafts]

    async def settle_popular(self, drafts: Sequence[tuple[PopularDraft, int]]) -> None:
        for draft, revision in drafts:
            tenant = self.tenants[draft.tenant_id]
            if tenant.popular.revision == revision:
                tenant.popular.unpublished = None
                self._schedule(tenant, draft)

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
                _earlier(tenant.due, user_id, self._clock.now())
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
        return max(previous + 1, (self._clock.now() - _UNIX) // timedelta(microseconds=1))

    def _touch(self, listed: _Listed) -> int:
        listed.revision = self._later(listed.revision)
        return listed.revision

    def _count(self, tenant: _Tenant, item: Engagement) -> None:
        user = _user(tenant, item.user_id)
        before = _engaged_at(user.engagements, item.campaign_id)
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
        _earlier(tenant.chores, "popular", self._clock.now() + self._popular_after)

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
            tenant.due[user_id] = draft.due_at
        return answer

    def _save_popular(self, draft: PopularDraft) -> Saved:
        tenant = self.tenants[draft.tenant_id]
        made_from = draft.counted.revision, draft.catalog_revision
        if (tenant.popular.revision, tenant.revision) != made_from:
            return Saved(Verdict.STALE)
        tenant.standings = draft.standings
        answer = self._told(tenant.popular, draft.digest, draft.cause)
        if not draft.held or answer.verdict is Verdict.KNOWN:
            self._schedule(tenant, draft)
        return answer

    def _told(self, listed: _Listed, digest: str, cause: str) -> Saved:
        publish = listed.digest != digest or listed.unpublished in {cause, SWEEP}
        if listed.digest != digest:
            listed.version = self._later(listed.version)
        listed.digest = digest
        if publish:
            listed.unpublished = cause
        verdict = Verdict.PUBLISH if publish else Verdict.KNOWN
        return Saved(verdict, listed.version, self._touch(listed))

    def _schedule(self, tenant: _Tenant, draft: PopularDraft) -> None:
        again = self._clock.now() + self._popular_after
        tenant.chores["popular"] = draft.due_at if tenant.mark == draft.counted.mark else again

    def _forget(self, tenant: _Tenant, user_id: str, at: datetime) -> int:
        known = tenant.gone.get(_hashed(user_id))
        if known is not None and known.at >= at:
            return known.version
        old = _user(tenant, user_id)
        version, revision = self._later(old.version), self._later(old.revision)
        tenant.gone[_hashed(user_id)] = _Gone(at, version, revision)
        tenant.users.pop(user_id)
        stays = [one for one in old.engagements if one.taken_at > at]
        heard = old.affinity if old.affinity and old.affinity.heard_at > at else None
        tenant.ids[user_id] = {one.engagement_id for one in stays}
        tenant.due.pop(user_id, None)
        if stays or heard:
            tenant.users[user_id] = StoredUser(revision, version, affinity=heard, engagements=stays)
            tenant.due[user_id] = self._clock.now()
        return version


def _catalog(tenant: _Tenant) -> Catalog:
    vectors = {key: (one.model, direction(one)) for key, one in tenant.vectors.items()}
    campaigns = dict(tenant.campaigns)
    return Catalog(campaigns, tenant.standings, Vectors(vectors), tenant.revision)


def _facts(engagements: Iterable[Engagement]) -> dict[str, Facts]:
    times: dict[str, dict[Kind, list[datetime]]] = {}
    for one in engagements:
        times.setdefault(one.campaign_id, defaultdict(list))[one.kind].append(one.at)
    return {
        key: Facts(
            tuple(sorted(of[Kind.IMPRESSION])),
            max(of[Kind.CLICK], default=None),
            max(of[Kind.CONVERSION], default=None),
            max(of[Kind.DISMISSAL], default=None),
        )
        for key, of in times.items()
    }


def _engaged_at(engagements: Iterable[Engagement], campaign_id: str) -> datetime | None:
    return max(
        (one.at for one in engagements if one.campaign_id == campaign_id and one.kind in ENGAGED),
        default=None,
    )


def _is_gone(tenant: _Tenant, user_id: str, taken_at: datetime) -> bool:
    known = tenant.gone.get(_hashed(user_id))
    return known is not None and taken_at <= known.at


def _user(tenant: _Tenant, user_id: str) -> StoredUser:
    """A user, made if need be; one that was forgotten goes on from the last version."""
    if user_id not in tenant.users:
        gone = tenant.gone.get(_hashed(user_id))
        known = StoredUser() if gone is None else StoredUser(gone.revision, gone.version)
        tenant.users[user_id] = known
    return tenant.users[user_id]


def _hashed(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()


def _earlier(queue: dict[str, datetime], key: str, at: datetime) -> None:
    queue[key] = min(at, queue.get(key, at))
