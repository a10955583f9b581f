"""Convergent consumers: their effect may come again, what it causes is told before the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from bus import failpoint
from bus.codec import Delivered, Emit, decode
from bus.compose import Lane, publishing
from bus.errors import LogUnavailable, Permanent, Poison, RecordTooLarge, Unavailable
from bus.host import Service
from bus.lag import lag
from bus.local import LocalLog
from bus.publishing import Published, Publisher, Reaction
from bus.record import OutRecord, Record
from bus.replay import Replayed
from contracts.envelope import to_headers
from contracts.events.base import Event
from contracts.topics import Topic
from devkit.conformance.polling import read_all
from devkit.fake_log import FakeLog, FakeProducer
from libs.bus.tests.toy_delivery import (
    ALL_TOPICS,
    BOOKED,
    DLQ,
    GROUP,
    PLACED,
    OrderBooked,
    OrderPlaced,
    envelope,
    order,
    quick,
    reasons,
    send,
    until,
)
from libs.bus.tests.toy_service import published, told
from runtime.clock import SystemClock
from runtime.deadline import Deadline

pytestmark = [pytest.mark.usefixtures("quick_loops"), pytest.mark.asyncio]


class Shelf:
    """Keeps the highest number of every account; hearing one again changes nothing."""

    def __init__(self) -> None:
        self.highest: dict[str, int] = {}
        self.calls = 0
        self.failing: dict[int, Exception] = {}

    async def on_orders_placed(self, batch: Sequence[Delivered[OrderPlaced]]) -> Sequence[Emit]:
        self.calls += 1
        return [self._put(item) for item in batch]

    def _put(self, item: Delivered[OrderPlaced]) -> Emit:
        placed = item.event
        if placed.number in self.failing:
            raise self.failing[placed.number]
        self.highest[placed.account] = max(placed.number, self.highest.get(placed.account, -1))
        return item.emit(BOOKED, OrderBooked(account=placed.account, number=placed.number))


async def made(log: LocalLog, shelf: Shelf, hear: Published | None = None) -> Service:
    lane = Lane("orders", [Reaction(PLACED, shelf.on_orders_placed)], batch=10)
    publisher = Publisher(GROUP, log, SystemClock())
    return await publishing(GROUP, log, publisher, [lane], policy=quick(), published=hear)


@asynccontextmanager
async def shelving(log: LocalLog, shelf: Shelf) -> AsyncIterator[Service]:
    service = await made(log, shelf)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(Deadline(5))


async def no_lag(log: LocalLog) -> None:
    async def done() -> bool:
        return await lag(log, PLACED.name, GROUP) == 0

    await until(done, "no lag")


async def test_what_an_event_causes_is_published_with_its_cause(log: LocalLog) -> None:
    await send(log, [order("a", 1), order("b", 2), order("a", 3)])
    shelf = Shelf()
    async with shelving(log, shelf) as service:
        assert await service.checks["consumer-orders"]()
        await no_lag(log)
    assert shelf.highest == {"a": 3, "b": 2}
    bookings = await published(log)
    assert told(bookings) == {"a": [1, 3], "b": [2]}
    causes = {(item.envelope.subject, item.envelope.causation_id) for item in bookings}
    assert ("a", envelope("a", 1).id) in causes
    assert {item.envelope.source for item in bookings} == {GROUP}


async def test_a_service_hears_what_was_published_before_it_is_committed(log: LocalLog) -> None:
    heard: list[tuple[int, int, int]] = []

    async def hear(emits: Sequence[Emit]) -> None:
        ours = len(await published(log))
        heard.append((len(emits), ours, await lag(log, PLACED.name, GROUP)))
        if len(heard) == 1:
            raise Unavailable("down")

    await send(log, [order("a", 1), order("a", 2)])
    service = await made(log, Shelf(), hear)
    await service.start()
    await no_lag(log)
    await service.stop(Deadline(5))
    assert heard == [(2, 2, 2), (2, 4, 2)]


@pytest.mark.parametrize("point", ["consumer-before-publish", "consumer-after-publish"])
async def test_after_a_crash_the_same_ids_are_told_again(log: LocalLog, point: str) -> None:
    class Crash(asyncio.CancelledError):
        """No error that asyncio reports when the dead task is collected, whenever that is."""

    def die(passed: str) -> None:
        if passed == point:
            failpoint.install(None)
            raise Crash

    await send(log, [order("a", 1), order("a", 2)])
    shelf = Shelf()
    failpoint.install(die)
    service = await made(log, shelf)
    await service.start()

    async def dead() -> bool:
        return not await service.checks["consumer-orders"]()

    await until(dead, "the consumer died")
    assert await lag(log, PLACED.name, GROUP) == 2
    await service.stop(Deadline(1))
    async with shelving(log, shelf):
        await no_lag(log)
    told_by_id = {item.envelope.id: item.event for item in await published(log)}
    assert len(told_by_id) == 2  # one id for each cause, however often it was told
    assert shelf.highest == {"a": 2}


async def test_a_bad_record_is_buried_and_costs_no_other(log: LocalLog) -> None:
    await send(log, [order("a", 1), order("a", 2), order("a", 3)])
    shelf = Shelf()
    shelf.failing[2] = Permanent("never")
    async with shelving(log, shelf):
        await no_lag(log)
    assert {item.event.number for item in await published(log)} == {1, 3}  # type: ignore[attr-defined]
    assert reasons(await read_all(log, DLQ)) == [("permanent", "1")]


async def test_a_store_that_is_down_is_waited_for(log: LocalLog) -> None:
    await send(log, [order("a", 1)])
    shelf = Shelf()
    shelf.failing[1] = Unavailable("down")
    async with shelving(log, shelf):

        async def tried() -> bool:
            return shelf.calls > 2

        await until(tried, "several tries")
        shelf.failing.clear()
        await no_lag(log)
    assert await read_all(log, DLQ) == []
    assert told(await published(log)) == {"a": [1]}


async def test_an_event_of_no_cause_is_published_under_its_tenant(log: LocalLog) -> None:
    publisher = Publisher(GROUP, log, SystemClock())
    await publisher.start()
    await publisher.originate(BOOKED, [("tenant-b", OrderBooked(account="a", number=1))], "c-1")
    await publisher.originate(BOOKED, [])
    await publisher.stop(Deadline(1))
    [booking] = await published(log)
    assert (booking.tenant_id, booking.envelope.correlation_id) == ("tenant-b", "c-1")


class Counting(FakeLog):
    """A log that takes its time to hand out producers, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_out: list[FakeProducer] = []
        self.gate = asyncio.Event()

    async def producer(self) -> FakeProducer:
        self.handed_out.append(await super().producer())
        await self.gate.wait()
        return self.handed_out[-1]


