"""Convergent consumers (R4 of the delivery design): effect, publish, acknowledged, commit.

The effect of a batch may be applied again without harm, so that no inbox is kept. What it causes
is published before its offsets are committed: a crash in between applies and publishes again,
with the same ids.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.telemetry import EVENTS_PUBLISHED
from contracts.topics import Topic
from runtime.clock import Clock
from runtime.deadline import Deadline
from runtime.ids import new_id
from runtime.metrics import counter

from bus import tracing
from bus.apply import Batch, count_processed
from bus.codec import Emit
from bus.errors import LogUnavailable
from bus.failpoint import hit
from bus.outbox import OutboxRow, derive, originate
from bus.port import Log, Producer

E = TypeVar("E", bound=Event)
Published = Callable[[Sequence[Emit]], Awaitable[None]]
"""Told what the log has acknowledged, before the offsets are committed; may be told again."""


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """A topic and the handler of its events, whose effect may come again without harm."""

    topic: Topic[E]
    handle: Callable[[Batch[E]], Awaitable[Sequence[Emit]]]


class Publisher:
    """Sends events of a service and returns when the log has acknowledged them.

    It connects when it is started, or when there is first something to send: a replay of dead
    letters builds a service and starts nothing.
    """

    def __init__(self, service: str, log: Log, clock: Clock) -> None:
        self._service = service
        self._source = log
        self._clock = clock
        self._producer: Producer | None = None
        self._connecting = asyncio.Lock()
        self._stopped = False

    async def start(self) -> None:
        """Connect."""
        self._stopped = False
        await self._connected()

    async def stop(self, deadline: Deadline) -> None:
        """Close; nothing is held back."""
        self._stopped = True
        if self._producer is not None:
            await self._producer.close()
            self._producer = None

    async def originate(
        self, topic: Topic[E], events: Sequence[tuple[str, E]], correlation_id: str | None = None
    ) -> None:
        """Publish (tenant, event) pairs that no single event has caused. Raises LogUnavailable."""
        await self.send([self._row(topic, *pair, correlation_id) for pair in events])

    async def send(self, rows: Sequence[OutboxRow]) -> None:
        """Publish in order. Raises LogUnavailable, RecordTooLarge."""
        if not rows:
            return
        producer = await self._connected()
        with tracing.sending(rows) as records:
            await producer.send(records)
        for topic, number in Counter(row.topic for row in rows).items():
            counter(EVENTS_PUBLISHED).labels(self._service, topic).inc(number)

    async def _connected(self) -> Producer:
        async with self._connecting:
            if self._producer is None and not self._stopped:
                self._producer = await self._source.producer()
            producer = self._producer
        if producer is None or self._stopped:
            await self.stop(Deadline(0))  # it may have been stopped while it connected
            raise LogUnavailable("the publisher is stopped")
        return producer

    def _row(
        self, topic: Topic[E], tenant_id: str, event: E, correlation_id: str | None
    ) -> OutboxRow:
        event_id = str(new_id())
        envelope = Envelope(
            id=event_id,
            source=self._service,
            type=topic.name,
            time=self._clock.now(),
            subject=topic.key_of(event),
            tenant_id=tenant_id,
            correlation_id=correlation_id or event_id,
        )
        return originate(topic, event, envelope)


class PublishingApply:
    """Runs the handlers of a service and publishes what they return."""

    def __init__(
        self,
        service: str,
        reactions: Sequence[Reaction[Any]],
        publisher: Publisher,
        clock: Clock,
        published: Published | None = None,
    ) -> None:
        self._service = service
        self._published = published
        self._handlers = {item.topic.name: item.handle for item in reactions}
        self._publisher = publisher
        self._clock = clock

    async def __call__(self, batch: Batch[Event]) -> None:
        """Apply ``batch`` in order, topic by topic."""
        if not batch:
            return
        with tracing.processing_all(self._service, batch) as traces:
            emits = await self._handle(batch)
            hit("consumer-before-publish")
            await self._publisher.send(derive(emits, self._service, self._clock.now(), traces))
            hit("consumer-after-publish")
            if self._published is not None and emits:
                await self._published(emits)
        count_processed(self._service, batch, batch, self._clock.now())

    async def _handle(self, batch: Batch[Event]) -> list[Emit]:
        emits: list[Emit] = []
        for topic, items in groupby(batch, key=lambda item: item.record.topic):
            emits.extend(await self._handlers[topic](list(items)))
        return emits
