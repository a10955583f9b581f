"""Puts the delivery parts of a service together, the same way in every composition root.

Who reads a public topic gets a directory of the tenants: its own, or the one that is passed in
(and started) by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from contracts.topics import Topic
from runtime.clock import Clock, SystemClock
from runtime.tasks import Component

from bus.apply import Apply, Subscription, TransactionalApply
from bus.batch_consumer import BatchConsumer
from bus.dead_letter import DeadLetters, FailureLimit
from bus.host import Service
from bus.intake import Intake
from bus.lag import lag_meter
from bus.outbox import Outbox
from bus.port import Log
from bus.pruning import inbox_retention, pruner
from bus.publishing import Published, Publisher, PublishingApply, Reaction
from bus.relay import Relay
from bus.replay import Replays
from bus.retry import RetryPolicy
from bus.store import T, TransactionalStore
from bus.tenants import TenantDirectory

R = TypeVar("R")


async def transactional(
    name: str,
    log: Log,
    store: TransactionalStore[T],
    outbox: Outbox,
    bind: Callable[[T], R],
    subscriptions: Sequence[Subscription[Any, R]],
    *,
    clock: Clock | None = None,
    policy: RetryPolicy | None = None,
    tenants: TenantDirectory | None = None,
) -> Service:
    """A service whose effects live in one transactional store (R3): consumer, relay, pruner."""
    clock = clock or SystemClock()
    topics = [item.topic for item in subscriptions]
    apply = TransactionalApply(name, store, bind, subscriptions, clock)
    service = await convergent(
        name, log, outbox, topics, apply, clock=clock, policy=policy, tenants=tenants
    )
    prune = pruner(name, store, inbox_retention(topics), clock)
    return replace(service, components=[*service.components, prune])


async def convergent(
    name: str,
    log: Log,
    outbox: Outbox,
    topics: Sequence[Topic[Any]],
    apply: Apply,
    *,
    batch: int = 500,
    clock: Clock | None = None,
    policy: RetryPolicy | None = None,
    tenants: TenantDirectory | None = None,
) -> Service:
    """A service whose ``apply`` may meet the same records again: consumer and relay, no inbox."""
    clock = clock or SystemClock()
    known, own = _directory(log, topics, tenants)
    dead_letters = await _dead_letters(log, name, clock, policy)
    consumer = BatchConsumer(
        log=log,
        group=name,
        intake=Intake(topics, known),
        apply=apply,
        dead_letters=dead_letters,
        policy=policy,
        max_records=batch,
    )
    relay = Relay(name, outbox, log)
    replays = Replays(log, name, _named(topics), apply, dead_letters, known)
    checks = {"consumer": consumer.healthy, "relay": relay.healthy}
    return Service([relay, *own, consumer, lag_meter(log, name, topics)], checks, replays)


@dataclass(frozen=True)
class Lane:
    """Topics that one consumer reads: what is slow in one lane keeps no other waiting."""

    name: str
    reactions: Sequence[Reaction[Any]]
    batch: int = 500


async def publishing(
    name: str,
    log: Log,
    publisher: Publisher,
    lanes: Sequence[Lane],
    *,
    clock: Clock | None = None,
    policy: RetryPolicy | None = None,
    tenants: TenantDirectory | None = None,
    published: Published | None = None,
) -> Service:
    """A service whose effects may be applied again, and which publishes before it commits (R4)."""
    clock = clock or SystemClock()
    every = [reaction for lane in lanes for reaction in lane.reactions]
    topics = _named([reaction.topic for reaction in every])
    known, own = _directory(log, list(topics.values()), tenants)
    dead_letters = await _dead_letters(log, name, clock, policy)
    consumers = {
        f"consumer-{lane.name}": BatchConsumer(
            log=log,
            group=name,
            intake=Intake([reaction.topic for reaction in lane.reactions], known),
            apply=PublishingApply(name, lane.reactions, publisher, clock, published),
            dead_letters=dead_letters,
            policy=policy,
            max_records=lane.batch,
        )
        for lane in lanes
    }
    apply = PublishingApply(name, every, publisher, clock, published)
    replays = Replays(log, name, topics, apply, dead_letters, known)
    parts: list[Component] = [
        publisher,
        *own,
        *consumers.values(),
        lag_meter(log, name, list(topics.values())),
    ]
    return Service(
        parts, {check: consumer.healthy for check, consumer in consumers.items()}, replays
    )


async def listening(
    name: str,
    log: Log,
    topics: Sequence[Topic[Any]],
    apply: Apply,
    *,
    clock: Clock | None = None,
    policy: RetryPolicy | None = None,
    tenants: TenantDirectory | None = None,
) -> Service:
    """A consumer of events whose effects need no store: what it is told twice does no harm.

    It may share the group ``name`` with another part of the service that reads other topics.
    """
    known, own = _directory(log, topics, tenants)
    consumer = BatchConsumer(
        log=log,
        group=name,
        intake=Intake(topics, known),
        apply=apply,
        dead_letters=await _dead_letters(log, name, clock or SystemClock(), policy),
        policy=policy,
    )
    return Service([*own, consumer, lag_meter(log, name, topics)], {"listener": consumer.healthy})


def _directory(
    log: Log, topics: Sequence[Topic[Any]], given: TenantDirectory | None
) -> tuple[TenantDirectory | None, list[Component]]:
    """The directory to ask, and what there is to start for it."""
    if given is not None or not any(topic.public for topic in topics):
        return given, []
    made = TenantDirectory(log)
    return made, [made]


async def _dead_letters(
    log: Log, name: str, clock: Clock, policy: RetryPolicy | None
) -> DeadLetters:
    limit = FailureLimit((policy or RetryPolicy()).halt_ratio)
    return DeadLetters(await log.producer(), name, clock, limit)


def _named(topics: Sequence[Topic[Any]]) -> dict[str, Topic[Any]]:
    return {topic.name: topic for topic in topics}
