"""Who is near a user, and which intents and campaigns are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from embedding.domain.models import Campaign, Liking, Near, Surroundings, UserKey, Vector, Wish
from embedding.domain.ports import Clock, Embedder, Lake, VectorIndex
from embedding.domain.recent import Recent
from embedding.domain.rules import intent_vector, label, likings, wishes
from embedding.domain.states import UserState

FRESH = timedelta(seconds=5)
"""Another process may have heard of a change: what is known of campaigns is no older than that."""
REMEMBERED = 1000
"""Tenants whose campaigns are kept in memory; those of others are read when they are needed."""


@dataclass(frozen=True)
class Catalog:
    """The intents and campaigns of a tenant with their vectors, as of ``read_at``."""

    read_at: datetime
    intents: tuple[str, ...]
    intent_vectors: Vector
    campaigns: tuple[str, ...]
    campaign_vectors: Vector
    intents_of: Mapping[str, tuple[str, ...]]

    def near(self, state: UserState) -> tuple[tuple[Wish, ...], tuple[Liking, ...]]:
        """What of it is near a user."""
        user, last = state.mean.vector, state.last
        everything = last if user is None else user
        found = wishes(self.intents, self.intent_vectors, everything, last)
        return found, likings(self.campaigns, self.campaign_vectors, everything, last)

    def meaning(self, campaign_id: str) -> list[Vector]:
        """What a campaign says, and what it is for or not for; nothing if it is over."""
        wanted = self.intents_of.get(campaign_id, ())
        pairs = zip(self.intents, self.intent_vectors, strict=True)
        words = zip(self.campaigns, self.campaign_vectors, strict=True)
        return [vector for name, vector in words if name == campaign_id] + [
            vector for name, vector in pairs if name in wanted
        ]


@dataclass(frozen=True)
class Embedded:
    """A campaign with its vector. ``meaning_changed``: its words or intents are others."""

    campaign: Campaign
    meaning_changed: bool


@dataclass
class Catalogs:
    """Campaigns: kept in the lake, and in memory as far as they are needed to compare."""

    lake: Lake
    embedder: Embedder
    clock: Clock
    fresh: timedelta = FRESH
    _known: Recent[str, Catalog] = field(default_factory=lambda: Recent(REMEMBERED))
    _heard: Recent[str, datetime] = field(default_factory=lambda: Recent(REMEMBERED))

    async def put(self, states: Sequence[Campaign]) -> Sequence[Embedded]:
        """Embed and keep the latest state of each; those that nothing later was known of."""
        before = await self._before({item.tenant_id for item in states})
        latest = {_key(item): item for item in sorted(states, key=lambda item: item.changed_at)}
        made = await self._embedded(list(latest.values()))
        kept = await self.lake.put_campaigns(made)
        for item in made:
            self._known.pop(item.tenant_id, None)
        now = self.clock.now()
        return [
            Embedded(item, _meaning_changed(item, before.get(_key(item)), states, now))
            for item, newest in zip(made, kept, strict=True)
            if newest
        ]

    async def _before(self, tenants: set[str]) -> dict[tuple[str, str], Campaign]:
        known = [item for tenant in sorted(tenants) for item in await self.lake.campaigns(tenant)]
        return {_key(item): item for item in known}

    async def _embedded(self, campaigns: Sequence[Campaign]) -> list[Campaign]:
        vectors = await self.embedder.embed("campaign", [_text(item) for item in campaigns])
        return [
            replace(item, embedding_model=self.embedder.model, vector=vector)
            for item, vector in zip(campaigns, vectors, strict=True)
        ]

    async def of(self, tenant_id: str) -> Catalog:
        """What a tenant's campaigns are now."""
        known = self._known.get(tenant_id)
        if known is None or self.clock.now() - known.read_at > self.fresh:
            known = self._known[tenant_id] = await self._read(tenant_id)
        return known

    def known_everywhere(self, event_id: str, told_at: datetime) -> datetime:
        """Since when no process knows campaigns only from before the change that an event tells.

        The clock that says ``told_at`` may be ahead. What is heard of has been told, so that the
        time when it was heard of first will do.
        """
        now = self.clock.now()
        if told_at > now:
            told_at = self._heard.get(event_id, now)
            self._heard[event_id] = told_at
        return told_at + self.fresh

    async def _read(self, tenant_id: str) -> Catalog:
        now = self.clock.now()
        running = [item for item in await self.lake.campaigns(tenant_id) if _runs(item, now)]
        names = dict.fromkeys(name for item in running for name in _intents(item))
        labels = await self.embedder.embed("intent", [label(name) for name in names])
        texts = [await self._vector(item) for item in running]
        answers = [
            [vec for item, vec in zip(running, texts, strict=True) if name in item.intents]
            for name in names
        ]
        wanted = [intent_vector(*pair) for pair in zip(labels, answers, strict=True)]
        return Catalog(
            now,
            *_known(list(names), wanted),
            *_known([item.campaign_id for item in running], texts),
            {item.campaign_id: _intents(item) for item in running},
        )

    async def _vector(self, campaign: Campaign) -> Vector | None:
        """The stored one, or a new one if another model made that."""
        if campaign.embedding_model == self.embedder.model:
            return campaign.vector
        return (await self.embedder.embed("campaign", [_text(campaign)]))[0]