async def test_who_sends_unstarted_connects_once_and_is_closed_by_the_stop() -> None:
    log = Counting()
    await log.create_topics(ALL_TOPICS)
    publisher = Publisher(GROUP, log, SystemClock())
    said = [("tenant-b", OrderBooked(account="a", number=1))]
    sending = [asyncio.create_task(publisher.originate(BOOKED, said)) for _ in range(3)]
    await asyncio.sleep(0)
    log.gate.set()
    await asyncio.gather(*sending)
    assert told(await published(log)) == {"a": [1, 1, 1]}
    (producer,) = log.handed_out
    await publisher.stop(Deadline(1))
    with pytest.raises(LogUnavailable):
        await producer.send([])
    with pytest.raises(LogUnavailable, match="stopped"):
        await publisher.originate(BOOKED, said)
    assert len(log.handed_out) == 1


async def test_a_stop_while_it_connects_leaves_nothing_open() -> None:
    log = Counting()
    await log.create_topics(ALL_TOPICS)
    publisher = Publisher(GROUP, log, SystemClock())
    said = [("tenant-b", OrderBooked(account="a", number=1))]
    sending = asyncio.create_task(publisher.originate(BOOKED, said))
    await asyncio.sleep(0)
    await publisher.stop(Deadline(1))
    log.gate.set()
    with pytest.raises(LogUnavailable):
        await sending
    with pytest.raises(LogUnavailable):
        await log.handed_out[0].send([])
    assert await published(log) == []


async def test_a_replay_publishes_though_nothing_was_started(log: LocalLog) -> None:
    """What ``limelight dlq replay`` does over Kafka: it builds the service, and no more."""
    shelf = Shelf()
    shelf.failing[1] = Permanent("not yet")
    await send(log, [order("a", 1)])
    async with shelving(log, shelf):
        await no_lag(log)
    shelf.failing.clear()
    built = await made(log, shelf)
    assert built.replays is not None
    assert await built.replays.all(PLACED.name) == Replayed(applied=1, rejected=0)
    assert told(await published(log)) == {"a": [1]}


async def test_an_event_that_is_too_large_is_refused_before_it_is_sent(log: LocalLog) -> None:
    publisher = Publisher(GROUP, log, SystemClock())
    await publisher.start()
    narrow = replace(BOOKED, max_record_bytes=4200)
    with pytest.raises(RecordTooLarge):
        await publisher.originate(narrow, [("tenant-b", OrderBooked(account="a" * 500, number=1))])
    await publisher.stop(Deadline(1))
    assert await published(log) == []


COMPACTED: Topic[OrderPlaced] = replace(PLACED, tenant_in_key=True)
TOPICS: dict[str, Topic[Event]] = {PLACED.name: COMPACTED}  # type: ignore[dict-item]


def keyed(key: bytes | None) -> Record:
    sent: OutRecord = order("a", 1)
    return Record(sent.topic, 0, 0, key, sent.value, to_headers(envelope("a", 1)), 0)


async def test_a_key_with_its_tenant_is_taken() -> None:
    assert COMPACTED.record_key(OrderPlaced(account="a", number=1), "tenant-a") == "tenant-a/a"
    assert decode(TOPICS, keyed(b"tenant-a/a")).tenant_id == "tenant-a"


@pytest.mark.parametrize("key", [None, b"a", b"tenant-b/a", b"tenant-a/b", b"\xff"])
async def test_a_key_that_would_overwrite_another_tenants_record_is_poison(
    key: bytes | None,
) -> None:
    with pytest.raises(Poison) as caught:
        decode(TOPICS, keyed(key))
    assert caught.value.reason == "wrong-key"
