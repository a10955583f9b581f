"""The three marketing services one behind the other, without a log between them.

Each handler's events are fed to the next. Handlers, model, graph rules and ranking are those of
production; stores are their twins in memory, which pass the same suites as the real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from bus.codec import Delivered, Emit
from bus.record import Record
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.events.marketing import (
    ConversationMessage,
    ConversationRecorded,
    EngagementKind,
    EngagementRecorded,
    RecommendationChanged,
    UserForgotten,
)
from contracts.topics import (
    AFFINITY_CHANGED,
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
    Topic,
)
from embedding.adapters import minilm
from embedding.adapters.lanes import Lanes
from embedding.adapters.memory import MemoryLake, MemoryVectorIndex
from embedding.domain.audience import Audience
from embedding.domain.profiles import Profiles
from embedding.domain.searching import Archive
from embedding.domain.states import Recipe
from embedding.domain.surroundings import Catalogs, Surveyor
from embedding.handlers import Parts
from embedding.handlers import on_campaigns_changed as embed_campaigns
from embedding.handlers import on_conversations_recorded as embed_conversations
from embedding.handlers import on_users_forgotten as forget_vectors
from graph_loader import handlers as graph
from graph_loader.adapters.memory import MemoryGraph
from graph_loader.affinities import affinities
from graph_loader.domain.rules import WEIGHTS, Weights
from graph_loader.translation import affinity_changed
from recommender import handlers as ranking
from recommender.adapters.memory import MemoryStore
from recommender.domain.models import Ranking
from recommender.domain.policy import Policy
from recommender.domain.rules import popular
from recommender.domain.standings import standings
from recommender.recommending import Recommender
from runtime import algebra
from runtime.clock import HeldClock
from runtime.deadline import Deadline
from runtime.ids import new_id

from allinone.evaluation.cases import ID_CHARACTERS, Case, Offer, campaign_event

algebra.one_thread()
TENANT = "evaluation"
BATCH = 100
MESSAGES = 1000
"""Of one event; what somebody said beyond them comes as another part of the conversation."""
MONTH = timedelta(days=30)
E = TypeVar("E", bound=Event)
Handle = Callable[[Sequence[Delivered[Any]]], Awaitable[Sequence[Emit]]]


@dataclass(frozen=True)
class Knobs:
    """What an evaluation may change: how lists are ranked, and what connections count for."""

    policy: Policy = field(default_factory=lambda: Policy(length=50))
    weights: Weights = WEIGHTS
    neighbours: int = 50


class Platform:
    """Takes in people and campaigns, and says what it recommends to one more."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self._knobs = knobs = knobs or Knobs()
        self._clock = HeldClock(datetime.now(UTC))
        self._lanes = Lanes(minilm.MODEL, partial(minilm.load, 1))
        self._parts = _parts(self._lanes, knobs, self._clock)
        self._graph = MemoryGraph()
        self._store = store = MemoryStore(self._clock, knobs.policy, timedelta(seconds=0.5))
        recommender = Recommender(store, store, knobs.policy, self._clock)
        self._desk = ranking.Desk(store, store, recommender, knobs.policy, self._clock)

    async def start(self) -> None:
        """Load the model."""
        await self._lanes.start()

    async def stop(self) -> None:
        """Let go of it."""
        await self._lanes.stop(Deadline(5))

    async def offer(self, offers: Iterable[Offer]) -> None:
        """Make campaigns. What people engaged with besides tells of them, but is never shown."""
        now = self._clock.now()
        changes = [campaign_event(one, now) for one in offers]
        for batch in _batches(_delivered(CAMPAIGN_CHANGED, changes, now)):
            embedded = await embed_campaigns(batch, self._parts)
            await graph.on_campaigns_changed(batch, self._graph, self._clock)
            await ranking.on_campaigns_changed(batch, self._desk)
            await ranking.on_campaigns_embedded(_next(CAMPAIGN_EMBEDDED, embedded), self._desk)

    async def learn(self, cases: Sequence[Case]) -> None:
        """Take in what people said and did."""
        now = self._clock.now()
        talks = [talk for case in cases for talk in _talks(case, now)]
        deeds = [
            deed
            for case in cases
            for kind, ids in (("conversion", case.known), ("click", case.engaged))
            for deed in _deeds(case, ids, kind, now)  # type: ignore[arg-type]
        ]
        for done in _batches(_delivered(ENGAGEMENT_RECORDED, deeds, now)):
            await self._engage(done)
        for said in _batches(_delivered(CONVERSATION_RECORDED, talks, now)):
            await self._hear(said)

    async def recommend(self, case: Case) -> list[str]:
        """The campaigns for one more person, the best first; they are forgotten afterwards.

        Of what they engaged with only the ``known`` part is told. Whoever has no list of their own
        is shown what is popular, as in production.
        """
        self._clock.advance(1)
        now = self._clock.now()
        emits = await self._engage(
            _delivered(ENGAGEMENT_RECORDED, _deeds(case, case.known, "conversion", now), now)
        )
        emits = [
            *emits,
            *await self._hear(_delivered(CONVERSATION_RECORDED, _talks(case, now), now)),
        ]
        lists = [emit.event for emit in emits if isinstance(emit.event, RecommendationChanged)]
        await self._forget(case.person)
        last = max(lists, key=lambda one: one.version, default=None)
        shown = last if last is not None else await self._popular()
        return [item.campaign_id for item in shown.items]

    async def _popular(self) -> Ranking:
        """The popular list as it would be made now; nothing of it is kept."""
        counted = (await self._store.counted([TENANT]))[TENANT]
        catalog = (await self._store.catalogs([TENANT]))[TENANT]
        now, policy = self._clock.now(), self._knobs.policy
        of = standings(catalog.campaigns, counted.tallies, now, policy)
        return popular(replace(catalog, standings=of), now, policy)

    async def _hear(self, batch: Sequence[Delivered[Any]]) -> Sequence[Emit]:
        embedded = await embed_conversations(batch, self._parts)
        heard = _next(USER_EMBEDDED, embedded)
        near = await self._weighed(await graph.on_users_embedded(heard, self._graph, self._clock))
        return await ranking.on_affinities_changed(_next(AFFINITY_CHANGED, near), self._desk)

    async def _engage(self, batch: Sequence[Delivered[Any]]) -> Sequence[Emit]:
        if not batch:
            return []
        near = await self._weighed(
            await graph.on_engagements_recorded(batch, self._graph, self._clock)
        )
        done = await ranking.on_engagements_recorded(batch, self._desk)
        moved = await ranking.on_affinities_changed(_next(AFFINITY_CHANGED, near), self._desk)
        return [*done, *moved]

    async def _weighed(self, emits: Sequence[Emit]) -> Sequence[Emit]:
        """The same affinities by the weights asked for, if they are not those of production."""
        if self._knobs.weights == WEIGHTS:
            return emits
        causes = {(TENANT, emit.topic.key_of(emit.event)): emit.cause for emit in emits}
        found = await affinities(self._graph, causes, self._clock, self._knobs.weights)
        return [
            causes[key].emit(AFFINITY_CHANGED, affinity_changed(one, self._clock.now()))
            for key, one in found.items()
        ]

    async def _forget(self, person: str) -> None:
        self._clock.advance(1)
        now = self._clock.now()
        gone = UserForgotten(user_id=person, forgotten_at=now)
        batch = _delivered(USER_FORGOTTEN, [gone], now)
        await forget_vectors(batch, self._parts)
        await graph.on_users_forgotten(batch, self._graph, self._clock)
        await ranking.on_users_forgotten(batch, self._desk)


