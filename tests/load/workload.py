"""What every row does to a record: decode a finished completion, publish what was found in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

from bus.apply import Batch, Subscription
from bus.codec import Emit
from bus.port import Log, TopicSpec
from bus.record import OutRecord
from contracts.envelope import Envelope, to_headers
from contracts.events.completion import CompletionFinished, Origin, Usage
from contracts.events.visibility import AnswerAnalyzed, Mention
from contracts.topics import ANSWER_ANALYZED, COMPLETION_FINISHED, Topic
from tests.load.stores import Analyses, Analysis

BATCH = 500
_SPACE = UUID("5f1a8e0e-6a0f-5d0e-9a53-0d8f5a4e1c77")
_BRANDS = ("Northwind", "Hikari Coffee")
# About 900 characters, as a short answer of an assistant has.
_TEXT = (
    "For a small team I would start with Northwind: it is simple, it syncs well, and its free "
    "plan is enough for a handful of people. If you need structured pages, linked databases and "
    "permissions, have a look at Hikari Coffee as well. "
) * 4


@dataclass(frozen=True)
class Route:
    """From which topic to which; ``name`` is also the consumer group."""

    name: str
    source: Topic[CompletionFinished]
    target: Topic[AnswerAnalyzed]

    def subscription(self) -> Subscription[CompletionFinished, Analyses]:
        """One row in the store and one event out for every event in."""

        async def handle(batch: Batch[CompletionFinished], repository: Analyses) -> Sequence[Emit]:
            found = [(item, analyzed(item.event)) for item in batch]
            await repository.add(
                [Analysis(item.tenant_id, event.completion_id, event) for item, event in found]
            )
            return [item.emit(self.target, event) for item, event in found]

        return Subscription(self.source, handle)


def source_topic(mode: str) -> Topic[CompletionFinished]:
    """The declared topic under a name of its own, so that rows do not share one."""
    return replace(COMPLETION_FINISHED, name=f"load-{mode}.finished.v1")


def route(name: str, source: Topic[CompletionFinished]) -> Route:
    """A route with an output topic of its own, whose end offsets count its outputs."""
    return Route(name, source, replace(ANSWER_ANALYZED, name=f"{name}.analyzed.v1"))


def analyzed(event: CompletionFinished) -> AnswerAnalyzed:
    """A result with two mentions; finding them is no part of the bus, so it costs nothing here."""
    origin = event.origin
    return AnswerAnalyzed(
        completion_id=event.completion_id,
        run_id=origin.parent_id,
        prompt_id=origin.item_id,
        model=event.model,
        sample=origin.sample,
        analyzer_version="load",
        mentions=_MENTIONS,
        simulated=event.simulated,
        analyzed_at=datetime.now(UTC),
    )


def bare_output(value: bytes | None) -> tuple[bytes, bytes]:
    """What a bare client does with a body: decode it, key and body of what it publishes."""
    event = analyzed(CompletionFinished.model_validate_json(value or b""))
    return str(event.completion_id).encode(), event.model_dump_json().encode()


async def fill(log: Log, topic: Topic[CompletionFinished], count: int) -> None:
    """Create ``topic`` and write ``count`` records to it."""
    await create(log, topic)
    producer = await log.producer()
    records = list(_inputs(topic.name, count))
    for start in range(0, count, 2 * BATCH):
        await producer.send(records[start : start + 2 * BATCH])
    await producer.close()


async def create(log: Log, topic: Topic[CompletionFinished] | Topic[AnswerAnalyzed]) -> None:
    """Create one topic as it is declared."""
    spec = TopicSpec(topic.name, topic.partitions, topic.retention, topic.max_record_bytes)
    await log.create_topics([spec])


def _inputs(topic: str, count: int) -> Iterator[OutRecord]:
    run = uuid4()
    for number in range(count):
        event = _finished(run, number)
        key = str(event.completion_id)
        headers = to_headers(_envelope(topic, key, str(run), number))
        yield OutRecord(topic, key.encode(), event.model_dump_json().encode(), headers)


def _finished(run: UUID, number: int) -> CompletionFinished:
    return CompletionFinished(
        completion_id=uuid4(),
        model="simulator/sim-large",
        model_used="sim-large",
        origin=Origin(kind="visibility", parent_id=run, item_id=_SPACE, sample=number),
        outcome="answered",
        text=_TEXT,
        finish_reason="stop",
        usage=Usage(input_tokens=19, output_tokens=210),
        attempts=1,
        queue_ms=18,
        provider_ms=240,
        simulated=True,
        finished_at=datetime.now(UTC),
    )


def _envelope(topic: str, subject: str, run: str, number: int) -> Envelope:
    return Envelope(
        id=str(uuid4()),
        source="load",
        type=topic,
        time=datetime.now(UTC),
        subject=subject,
        tenant_id="tenant-load",
        correlation_id=run,
        causation_id=str(uuid4()),
        # Not sampled: as it is where no collector is configured.
        traceparent=f"00-{uuid4().hex}-{number + 1:016x}-00",
    )


_MENTIONS = tuple(
    Mention(
        brand_id=uuid5(_SPACE, brand),
        start=_TEXT.index(brand),
        end=_TEXT.index(brand) + len(brand),
        text=brand,
        rule="name",
    )
    for brand in _BRANDS
)
