"""What there is without the pipeline: the log alone, bare aiokafka, plain FastStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from bus.port import Consumer, Log, Producer
from bus.record import OutRecord
from contracts.events.completion import CompletionFinished
from contracts.events.visibility import AnswerAnalyzed
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from tests.load.measuring import background
from tests.load.workload import BATCH, Route, analyzed, bare_output

_BATCH_BYTES = 1_048_576


@asynccontextmanager
async def bare_log(log: Log, route: Route, max_records: int) -> AsyncIterator[None]:
    """Poll, decode, send, commit: the log port with nothing around it."""
    producer = await log.producer()
    consumer = await log.consumer(route.name, [route.source.name])
    async with background(_through(consumer, producer, route.target.name, max_records)):
        yield
    await consumer.close()
    await producer.close()


async def _through(consumer: Consumer, producer: Producer, target: str, limit: int) -> None:
    while True:
        records = await consumer.poll(limit, 0.2)
        if records:
            outputs = (bare_output(record.value) for record in records)
            await producer.send([OutRecord(target, key, value) for key, value in outputs])
            await consumer.commit({record.source: record.offset + 1 for record in records})


@asynccontextmanager
async def bare_aiokafka(servers: str, route: Route, max_records: int) -> AsyncIterator[None]:
    """The client library alone, as careful as the bus: idempotent, acks=all, commit afterwards."""
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
        )
        consumer = AIOKafkaConsumer(
            route.source.name,
            bootstrap_servers=servers,
            group_id=route.name,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        each = _singly if max_records == 1 else _in_batches
        await stack.enter_async_context(background(each(consumer, producer, route.target.name)))
        yield


async def _singly(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, target: str) -> None:
    while True:
        record = await consumer.getone()
        key, value = bare_output(record.value)
        await producer.send_and_wait(target, value=value, key=key)
        await consumer.commit()


async def _in_batches(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, target: str) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        outputs = [bare_output(record.value) for records in found.values() for record in records]
        sent = [await producer.send(target, value=value, key=key) for key, value in outputs]
        await asyncio.gather(*sent)
        await consumer.commit()


def faststream(servers: str, route: Route, max_records: int) -> AbstractAsyncContextManager[None]:
    """The defaults: offsets committed in the background before a handler is done, acks=1."""
    return _faststream(servers, route, max_records, AckPolicy.ACK_FIRST)


def faststream_acking(
    servers: str, route: Route, max_records: int
) -> AbstractAsyncContextManager[None]:
    """Offsets committed when a handler is done, even if it raised; acks=1."""
    return _faststream(servers, route, max_records, AckPolicy.ACK)


@asynccontextmanager
async def _faststream(
    servers: str, route: Route, max_records: int, policy: AckPolicy
) -> AsyncIterator[None]:
    """Subscriber and publisher as its guide shows them, but reading from the start of the topic."""
    # A batch of outputs must fit: publish_batch raises when it does not.
    broker = KafkaBroker(servers, logger=None, max_batch_size=_BATCH_BYTES)
    (_subscribe_singly if max_records == 1 else _subscribe_in_batches)(broker, route, policy)
    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


def _subscribe_singly(broker: KafkaBroker, route: Route, policy: AckPolicy) -> None:
    @broker.subscriber(
        route.source.name,
        group_id=route.name,
        auto_offset_reset="earliest",
        ack_policy=policy,
    )
    @broker.publisher(route.target.name)
    async def handle(event: CompletionFinished) -> AnswerAnalyzed:
        return analyzed(event)


def _subscribe_in_batches(broker: KafkaBroker, route: Route, policy: AckPolicy) -> None:
    @broker.subscriber(
        route.source.name,
        group_id=route.name,
        auto_offset_reset="earliest",
        ack_policy=policy,
        batch=True,
        max_records=BATCH,
    )
    @broker.publisher(route.target.name, batch=True)
    async def handle(events: list[CompletionFinished]) -> list[AnswerAnalyzed]:
        return [analyzed(event) for event in events]
