"""The whole service on the local log: put events in, read what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from bus.local import LocalLog
from bus.outbox import originate
from bus.provision import specs
from bus.record import TopicPartition
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.topics import Topic
from devkit.tenants import announce
from embedding.app import SERVICE
from embedding.settings import Settings
from runtime.deadline import Deadline
from runtime.ids import new_id

E = TypeVar("E", bound=Event)
WITHIN = 30.0


class Platform:
    """A log with all topics."""

    def __init__(self, log: LocalLog) -> None:
        self.log = log

    async def publish(self, topic: Topic[E], tenant_id: str, *bodies: dict[str, Any]) -> None:
        """Append events of a tenant, as the gateway would."""
        await announce(self.log, tenant_id)
        producer = await self.log.producer()
        await producer.send([self._record(topic, tenant_id, body) for body in bodies])
        await producer.close()

    async def events(self, topic: Topic[E]) -> list[tuple[Envelope, E]]:
        """All that is on a topic."""
        from contracts.envelope import from_headers

        found = []
        for partition, end in (await self.log.end_offsets(topic.name)).items():
            for record in await self.log.read(partition, 0, end + 1) if end else ():
                assert record.value is not None
                event = topic.event.model_validate_json(record.value)
                found.append((from_headers(record.headers), event))
        return sorted(found, key=lambda pair: pair[0].time)

    async def until(self, topic: Topic[E], ready: Callable[[list[E]], bool]) -> list[E]:
        """The events of a topic, once they are as wanted."""
        deadline = asyncio.get_running_loop().time() + WITHIN
        while True:
            found = [event for _, event in await self.events(topic)]
            if ready(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, f"only {len(found)}: {found[-3:]}"
            await asyncio.sleep(0.05)

    async def settled(self, *topics: Topic[Any]) -> None:
        """Wait until the service has committed all there is on these topics."""
        deadline = asyncio.get_running_loop().time() + WITHIN
        while any([await self._behind(topic) for topic in topics]):
            assert asyncio.get_running_loop().time() < deadline, "the service does not keep up"
            await asyncio.sleep(0.05)

    async def _behind(self, topic: Topic[Any]) -> bool:
        done = await self.log.committed(SERVICE.name, topic.name)
        ends = await self.log.end_offsets(topic.name)
        return any(done.get(part, 0) < end for part, end in ends.items())

    async def rewind(self, topic: Topic[Any]) -> None:
        """Have the service read a topic from its beginning again; it must not be running."""
        parts = await self.log.end_offsets(topic.name)
        await self.log.reset(SERVICE.name, dict.fromkeys(parts, 0))

    def _record(self, topic: Topic[E], tenant_id: str, body: dict[str, Any]) -> Any:
        event = topic.event.model_validate(body)
        event_id, now = str(new_id()), datetime.now(UTC)
        subject = topic.key_of(event)
        envelope = Envelope(event_id, "gateway", topic.name, now, subject, tenant_id, event_id)
        return originate(topic, event, envelope).record(None)


@asynccontextmanager
async def platform(path: Any) -> AsyncIterator[Platform]:
    """A log in a folder."""
    log = await LocalLog.open(path)
    await log.create_topics(specs())
    try:
        yield Platform(log)
    finally:
        await log.close()


@asynccontextmanager
async def running(place: Platform, settings: Settings) -> AsyncIterator[None]:
    """The service, until the block ends."""
    service = await SERVICE.build(settings, place.log)
    await service.start()
    try:
        yield
    finally:
        await service.stop(Deadline(10))


def said(user_id: str, *texts: str, conversation_id: str = "c-1") -> dict[str, Any]:
    """The body of a conversation."""
    now = datetime.now(UTC)
    return {
        "conversation_id": conversation_id,
        "user_id": user_id,
        "messages": [{"text": text, "sent_at": now} for text in texts],
    }


__all__ = ["Platform", "TopicPartition", "platform", "running", "said"]
