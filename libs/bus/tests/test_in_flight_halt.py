"""A record that can be neither handled nor set aside stops the consumer, for all to see."""

from __future__ import annotations

import asyncio

import pytest
from bus.codec import Delivered
from bus.dead_letter import DeadLetters
from bus.errors import Permanent
from bus.in_flight_consumer import InFlightConsumer
from bus.local import LocalLog
from bus.port import TopicSpec
from bus.record import OutRecord
from contracts.events.base import Event
from contracts.examples import examples
from contracts.topics import COMPLETION_REQUESTED, topic_named
from runtime.clock import SystemClock
from runtime.deadline import Deadline

pytestmark = pytest.mark.asyncio
TOPIC = topic_named(COMPLETION_REQUESTED.name)


async def refuse(item: Delivered[Event]) -> None:
    raise Permanent(f"not {item.envelope.id}")


async def test_without_a_dlq_topic_it_halts_and_commits_nothing(log: LocalLog) -> None:
    await log.create_topics([TopicSpec(TOPIC.name, 1, TOPIC.retention)])
    example = examples(TOPIC.name)[0]
    producer = await log.producer()
    await producer.send([OutRecord(TOPIC.name, example.key, example.value, example.headers)])
    consumer = InFlightConsumer(
        log=log,
        group="nobody",  # which has no DLQ
        topics=[TOPIC],
        handle=refuse,
        dead_letters=DeadLetters(producer, "nobody", SystemClock()),
        clock=SystemClock(),
    )
    await consumer.start()
    async with asyncio.timeout(10):
        while await consumer.healthy():  # noqa: ASYNC110 - a loop that ends has no event
            await asyncio.sleep(0.01)
    await consumer.stop(Deadline(5))
    assert set((await log.committed("nobody", TOPIC.name)).values()) <= {0}
