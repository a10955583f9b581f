"""Applying a batch: inbox, effect and outbox in one transaction (R3 of the delivery design)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar

from contracts.events.base import Event
from contracts.telemetry import EVENT_AGE, RECORDS
from contracts.topics import Topic
from runtime.clock import Clock
from runtime.metrics import counter, histogram

from bus import tracing
from bus.codec import Delivered, Emit
from bus.failpoint import hit
from bus.outbox import derive
from bus.store import T, TransactionalStore

R = TypeVar("R")
E = TypeVar("E", bound=Event)
Batch = Sequence[Delivered[E]]


@dataclass(frozen=True)
class Subscription(Generic[E, R]):
    """A topic and the handler of its events.

    The handler gets the new events of a batch in order, and the service's repository inside the
    open transaction; it returns what to publish. It must not reach outside that repository.
    """

    topic: Topic[E]
    handle: Callable[[Batch[E], R], Awaitable[Sequence[Emit]]]


class Apply(Protocol):
    """Takes the effect of decoded records, all or none; raises what ``bus.errors`` names."""

    async def __call__(self, batch: Batch[Event]) -> None: ...


class TransactionalApply(Generic[T, R]):
    """Runs the handlers of a service; an event that the inbox knows is skipped."""

    def __init__(
        self,
        service: str,
        store: TransactionalStore[T],
        bind: Callable[[T], R],
        subscriptions: Sequence[Subscription[Any, R]],
        clock: Clock,
    ) -> None:
        self._service = service
        self._store = store
        self._bind = bind
        self._handlers = {item.topic.name: item.handle for item in subscriptions}
        self._clock = clock

    async def __call__(self, batch: Batch[Event]) -> None:
        """Apply ``batch`` in one transaction."""
        if not batch:
            return
        with tracing.processing_all(self._service, batch) as traces:
            fresh = await self._commit(batch, traces)
        count_processed(self._service, batch, fresh, self._clock.now())

    async def _commit(self, batch: Batch[Event], traces: Mapping[str, str | None]) -> Batch[Event]:
        async with self._store.transaction() as transaction:
            fresh = await self._fresh(transaction, batch)
            emits = await self._handle(fresh, self._bind(transaction))
            await transaction.add(derive(emits, self._service, self._clock.now(), traces))
            hit("consumer-before-commit")
        hit("consumer-after-commit")
        return fresh

    async def _fresh(self, transaction: T, batch: Batch[Event]) -> Batch[Event]:
        keyed = [(item.envelope.deduplication_id, item) for item in batch]
        first = dict(reversed(keyed))
        new = await transaction.claim(self._service, list(first))
        return [item for key, item in keyed if key in new and first[key] is item]

    async def _handle(self, fresh: Batch[Event], repository: R) -> list[Emit]:
        emits: list[Emit] = []
        for topic, items in groupby(fresh, key=lambda item: item.record.topic):
            emits.extend(await self._handlers[topic](list(items), repository))
        return emits


def count_processed(
    service: str, batch: Batch[Event], applied: Batch[Event], now: datetime
) -> None:
    """Count each event of a batch by what became of it, and how old it was."""
    # By identity: to hash a record is to read all of its body.
    ids = set(map(id, applied))
    for item in batch:
        topic = item.record.topic
        outcome = "applied" if id(item) in ids else "duplicate"
        counter(RECORDS).labels(service, topic, outcome).inc()
        age = (now - item.envelope.time).total_seconds()
        histogram(EVENT_AGE).labels(service, topic).observe(max(0.0, age))
