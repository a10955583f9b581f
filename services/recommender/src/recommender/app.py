"""Composition root: the only place that knows all parts of the recommender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from bus.apply import Batch
from bus.codec import Emit
from bus.compose import Lane, publishing
from bus.host import Service, ServiceSpec
from bus.port import Log
from bus.publishing import Publisher, Reaction
from bus.retry import RetryPolicy
from contracts.events.base import Event
from contracts.topics import (
    AFFINITY_CHANGED,
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    ENGAGEMENT_RECORDED,
    POPULAR_CAMPAIGNS_CHANGED,
    RECOMMENDATION_CHANGED,
    USER_FORGOTTEN,
    Topic,
)
from runtime import algebra
from runtime.clock import SystemClock
from runtime.tasks import Closing

from recommender.adapters.redis import RedisConnection, RedisLayout
from recommender.adapters.redis_agenda import RedisAgenda
from recommender.adapters.redis_offers import RedisOffers
from recommender.adapters.redis_people import RedisPeople
from recommender.domain.policy import Policy
from recommender.handlers import (
    Desk,
    on_affinities_changed,
    on_campaigns_changed,
    on_campaigns_embedded,
    on_engagements_recorded,
    on_published,
    on_users_forgotten,
)
from recommender.rebuilding import Rebuild, loss_watch
from recommender.recommending import Recommender
from recommender.settings import Settings
from recommender.sweeping import TURN_SECONDS, Sweep, backlog_meter, sweeper

algebra.one_thread()
NAME = "recommender"
E = TypeVar("E", bound=Event)
# Small enough that who is last in a batch does not wait long for the others' lists.
_BATCH = 100


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. It starts only when Redis answers."""
    clock, policy = SystemClock(), _policy(settings)
    popular_after = timedelta(seconds=settings.popular_seconds)
    redis = RedisConnection(settings.redis_url)
    people = RedisPeople(redis, clock, policy, popular_after)
    offers = RedisOffers(redis, clock, policy, popular_after)
    agenda = RedisAgenda(redis, clock)
    recommender = Recommender(people, offers, policy, clock)
    publisher = Publisher(NAME, log, clock)
    desk = Desk(people, offers, recommender, policy, clock)
    service = await publishing(
        NAME,
        log,
        publisher,
        _lanes(desk),
        clock=clock,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
        published=partial(on_published, desk=desk),
    )
    users = max(1, round(settings.refresh_per_second * TURN_SECONDS))
    rebuild = Rebuild(log, NAME, SERVICE.subscriptions, RedisLayout(redis))
    sweep = sweeper(NAME, Sweep(agenda, people, offers, recommender, publisher, users))
    return replace(
        service,
        components=[
            Closing(redis.close),
            rebuild,
            *service.components,
            sweep,
            loss_watch(NAME, rebuild),
            backlog_meter(NAME, agenda),
        ],
        checks={**service.checks, "sweep": sweep.healthy, "redis": redis.healthy},
    )


def _policy(settings: Settings) -> Policy:
    return Policy(
        length=settings.list_length,
        half_life=timedelta(days=settings.engagement_half_life_days),
        freshness_half_life=timedelta(days=settings.freshness_half_life_days),
        dismissed_for=timedelta(days=settings.dismissed_days),
        refreshed_after=timedelta(hours=settings.refresh_hours),
    )


def _lanes(desk: Desk) -> list[Lane]:
    """Users in one lane, in order; many campaigns at once keep no user waiting."""
    users: list[Reaction[Any]] = [
        _reaction(AFFINITY_CHANGED, on_affinities_changed, desk),
        _reaction(ENGAGEMENT_RECORDED, on_engagements_recorded, desk),
        _reaction(USER_FORGOTTEN, on_users_forgotten, desk),
    ]
    campaigns: list[Reaction[Any]] = [
        _reaction(CAMPAIGN_CHANGED, on_campaigns_changed, desk),
        _reaction(CAMPAIGN_EMBEDDED, on_campaigns_embedded, desk),
    ]
    return [Lane("users", users, _BATCH), Lane("campaigns", campaigns)]


def _reaction(
    topic: Topic[E], handle: Callable[[Batch[E], Desk], Awaitable[Sequence[Emit]]], desk: Desk
) -> Reaction[E]:
    async def react(batch: Batch[E]) -> Sequence[Emit]:
        return await handle(batch, desk)

    return Reaction(topic, react)


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(
        AFFINITY_CHANGED,
        ENGAGEMENT_RECORDED,
        CAMPAIGN_CHANGED,
        CAMPAIGN_EMBEDDED,
        USER_FORGOTTEN,
    ),
    publishes=(RECOMMENDATION_CHANGED, POPULAR_CAMPAIGNS_CHANGED),
)
