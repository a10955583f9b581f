"""The recommender's stores on a clock that is held, and short ways to make what they keep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from bus.codec import Delivered
from bus.record import Record
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.topics import Topic
from recommender.adapters.memory import MemoryStore
from recommender.adapters.redis import RedisConnection
from recommender.adapters.redis_agenda import RedisAgenda
from recommender.adapters.redis_offers import RedisOffers
from recommender.adapters.redis_people import RedisPeople
from recommender.domain.catalog import Catalog
from recommender.domain.models import (
    Affinity,
    Campaign,
    Candidate,
    Engagement,
    Intent,
    Kind,
    Path,
)
from recommender.domain.policy import Policy
from recommender.domain.ports import Agenda, Draft, Known, Offers, People, UserKey
from recommender.domain.standings import standings
from recommender.domain.tallies import Tally
from recommender.domain.vectors import Vectors
from recommender.handlers import Desk
from recommender.recommending import Recommender
from runtime.clock import HeldClock
from runtime.ids import new_id

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
POPULAR_AFTER = timedelta(seconds=0.5)
DAY = timedelta(days=1)
E = TypeVar("E", bound=Event)
_numbers = count(1)


@dataclass
class Kit:
    """The three ports on one backend, and what uses them."""

    people: People
    offers: Offers
    agenda: Agenda
    clock: HeldClock
    policy: Policy
    redis: RedisConnection | None = None

    @property
    def recommender(self) -> Recommender:
        return Recommender(self.people, self.offers, self.policy, self.clock)

    @property
    def desk(self) -> Desk:
        return Desk(self.people, self.offers, self.recommender, self.policy, self.clock)

    def another(self) -> Kit:
        """The same stores as another process has them."""
        if self.redis is None:
            return self
        return _on(self.redis, self.clock, self.policy)


def memory_kit(policy: Policy | None = None) -> Kit:
    clock, policy = HeldClock(NOW), policy or Policy()
    store = MemoryStore(clock, policy, POPULAR_AFTER)
    return Kit(store, store, store, clock, policy)


def redis_kit(url: str, policy: Policy | None = None) -> Kit:
    return _on(RedisConnection(url), HeldClock(NOW), policy or Policy())


def _on(redis: RedisConnection, clock: HeldClock, policy: Policy) -> Kit:
    people = RedisPeople(redis, clock, policy, POPULAR_AFTER)
    offers = RedisOffers(redis, clock, policy, POPULAR_AFTER)
    return Kit(people, offers, RedisAgenda(redis, clock), clock, policy, redis)


def campaign(key: str = "espresso", *, at: datetime = NOW - DAY, title: str = "") -> Campaign:
    return Campaign(campaign_id=key, title=title or key.title(), changed_at=at)


def affinity(
    *candidates: str | Candidate,
    version: int = 1,
    heard_at: datetime = NOW,
    intents: Sequence[Intent] = (),
) -> Affinity:
    """Campaigns by their names, the first the nearest."""
    named = tuple(
        one if isinstance(one, Candidate) else near(one, 1 - place / 10)
        for place, one in enumerate(candidates)
    )
    return Affinity(version, heard_at, named, tuple(intents))


def near(key: str, weight: float = 1.0, *paths: Path) -> Candidate:
    return Candidate(key, weight, paths or (Path("similar-users", weight, 3),))


def engagement(
    kind: Kind = Kind.CLICK,
    campaign_id: str = "espresso",
    user_id: str = "ada",
    *,
    at: datetime = NOW,
    taken_at: datetime | None = None,
    engagement_id: str | None = None,
) -> Engagement:
    return Engagement(
        engagement_id=engagement_id or f"e-{next(_numbers)}",
        user_id=user_id,
        campaign_id=campaign_id,
        kind=kind,
        at=at,
        taken_at=taken_at or at,
    )


def catalog(
    *campaigns: Campaign,
    tallies: Mapping[str, Tally] | None = None,
    vectors: Vectors | None = None,
    policy: Policy | None = None,
    now: datetime = NOW,
) -> Catalog:
    known = {one.campaign_id: one for one in campaigns}
    of = standings(known, tallies or {}, now, policy or Policy())
    return Catalog(known, of, vectors or Vectors(), 1)


def delivered(
    topic: Topic[E],
    event: E,
    tenant_id: str = "t-1",
    *,
    at: datetime = NOW,
    event_id: str | None = None,
) -> Delivered[E]:
    """An event as a handler gets it."""
    envelope = Envelope(
        id=event_id or str(new_id()),
        source="tests",
        type=topic.name,
        time=at,
        subject=topic.key_of(event),
        tenant_id=tenant_id,
        correlation_id="c",
    )
    return Delivered(event, envelope, Record(topic.name, 0, 0, b"", b"", (), 0))


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that nobody announces; fails after a generous time."""
    deadline = asyncio.get_running_loop().time() + 30
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"still not so: {what}"
        await asyncio.sleep(0.01)


def draft(user: UserKey, known: Known, catalog_revision: int = 0) -> Draft:
    return Draft(
        user=user,
        revision=known.revision,
        catalog_revision=catalog_revision,
        digest="d-1",
        cause="c-1",
        considered=("espresso",),
        complete=True,
        due_at=NOW + DAY,
    )
