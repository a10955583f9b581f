"""One function per topic: take in what happened, make the lists it changes, return them.

Each may meet the same events again. What was counted is not counted twice; lists that the event
before had asked for, and may not have come to publish, are returned again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bus.apply import Batch
from bus.codec import Delivered, Emit
from bus.errors import Permanent
from contracts.events.base import Event
from contracts.events.marketing import (
    AffinityChanged,
    CampaignChanged,
    CampaignEmbedded,
    EngagementRecorded,
    PopularCampaignsChanged,
    RecommendationChanged,
    UserForgotten,
)
from contracts.topics import POPULAR_CAMPAIGNS_CHANGED, RECOMMENDATION_CHANGED
from runtime.clock import Clock

from recommender import translation
from recommender.domain.errors import UnusableVector
from recommender.domain.models import Affinity
from recommender.domain.policy import Policy
from recommender.domain.ports import Known, Offers, People, UserKey
from recommender.recommending import Recommender

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Desk:
    """What the handlers work with."""

    people: People
    offers: Offers
    recommender: Recommender
    policy: Policy
    clock: Clock


async def on_affinities_changed(batch: Batch[AffinityChanged], desk: Desk) -> Sequence[Emit]:
    """Who is near what has changed: rank those users."""
    affinities: dict[UserKey, Affinity] = {}
    for item in batch:
        user = (item.tenant_id, item.event.user_id)
        found = translation.affinity(item.event, desk.policy)
        if user not in affinities or found.version > affinities[user].version:
            affinities[user] = found
    known = await desk.people.take_affinities(affinities)
    return await _ranked({(one.tenant_id, one.event.user_id): one for one in batch}, known, desk)


async def on_engagements_recorded(batch: Batch[EngagementRecorded], desk: Desk) -> Sequence[Emit]:
    """Count what users did, and rank them: caps fill, what is bought need not be shown."""
    now = desk.clock.now()
    counted = [(item.tenant_id, translation.engagement(item, now)) for item in batch]
    known = await desk.people.take_engagements(counted)
    return await _ranked({(one.tenant_id, one.event.user_id): one for one in batch}, known, desk)


async def on_campaigns_changed(batch: Batch[CampaignChanged], desk: Desk) -> Sequence[Emit]:
    """Keep the campaigns and make their tenants' popular lists; the sweep finds the users."""
    changes = [(item.tenant_id, translation.campaign(item.event)) for item in batch]
    await desk.offers.take_campaigns(changes)
    last = {item.tenant_id: item for item in batch}
    causes = {tenant_id: _cause(item) for tenant_id, item in last.items()}
    fresh = await desk.recommender.rank_popular(causes)
    return [
        last[new.tenant_id].emit(POPULAR_CAMPAIGNS_CHANGED, translation.popular_campaigns(new))
        for new in fresh
    ]


async def on_campaigns_embedded(batch: Batch[CampaignEmbedded], desk: Desk) -> Sequence[Emit]:
    """Keep the vectors; the next lists are made with them."""
    vectors = [(item.tenant_id, translation.vector(item.event)) for item in batch]
    try:
        await desk.offers.take_vectors(vectors)
    except UnusableVector as error:
        raise Permanent(str(error)) from error
    return ()


async def on_users_forgotten(batch: Batch[UserForgotten], desk: Desk) -> Sequence[Emit]:
    """Remove users, and tell that there is nothing to recommend to them."""
    emits: list[Emit] = []
    # One by one where a user is named twice: each of the requests has its own answer.
    for item in batch:
        user = (item.tenant_id, item.event.user_id)
        versions = await desk.people.forget({user: item.event.forgotten_at})
        event = translation.forgotten(user[1], versions[user], desk.clock.now())
        emits.append(item.emit(RECOMMENDATION_CHANGED, event))
    return emits


async def on_published(emits: Sequence[Emit], desk: Desk) -> None:
    """The log has what the handlers returned: see whether something newer came out before it."""
    users: dict[UserKey, int] = {}
    tenants: dict[str, int] = {}
    for emit in emits:
        tenant_id, event = emit.cause.tenant_id, emit.event
        if isinstance(event, RecommendationChanged):
            users[tenant_id, event.user_id] = event.version
        elif isinstance(event, PopularCampaignsChanged):
            tenants[tenant_id] = event.version
    await desk.people.published(users)
    await desk.offers.popular_published(tenants)


async def _ranked(
    last: Mapping[UserKey, Delivered[E]], known: Mapping[UserKey, Known], desk: Desk
) -> Sequence[Emit]:
    """Lists of the users in ``known``, each caused by the last event about them in the batch."""
    causes = {user: _cause(item) for user, item in last.items()}
    fresh = await desk.recommender.rank(known, causes)
    return [
        last[new.user].emit(RECOMMENDATION_CHANGED, translation.recommendation(new))
        for new in fresh
    ]


def _cause(item: Delivered[Event]) -> str:
    """Tells the event from all others, and from the sweep."""
    return item.envelope.deduplication_id.hex
