"""A toy service for the tests of delivery: books orders, one account after the other.

``order.placed.v1`` comes in, an effect per account goes into the store, ``order.booked.v1`` goes
out. The desk can be told to fail on an order, in every way in which a handler can fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import NAMESPACE_OID, uuid5

from bus.apply import Subscription
from bus.codec import Delivered, Emit
from bus.dead_letter import dlq_fields
from bus.local.partitioner import partition_of
from bus.port import Log
from bus.provision import specs
from bus.record import Headers, OutRecord, Record, TopicPartition
from bus.retry import RetryPolicy
from contracts.envelope import Envelope, to_headers
from contracts.events.base import Event
from contracts.topics import Topic, dlq_name

GROUP = "booking"
NEIGHBOUR = "auditing"
AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
WITHIN = 60.0


class OrderPlaced(Event):
    """A command to book ``number`` on ``account``."""

    account: str
    number: int


class OrderBooked(Event):
    """What the toy service says when it has done so."""

    account: str
    number: int


PLACED = Topic(
    name="order.placed.v1",
    event=OrderPlaced,
    key="account",
    purpose="Input of the toy service.",
    producers=("shop",),
    consumers=(GROUP, NEIGHBOUR),
    partitions=3,
    max_record_bytes=2000,
)
BOOKED = Topic(
    name="order.booked.v1",
    event=OrderBooked,
    key="account",
    purpose="Output of the toy service.",
    producers=(GROUP,),
    consumers=("mailing",),
    partitions=2,
)
# The log allows more than the contract: an oversized record must reach the consumer.
ALL_TOPICS = [
    *specs([replace(PLACED, max_record_bytes=1_000_000)]),
    *specs([BOOKED]),
]
DLQ = dlq_name(PLACED.name, GROUP)


class Books(Protocol):
    """The toy service's repository."""

    async def book(self, account: str, number: int) -> None:
        """Append ``number`` to what is booked on ``account``."""


@dataclass
class Desk:
    """The handler of the toy service.

    ``failing`` maps an order's number to what makes the error raised for it; ``seen`` lists the
    numbers of every call, ``at_desk`` is awaited before each.
    """

    failing: dict[int, Callable[[], Exception]] = field(default_factory=dict)
    seen: list[tuple[str, int]] = field(default_factory=list)
    at_desk: Callable[[OrderPlaced], Awaitable[None]] | None = None

    async def handle(self, batch: Sequence[Delivered[OrderPlaced]], books: Books) -> Sequence[Emit]:
        """Book every order, and say so."""
        return [await self._book(item, books) for item in batch]

    async def _book(self, item: Delivered[OrderPlaced], books: Books) -> Emit:
        order = item.event
        self.seen.append((order.account, order.number))
        if self.at_desk is not None:
            await self.at_desk(order)
        if order.number in self.failing:
            raise self.failing[order.number]()
        await books.book(order.account, order.number)
        return item.emit(BOOKED, OrderBooked(account=order.account, number=order.number))

    def subscription(self) -> Subscription[OrderPlaced, Books]:
        """What the composition root is given."""
        return Subscription(PLACED, self.handle)


def quick(attempts: int = 3) -> RetryPolicy:
    """A retry policy that does not keep a test waiting."""
    return RetryPolicy(attempts=attempts, base=0.002, cap=0.02)


def envelope(account: str, number: int) -> Envelope:
    """The envelope of an order; the same one for the same order."""
    event_id = str(uuid5(NAMESPACE_OID, f"{account}/{number}"))
    return Envelope(
        id=event_id,
        source="shop",
        type=PLACED.name,
        time=AT,
        subject=account,
        tenant_id="tenant-a",
        correlation_id=event_id,
    )


def order(account: str, number: int) -> OutRecord:
    """An order as a record."""
    body = OrderPlaced(account=account, number=number).model_dump_json().encode()
    return OutRecord(PLACED.name, account.encode(), body, to_headers(envelope(account, number)))


def delivered(account: str, number: int) -> Delivered[Event]:
    """An order as its handler sees it."""
    sent = order(account, number)
    record = Record(sent.topic, 0, number, sent.key, sent.value, sent.headers, 0)
    return Delivered(OrderPlaced(account=account, number=number), envelope(account, number), record)


def emit(cause: Delivered[Event], account: str, number: int) -> Emit:
    """A booking caused by ``cause``."""
    return cause.emit(BOOKED, OrderBooked(account=account, number=number))


def with_header(headers: Headers, name: str, value: bytes | None) -> Headers:
    """``headers`` with another value of ``name``, or without it."""
    others = tuple(item for item in headers if item[0] != name)
    return others if value is None else (*others, (name, value))


def poison(account: str, number: int) -> dict[str, OutRecord]:
    """A record of every kind that cannot be decoded, by the reason it must be given."""
    good = order(account, number)
    key, body, headers = good.key, good.value, good.headers

    def with_body(value: bytes | None) -> OutRecord:
        return OutRecord(PLACED.name, key, value, headers)

    def with_one_header(name: str, value: bytes | None) -> OutRecord:
        return OutRecord(PLACED.name, key, body, with_header(headers, name, value))

    return {
        "bad-json": with_body(b'{"account": '),
        "wrong-model": with_body(b'{"account": "a", "number": "many"}'),
        "not-utf8": with_body(b'{"account": "\xff\xfe", "number": 1}'),
        "null-body": with_body(None),
        "oversize": with_body(b" " * 2001),
        "bad-header": with_one_header("ce_tenantid", b"\xff\xfe"),
        "bad-header/missing": with_one_header("ce_id", None),
        "unknown-type": with_one_header("ce_type", b"order.cancelled.v1"),
        "wrong-key": with_one_header("ce_subject", b"somebody-else"),
    }


def reason_of(kind: str) -> str:
    """The reason code of a kind of ``poison``."""
    return kind.partition("/")[0]


async def send(log: Log, records: Sequence[OutRecord]) -> None:
    """Append ``records``."""
    producer = await log.producer()
    await producer.send(records)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that nobody announces; fails after a generous time."""
    deadline = asyncio.get_running_loop().time() + WITHIN
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"still not so: {what}"
        await asyncio.sleep(0.005)


def place_of(account: str) -> TopicPartition:
    """Where the orders of an account go."""
    return TopicPartition(PLACED.name, partition_of(account.encode(), PLACED.partitions))


def apart(count: int) -> list[str]:
    """Accounts whose orders go to different partitions."""
    found = {place_of(f"account-{n}"): f"account-{n}" for n in range(50)}
    return sorted(found.values())[:count]


def reasons(letters: Iterable[Record]) -> list[tuple[str, str]]:
    """Reason and attempts of dead letters."""
    fields = [dlq_fields(letter) for letter in letters]
    return [(item["reason"], item["attempts"]) for item in fields]
