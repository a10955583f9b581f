"""The toy service, put together and running, and what a test waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bus.codec import Delivered, decode
from bus.compose import transactional
from bus.host import Service
from bus.lag import lag
from bus.port import Log
from bus.record import Record
from bus.retry import RetryPolicy
from contracts.events.base import Event
from contracts.topics import Topic
from devkit.conformance.polling import read_all
from libs.bus.tests.toy_delivery import BOOKED, GROUP, PLACED, Desk, OrderBooked, quick, until
from libs.bus.tests.toy_stores import Kit
from runtime.deadline import Deadline


async def built(log: Log, kit: Kit, desk: Desk, policy: RetryPolicy | None = None) -> Service:
    """The toy service as its composition root would make it."""
    return await transactional(
        GROUP,
        log,
        kit.store,
        kit.outbox,
        kit.bind,
        [desk.subscription()],
        policy=policy or quick(),
    )


@asynccontextmanager
async def running(
    log: Log, kit: Kit, desk: Desk, policy: RetryPolicy | None = None
) -> AsyncIterator[Service]:
    """The toy service, running inside the block and stopped in order after it."""
    service = await built(log, kit, desk, policy)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(Deadline(5))


async def settled(log: Log, kit: Kit) -> None:
    """Wait until all orders are committed and all bookings published."""

    async def done() -> bool:
        return await lag(log, PLACED.name, GROUP) == 0 and await kit.unpublished() == 0

    await until(done, "no lag, empty outbox")


async def run_until_settled(
    log: Log, kit: Kit, desk: Desk, policy: RetryPolicy | None = None
) -> None:
    """Start, wait until there is nothing to do, stop."""
    async with running(log, kit, desk, policy):
        await settled(log, kit)


async def published(log: Log) -> list[Delivered[Event]]:
    """Every booking on its topic, partition by partition."""
    topics: dict[str, Topic[Event]] = {BOOKED.name: BOOKED}  # type: ignore[dict-item]
    return [decode(topics, record) for record in await read_all(log, BOOKED.name)]


def told(bookings: Sequence[Delivered[Event]]) -> dict[str, list[int]]:
    """Numbers of bookings per account, in order."""
    found: dict[str, list[int]] = {}
    for item in bookings:
        assert isinstance(item.event, OrderBooked)
        found.setdefault(item.event.account, []).append(item.event.number)
    return found


async def letters(log: Log, topic: str) -> list[Record]:
    """What lies in a DLQ."""
    return await read_all(log, topic)
