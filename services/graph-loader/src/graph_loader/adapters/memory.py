"""The graph in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from heapq import nsmallest
from math import sqrt

from graph_loader.domain.models import (
    Affinity,
    Answer,
    Backlog,
    Campaign,
    Conversation,
    Engaged,
    Key,
    Neighbour,
    Offers,
    Person,
    Shared,
    Similar,
    Times,
    User,
    Wanted,
)
from graph_loader.domain.ports import Decide
from graph_loader.domain.region import Changes, Reach, Region, changes, pair
from graph_loader.domain.rules import NEIGHBOURS, OFFERED, RELATED, STIRRED


class MemoryGraph:
    """Dictionaries, keyed by tenant and id."""

    def __init__(self) -> None:
        self.users: dict[Key, User] = {}
        self.tombstones: dict[Key, int] = {}
        self.similar: dict[Key, dict[Key, Similar]] = {}
        self.engaged: dict[Key, dict[str, Engaged]] = {}
        self.conversations: dict[Key, dict[str, Conversation]] = {}
        self.campaigns: dict[Key, Campaign] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        self.shared: dict[Key, Counter[str]] = {}
        self.fans: Counter[Key] = Counter()
        self._published: dict[Key, tuple[int, str]] = {}
        self._stale: dict[Key, int] = {}
        self._marks: Counter[Key] = Counter()

    async def change(self, reach: Reach, decide: Decide) -> None:
        """Without a pause, so that nothing comes in between."""
        region = self._region(reach)
        before = region.copy()
        decide(region)
        self._store(changes(before, region))

    async def people(self, users: Collection[Key]) -> Mapping[Key, Person]:
        await asyncio.sleep(0)
        return {key: self._person(key) for key in users if key in self.users}

    async def offers(self, wanted: Wanted) -> Offers:
        await asyncio.sleep(0)
        return Offers(
            {key: self._related(key) for key in wanted.engaged},
            {key: self._targeting(key) for key in wanted.intents},
            frozenset(key for key in wanted.near if self._is_deleted(key)),
        )

    async def remember(self, affinities: Sequence[Affinity]) -> None:
        await asyncio.sleep(0)
        for one in affinities:
            if one.key not in self.users:
                continue
            if one.version > self._published.get(one.key, (0, ""))[0]:
                self._published[one.key] = (one.version, one.shown)
            if one.key in self._stale:
                if self._marks[one.key] == one.marks:
                    del self._stale[one.key]
                else:
                    self._stale[one.key] = one.read_at

    async def waiting(self, limit: int) -> Sequence[Key]:
        await asyncio.sleep(0)
        return nsmallest(limit, self._stale, key=lambda key: (self._stale[key], key))

    async def backlog(self) -> Backlog:
        return Backlog(len(self._stale), min(self._stale.values(), default=0))

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        await asyncio.sleep(0)
        for answer in answers:
            key = (answer.tenant_id, str(answer.completion_id))
            known = self.answers.get(key)
            if known is None or (known.revision, known.analyzed_at) <= (
                answer.revision,
                answer.analyzed_at,
            ):
                self.answers[key] = answer

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _region(self, reach: Reach) -> Region:
        region = Region()
        for key in reach.users | reach.named:
            self._look_up(region, key)
        region.users = {key: self.users[key] for key in reach.users if key in self.users}
        for key in reach.neighbours_of:
            for other, similar in self.similar.get(key, {}).items():
                region.link(pair(key, other), similar)
                self._look_up(region, other)
        self._load_edges(region, reach)
        region.campaigns = {
            key: self.campaigns[key] for key in reach.campaigns if key in self.campaigns
        }
        return region

    def _look_up(self, region: Region, key: Key) -> None:
        if key in self.users:
            region.said[key] = self.users[key].said_at
        if key in self.tombstones:
            region.tombstones[key] = self.tombstones[key]

    def _load_edges(self, region: Region, reach: Reach) -> None:
        for key in reach.engaged_of:
            for campaign_id, engaged in self.engaged.get(key, {}).items():
                region.engaged[key, campaign_id] = engaged
        for key, conversation_id in reach.conversations:
            known = self.conversations.get(key, {})
            if conversation_id in known:
                region.conversations[key, conversation_id] = known[conversation_id]
        for key in reach.conversations_of:
            for conversation_id, conversation in self.conversations.get(key, {}).items():
                region.conversations[key, conversation_id] = conversation

    def _store(self, made: Changes) -> None:
        for key in made.gone:
            self._remove(key)
        for key in made.named:
            self.users.setdefault(key, User())
        self.users |= made.users
        self.tombstones |= made.tombstones
        for one, other in made.parted:
            del self.similar[one][other], self.similar[other][one]
        for (one, other), similar in made.similar.items():
            self.similar.setdefault(one, {})[other] = similar
            self.similar.setdefault(other, {})[one] = similar
        self._store_edges(made)
        self.campaigns |= made.campaigns
        for (tenant, first, second), by in made.shared.items():
            self.shared.setdefault((tenant, first), Counter())[second] += by
            self.shared.setdefault((tenant, second), Counter())[first] += by
        self.fans.update(made.fans)
        self._mark(made)

    def _store_edges(self, made: Changes) -> None:
        for key, campaign_id in made.left:
            del self.engaged[key][campaign_id]
        for (key, campaign_id), engaged in made.engaged.items():
            self.engaged.setdefault(key, {})[campaign_id] = engaged
        for key, conversation_id in made.closed:
            del self.conversations[key][conversation_id]
        for (key, conversation_id), conversation in made.conversations.items():
            self.conversations.setdefault(key, {})[conversation_id] = conversation

    def _remove(self, key: Key) -> None:
        for other in self.similar.pop(key, {}):
            del self.similar[other][key]
        for table in (self.users, self.engaged, self.conversations, self._published, self._stale):
            table.pop(key, None)
        del self._marks[key]

    def _mark(self, made: Changes) -> None:
        for key, at in made.marks.items():
            self._stale.setdefault(key, at)
            self._marks[key] += 1
        for (tenant, intent), at in made.stirred.items():
            for key in self._wanting(tenant, intent):
                self._stale.setdefault(key, at)
                self._marks[key] += 1

    def _wanting(self, tenant: str, intent: str) -> list[Key]:
        ranked = [
            (-wish.score, key)
            for key, user in self.users.items()
            if key[0] == tenant
            for wish in user.wants
            if wish.intent == intent
        ]
        return [key for _, key in nsmallest(STIRRED, ranked)]

    def _person(self, key: Key) -> Person:
        version, shown = self._published.get(key, (0, ""))
        near = self.similar.get(key, {})
        strongest = nsmallest(NEIGHBOURS, near, key=lambda other: (-near[other].weight, other))
        return Person(
            user=self.users[key],
            engaged=self._deeds(key),
            neighbours=tuple(self._neighbour(other, near[other].weight) for other in strongest),
            marks=self._marks[key],
            stale_at=self._stale.get(key, 0),
            affinity_version=version,
            shown=shown,
        )

    def _neighbour(self, key: Key, weight: float) -> Neighbour:
        intents = tuple(wish.intent for wish in self.users[key].wants)
        engaged = [
            (campaign_id, times)
            for campaign_id, times in self._deeds(key)
            if not self._is_deleted((key[0], campaign_id))
        ]
        return Neighbour(key[1], weight, intents, tuple(engaged))

    def _deeds(self, key: Key) -> tuple[tuple[str, Times], ...]:
        edges = self.engaged.get(key, {})
        return tuple(
            (campaign_id, edges[campaign_id].at._replace(seen=0))
            for campaign_id in sorted(edges)
            if any(edges[campaign_id].at._replace(seen=0))
        )

    def _related(self, key: Key) -> tuple[Shared, ...]:
        found = [
            Shared(other, users, users / sqrt(self.fans[key] * self.fans[key[0], other]))
            for other, users in self.shared.get(key, Counter()).items()
            if users > 0 and not self._is_deleted((key[0], other))
        ]
        return tuple(nsmallest(RELATED, found, key=lambda one: (-one.cosine, one.campaign_id)))

    def _targeting(self, intent: Key) -> tuple[str, ...]:
        found = [
            (-campaign.changed_at, campaign_id)
            for (tenant, campaign_id), campaign in self.campaigns.items()
            if tenant == intent[0] and intent[1] in campaign.intents and not campaign.deleted
        ]
        return tuple(campaign_id for _, campaign_id in nsmallest(OFFERED, found))

    def _is_deleted(self, key: Key) -> bool:
        return self.campaigns.get(key, Campaign()).deleted