def _parts(lanes: Lanes, knobs: Knobs, clock: HeldClock) -> Parts:
    lake, index, lane = MemoryLake(), MemoryVectorIndex(), lanes.lane("messages")
    catalogs = Catalogs(lake, lane, clock)
    archive = Archive(lake, index, lane)
    profiles = Profiles(lake, index, lane, Recipe(minilm.MODEL, MONTH), clock)
    surveyor = Surveyor(index, catalogs, knobs.neighbours)
    return Parts(
        profiles=profiles,
        surveyor=surveyor,
        catalogs=catalogs,
        audience=Audience(profiles, surveyor),
        answers=archive,
        searches=archive,
        clock=clock,
    )


def _talks(case: Case, now: datetime) -> list[ConversationRecorded]:
    messages = tuple(ConversationMessage(text=text, sent_at=now) for text in case.texts)
    return [
        ConversationRecorded(
            conversation_id="said",
            user_id=case.person,
            messages=messages[begun : begun + MESSAGES],
        )
        for begun in range(0, len(messages), MESSAGES)
    ]


def _deeds(
    case: Case, ids: Sequence[str], kind: EngagementKind, now: datetime
) -> list[EngagementRecorded]:
    return [
        EngagementRecorded(
            engagement_id=_engagement_id(f"{case.person}/{one}/{kind}"),
            user_id=case.person,
            campaign_id=one,
            kind=kind,
            happened_at=now,
        )
        for one in ids
    ]


def _engagement_id(told: str) -> str:
    """Two ids together may be too long for a third."""
    return told if len(told) <= ID_CHARACTERS else sha256(told.encode()).hexdigest()


def _delivered(topic: Topic[E], events: Sequence[E], at: datetime) -> list[Delivered[E]]:
    return [_one(topic, event, at) for event in events]


def _one(topic: Topic[E], event: E, at: datetime) -> Delivered[E]:
    event_id = str(new_id())
    envelope = Envelope(
        id=event_id,
        source="evaluation",
        type=topic.name,
        time=at,
        subject=topic.key_of(event),
        tenant_id=TENANT,
        correlation_id=event_id,
    )
    return Delivered(event, envelope, Record(topic.name, 0, 0, None, None, (), 0))


def _next(topic: Topic[Any], emits: Sequence[Emit]) -> list[Delivered[Any]]:
    """What a service said, as the next one hears it."""
    return [
        _one(topic, emit.event, emit.cause.envelope.time)
        for emit in emits
        if emit.topic.name == topic.name
    ]


def _batches(items: Sequence[Delivered[E]]) -> Iterable[Sequence[Delivered[E]]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
