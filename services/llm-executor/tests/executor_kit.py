"""The real executor over a store in memory and scripted providers, without a log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from bus.codec import Delivered, decode
from bus.local import LocalLog
from bus.provision import specs
from bus.record import Record
from contracts.envelope import Envelope, to_headers
from contracts.events.base import Event
from contracts.events.completion import CompletionFinished, CompletionRequested, Message, Origin
from contracts.paths import SCHEMAS
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    Topic,
    topic_named,
)
from jsonschema import Draft202012Validator
from llm_executor.adapters.breaker import PurgatoryBreaker
from llm_executor.adapters.json_schema import complaint_by
from llm_executor.adapters.memory import FixedProviders, MemoryCalls, MemoryCallStore
from llm_executor.app import recording, reserving
from llm_executor.calling.caller import Caller, CallPolicy
from llm_executor.calling.chunks import Chunks
from llm_executor.calling.lanes import Lanes
from llm_executor.dispatch import Dispatcher
from llm_executor.domain.models import Key, LaneLimits, ModelFacts, Reply, Tokens
from llm_executor.domain.ports import CallStore, Provider
from llm_executor.handlers import Intake
from llm_executor.running import Runner
from runtime.deadline import Deadline

TOPICS = {
    topic.name: topic_named(topic.name)
    for topic in (COMPLETION_REQUESTED, COMPLETION_BATCH_CANCELLED)
}
SCHEMA = json.loads((SCHEMAS / f"{COMPLETION_FINISHED.name}.json").read_text(encoding="utf-8"))
REPLY = Reply("光珈琲 and Notion. 🫘", "gpt-5-2026", "id-1", "stop", Tokens(3, 2), simulated=False)
PARENT = UUID("0199c2d4-0000-7000-8000-000000000001")


def a_request(**changes: Any) -> CompletionRequested:
    """A request of a job that is no measurement, with an hour to be answered in."""
    request: dict[str, Any] = {
        "completion_id": uuid4(),
        "model": "acme/gpt-5",
        "messages": (Message(role="user", content="Which app?"),),
        "origin": Origin(kind="question", parent_id=PARENT, item_id=PARENT),
        "deadline_at": datetime.now(UTC) + timedelta(hours=1),
    }
    return CompletionRequested.model_validate(request | changes)


def delivered(topic: Topic[Any], event: Event, tenant: str = "acme-inc") -> Delivered[Event]:
    """An event as it is read from its topic."""
    subject = topic.key_of(event)
    envelope = Envelope(
        id=str(uuid4()),
        source=topic.producers[0],
        type=topic.name,
        time=datetime.now(UTC),
        subject=subject,
        tenant_id=tenant,
        correlation_id=str(PARENT),
    )
    value = event.model_dump_json().encode()
    headers = to_headers(envelope)
    return decode(TOPICS, Record(topic.name, 0, 0, subject.encode(), value, headers, 0))


def requested(tenant: str = "acme-inc", **changes: Any) -> Delivered[Event]:
    """A request as it is read."""
    return delivered(COMPLETION_REQUESTED, a_request(**changes), tenant)


def key_of(item: Delivered[Event]) -> Key:
    """The completion that a request asks for."""
    assert isinstance(item.event, CompletionRequested)
    return Key(item.tenant_id, item.event.completion_id)


class Executing:
    """The executor's parts, wired as in production, in memory."""

    def __init__(
        self,
        log: LocalLog,
        providers: Mapping[str, Provider],
        *,
        facts: Mapping[str, ModelFacts] | None = None,
        limits: LaneLimits | None = None,
        store: CallStore | None = None,
        calls: MemoryCalls | None = None,
        attempts: int = 1,
        window: int = 64,
        lease_seconds: float = 15.0,
        complaints: Any = complaint_by,
    ) -> None:
        self.calls = calls or MemoryCalls()
        self.store = store or MemoryCallStore(self.calls)
        configured = FixedProviders(providers, facts, limits)
        self.lanes = Lanes(configured, PurgatoryBreaker)
        self.chunks = Chunks(log)
        self.runner = Runner(
            store=self.store,
            caller=Caller(configured, self.lanes, CallPolicy(attempts=attempts)),
            chunks=self.chunks,
            complaint_by=complaints,
            record=recording(self.store),
            reserve=reserving(self.store),
        )
        self.dispatcher = Dispatcher(
            self.store,
            self.lanes,
            configured,
            self.runner.run,
            window=window,
            lease_seconds=lease_seconds,
        )
        self.intake = Intake(self.store, self.dispatcher.arrived)

    async def __aenter__(self) -> Executing:
        await self.chunks.start()
        await self.dispatcher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, seconds: float = 5.0) -> None:
        """Stop as in production."""
        await self.dispatcher.stop(Deadline(seconds))
        await self.chunks.stop(Deadline(seconds))

    async def feed(self, *items: Delivered[Event]) -> None:
        """Take records in, as one batch."""
        await self.intake(items)

    async def end_of(self, item: Delivered[Event], seconds: float = 60.0) -> CompletionFinished:
        """Wait for a request's end."""
        async with asyncio.timeout(seconds):
            while not self.is_finished(item):  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.005)
        return self.stored(item)

    async def ends_of(self, items: Sequence[Delivered[Event]]) -> list[CompletionFinished]:
        """Wait for all of them."""
        return [await self.end_of(item) for item in items]

    def is_finished(self, item: Delivered[Event]) -> bool:
        """Whether its end is stored."""
        entry = self.calls.entries.get(key_of(item))
        return entry is not None and entry.finished is not None

    def stored(self, item: Delivered[Event]) -> CompletionFinished:
        """The stored end, which satisfies its contract."""
        finished = self.calls.entries[key_of(item)].finished
        assert finished is not None
        Draft202012Validator(SCHEMA).validate(json.loads(finished.payload))
        return CompletionFinished.model_validate_json(finished.payload)


async def open_log(folder: Path) -> LocalLog:
    """A local log with all topics."""
    log = await LocalLog.open(folder / "log.sqlite", sync="normal")
    await log.create_topics(specs())
    return log