@dataclass(frozen=True)
class Surveyor:
    """Looks around users once they have moved.

    Of two who move at once, each in a process of its own, the one that looks later sees both. So
    the time of looking, which is after the moving and before the search, tells whose word about the
    two is the newer one. The clocks of replicas have to agree as closely as two such searches.
    """

    index: VectorIndex
    catalogs: Catalogs
    neighbours: int

    async def survey(self, states: Sequence[UserState]) -> dict[UserKey, Surroundings]:
        """Who and what is near each of them."""
        by_tenant: dict[str, list[UserState]] = {}
        for state in states:
            by_tenant.setdefault(state.user.tenant_id, []).append(state)
        found: dict[UserKey, Surroundings] = {}
        for tenant_id, own in by_tenant.items():
            catalog = await self.catalogs.of(tenant_id)
            looked_at = self.catalogs.clock.now()
            near = await self._nearest(tenant_id, own)
            for state in own:
                around = near.get(state.user, ())
                found[state.user] = Surroundings(looked_at, around, *catalog.near(state))
        return found

    async def _nearest(
        self, tenant_id: str, states: Sequence[UserState]
    ) -> dict[UserKey, tuple[Near, ...]]:
        points = [point for state in states if (point := state.point)]
        lists = await self.index.nearest(tenant_id, points, self.neighbours)
        return {point.user: tuple(own) for point, own in zip(points, lists, strict=True)}


def _text(campaign: Campaign) -> str:
    return f"{campaign.title}\n{campaign.text}"


def _key(campaign: Campaign) -> tuple[str, str]:
    return campaign.tenant_id, campaign.campaign_id


def _runs(campaign: Campaign, now: datetime) -> bool:
    return not campaign.deleted and (campaign.ends_at is None or campaign.ends_at > now)


def _intents(campaign: Campaign) -> tuple[str, ...]:
    return (*campaign.intents, *campaign.excluded_intents)


def _meaning_changed(
    campaign: Campaign, before: Campaign | None, heard: Sequence[Campaign], now: datetime
) -> bool:
    """Whether somebody may be near to it who was not.

    A state that is heard again was perhaps kept and never told: then it is as if it were new.
    """
    if before is None or not _runs(before, now):
        return True
    again = any(
        _key(item) == _key(campaign) and item.changed_at == before.changed_at for item in heard
    )
    same_intents = set(_intents(before)) == set(_intents(campaign))
    return again or not (same_intents and _text(before) == _text(campaign))


def _known(
    names: Sequence[str], vectors: Sequence[Vector | None]
) -> tuple[tuple[str, ...], Vector]:
    """Names whose text the model knows, and their vectors as rows."""
    pairs = [
        (name, vector) for name, vector in zip(names, vectors, strict=True) if vector is not None
    ]
    rows = np.array([vector for _, vector in pairs], dtype=np.float32)
    return tuple(name for name, _ in pairs), rows
