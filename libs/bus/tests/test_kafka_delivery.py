"""A service on a real Kafka beside producers outside: transactions, and too large records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from bus.codec import Delivered, Emit
from bus.compose import Lane, publishing
from bus.errors import Permanent, Unavailable
from bus.host import Service
from bus.kafka import KafkaLog
from bus.lag import lag
from bus.provision import DLQ_MAX_BYTES
from bus.publishing import Publisher, Reaction
from bus.record import OutRecord
from bus.replay import Replayed, depth, letters
from confluent_kafka import Producer
from devkit.conformance.polling import QUIET, unique
from devkit.servers.kafka import KafkaServer
from libs.bus.tests.toy_delivery import (
    ALL_TOPICS,
    BOOKED,
    GROUP,
    NEIGHBOUR,
    PLACED,
    OrderBooked,
    OrderPlaced,
    order,
    place_of,
    quick,
    until,
)
from libs.bus.tests.toy_service import published, told
from runtime.clock import SystemClock
from runtime.deadline import Deadline

pytestmark = [
    pytest.mark.xdist_group("kafka"),  # one broker at a time
    pytest.mark.usefixtures("quick_loops"),
    pytest.mark.asyncio,
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture
async def log(server: KafkaServer) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(server.bootstrap_servers)
    await opened.create_topics(ALL_TOPICS)
    for group in (GROUP, NEIGHBOUR):  # what another test has left is none of its business
        await opened.reset(group, await opened.end_offsets(PLACED.name))
    yield opened
    await opened.close()


class Bench:
    """Books every order, unless it is told to fail at its number."""

    def __init__(self) -> None:
        self.failing: dict[int, Exception] = {}
        self.booked: list[int] = []

    async def on_orders_placed(self, batch: Sequence[Delivered[OrderPlaced]]) -> Sequence[Emit]:
        return [self._book(item) for item in batch]

    def _book(self, item: Delivered[OrderPlaced]) -> Emit:
        placed = item.event
        if placed.number in self.failing:
            raise self.failing[placed.number]
        self.booked.append(placed.number)
        return item.emit(BOOKED, OrderBooked(account=placed.account, number=placed.number))


async def made(log: KafkaLog, bench: Bench, group: str) -> Service:
    lane = Lane("orders", [Reaction(PLACED, bench.on_orders_placed)])
    publisher = Publisher(group, log, SystemClock())
    return await publishing(group, log, publisher, [lane], policy=quick())


@asynccontextmanager
async def working(log: KafkaLog, bench: Bench, group: str) -> AsyncIterator[Service]:
    service = await made(log, bench, group)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(Deadline(10))


class Outside:
    """A producer of another make. With ``transactions`` what it sends is in one until it ends."""

    def __init__(self, server: KafkaServer, *, transactions: bool) -> None:
        options = {
            "bootstrap.servers": server.bootstrap_servers,
            "partitioner": "murmur2_random",
            "compression.type": "zstd",
            "message.max.bytes": 100_000_000,
        }
        if transactions:
            options["transactional.id"] = unique("outside")
        self._producer = Producer(options)
        if transactions:
            self._producer.init_transactions(60)

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, record: OutRecord) -> None:
        failures: list[object] = []
        self._producer.produce(
            record.topic,
            record.value,
            record.key,
            headers=list(record.headers),
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        assert self._producer.flush(60) == 0
        assert failures == []

    def told(self, record: OutRecord, *, aborted: bool = False) -> None:
        """In a transaction of its own."""
        self.begin()
        self.send(record)
        self.abort() if aborted else self.commit()

    def commit(self) -> None:
        self._producer.commit_transaction(60)

    def abort(self) -> None:
        self._producer.abort_transaction(60)


async def caught_up(log: KafkaLog, group: str) -> None:
    async def done() -> bool:
        return await lag(log, PLACED.name, group) == 0

    await until(done, f"{group} has no lag")


async def ended(log: KafkaLog, offset: int) -> None:
    """Wait until all transactions below ``offset`` have their end, which comes a little later."""

    async def there() -> bool:
        return (await log.end_offsets(PLACED.name))[place_of("a")] == offset

    await until(there, f"the log ends at {offset}")


async def test_the_end_of_a_transaction_is_no_lag(server: KafkaServer, log: KafkaLog) -> None:
    bench, outside = Bench(), await asyncio.to_thread(Outside, server, transactions=True)
    begun = (await log.end_offsets(PLACED.name))[place_of("a")]
    async with working(log, bench, GROUP):
        await asyncio.to_thread(outside.told, order("a", 1))
        await ended(log, begun + 2)
        await caught_up(log, GROUP)
        assert bench.booked == [1]

        await asyncio.to_thread(outside.told, order("a", 2), aborted=True)
        await ended(log, begun + 4)
        await caught_up(log, GROUP)
        assert bench.booked == [1]

        outside.begin()
        await asyncio.to_thread(outside.send, order("a", 3))
        await (await log.producer()).send([order("a", 4)])
        await asyncio.sleep(QUIET)
        assert (await log.committed(GROUP, PLACED.name))[place_of("a")] == begun + 4
        await asyncio.to_thread(outside.commit)
        await ended(log, begun + 7)
        await caught_up(log, GROUP)
        assert bench.booked == [1, 3, 4]


async def test_nothing_is_passed_over_behind_a_record_that_waits(
    server: KafkaServer, log: KafkaLog
) -> None:
    bench, outside = Bench(), await asyncio.to_thread(Outside, server, transactions=True)
    bench.failing[6] = Unavailable("down")
    begun = (await log.end_offsets(PLACED.name))[place_of("a")]
    async with working(log, bench, GROUP):
        for number in (5, 6, 7):
            await asyncio.to_thread(outside.told, order("a", number))
        await ended(log, begun + 6)

        async def first_is_done() -> bool:
            return (await log.committed(GROUP, PLACED.name))[place_of("a")] > begun

        await until(first_is_done, "order 5 is committed")
        # Order 5 and its end: order 6 stands at the next offset.
        assert (await log.committed(GROUP, PLACED.name))[place_of("a")] in (begun + 1, begun + 2)
        assert await lag(log, PLACED.name, GROUP) >= 4
    async with working(log, bench, GROUP):
        bench.failing.clear()
        await caught_up(log, GROUP)
    assert sorted(set(bench.booked)) == [5, 6, 7]


async def test_a_record_larger_than_a_dead_letter_stops_nobody(
    server: KafkaServer, log: KafkaLog
) -> None:
    """And what else was buried is replayed by a service that was built and not started."""
    bench, outside = Bench(), await asyncio.to_thread(Outside, server, transactions=False)
    bench.failing[9] = Permanent("not yet")
    large = OutRecord(PLACED.name, b"a", bytes(DLQ_MAX_BYTES + 1), order("a", 8).headers)
    async with working(log, bench, NEIGHBOUR) as service:
        for record in (large, order("a", 9), order("a", 10)):
            await asyncio.to_thread(outside.send, record)
        await caught_up(log, NEIGHBOUR)
        assert await service.checks["consumer-orders"]()
    assert bench.booked == [10]
    found = [item async for item in letters(log, PLACED.name, NEIGHBOUR)]
    assert [(item.reason, item.left_out) for item in found] == [
        ("oversize", f"body ({DLQ_MAX_BYTES + 1} bytes)"),
        ("permanent", ""),
    ]
    bench.failing.clear()
    built = await made(log, bench, NEIGHBOUR)
    assert built.replays is not None
    assert await built.replays.all(PLACED.name) == Replayed(applied=1, rejected=1)
    assert await depth(log, PLACED.name, NEIGHBOUR) == 1
    assert told(await published(log))["a"][-2:] == [10, 9]
