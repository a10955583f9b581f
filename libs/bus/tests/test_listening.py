"""A consumer without a store: it hears everything at least once, and stops at nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from bus.codec import Delivered
from bus.compose import listening
from bus.errors import Permanent
from bus.lag import lag
from bus.local import LocalLog
from contracts.events.base import Event
from devkit.conformance.polling import read_all
from libs.bus.tests.toy_delivery import (
    BOOKED,
    DLQ,
    GROUP,
    PLACED,
    Desk,
    OrderPlaced,
    order,
    poison,
    quick,
    reasons,
    send,
    until,
)
from libs.bus.tests.toy_service import built, settled
from libs.bus.tests.toy_stores import MemoryKit
from runtime.deadline import Deadline

pytestmark = [pytest.mark.usefixtures("quick_loops"), pytest.mark.asyncio]


class Ear:
    """Hears orders; those of ``deaf_to`` it cannot take."""

    def __init__(self, *deaf_to: int) -> None:
        self.heard: list[int] = []
        self._deaf_to = deaf_to

    async def __call__(self, batch: Sequence[Delivered[Event]]) -> None:
        numbers = [item.event.number for item in batch if isinstance(item.event, OrderPlaced)]
        if any(number in self._deaf_to for number in numbers):
            raise Permanent("deaf")
        self.heard += numbers


@asynccontextmanager
async def listener(log: LocalLog, ear: Ear, group: str = GROUP) -> AsyncIterator[None]:
    service = await listening(group, log, [PLACED], ear, policy=quick())
    assert set(service.checks) == {"listener"}
    await service.start()
    assert await service.checks["listener"]()
    try:
        yield
    finally:
        await service.stop(Deadline(5))
    assert not await service.checks["listener"]()


async def no_lag(log: LocalLog, group: str = GROUP) -> None:
    async def done() -> bool:
        return await lag(log, PLACED.name, group) == 0

    await until(done, "no lag")


async def test_everything_is_heard_and_its_offset_kept(log: LocalLog) -> None:
    await send(log, [order("a", n) for n in range(5)])
    ear = Ear()
    async with listener(log, ear):
        await no_lag(log)
    assert ear.heard == [0, 1, 2, 3, 4]
    await send(log, [order("a", 5)])
    async with listener(log, ear):
        await no_lag(log)
    assert ear.heard == [0, 1, 2, 3, 4, 5]


async def test_what_cannot_be_read_or_taken_is_buried(log: LocalLog) -> None:
    broken = poison("a", 9)["bad-json"]
    await send(log, [order("a", 1), broken, order("a", 2), order("a", 3)])
    ear = Ear(2)
    async with listener(log, ear):
        await no_lag(log)
    assert ear.heard == [1, 3]
    letters = await read_all(log, DLQ)
    assert sorted(reason for reason, _ in reasons(letters)) == ["bad-json", "permanent"]


async def test_it_may_share_its_group_with_the_rest_of_its_service(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    class Bell:
        def __init__(self) -> None:
            self.rung = 0

        async def __call__(self, batch: Sequence[Delivered[Event]]) -> None:
            self.rung += len(batch)

    bell = Bell()
    rest = await built(log, memory_kit, Desk())
    ears = await listening(GROUP, log, [BOOKED], bell, policy=quick())
    await rest.start()
    await ears.start()
    await send(log, [order(f"account-{n}", n) for n in range(6)])
    await settled(log, memory_kit)

    async def rung() -> bool:
        return bell.rung == 6

    await until(rung, "every booking is heard")
    await ears.stop(Deadline(5))
    await rest.stop(Deadline(5))
    assert sum(map(len, (await memory_kit.booked()).values())) == 6
    assert await read_all(log, DLQ) == []
