"""Dead letters, run through the handler that rejected them once it is repaired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from bus.compose import transactional
from bus.errors import Permanent, Unavailable
from bus.host import Service
from bus.lag import lag
from bus.local import LocalLog
from bus.provision import DLQ_RETENTION
from bus.replay import Replayed, Replays, depth, letters
from devkit.conformance.polling import read_all
from libs.bus.tests.toy_delivery import (
    DLQ,
    GROUP,
    NEIGHBOUR,
    PLACED,
    Desk,
    order,
    poison,
    quick,
    reasons,
    send,
    until,
)
from libs.bus.tests.toy_service import published, running, settled, told
from libs.bus.tests.toy_stores import Kit, MemoryKit
from runtime.deadline import Deadline

pytestmark = pytest.mark.usefixtures("quick_loops")


def no_such_account() -> Exception:
    return Permanent("no such account")


def failing(*numbers: int) -> dict[int, Callable[[], Exception]]:
    return dict.fromkeys(numbers, no_such_account)


def replays(service: Service) -> Replays:
    assert service.replays is not None
    return service.replays


async def left(log: LocalLog) -> int:
    return await depth(log, PLACED.name, GROUP)


@pytest.mark.asyncio
async def test_all_is_applied_after_the_repair(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing=failing(2, 3))
    await send(log, [order("a", n) for n in range(1, 6)])
    async with running(log, kit, desk) as service:
        await settled(log, kit)
        assert await left(log) == 2
        desk.failing.clear()
        assert await replays(service).all(PLACED.name) == Replayed(applied=2, rejected=0)
        assert await left(log) == 0
        assert await replays(service).all(PLACED.name) == Replayed(applied=0, rejected=0)
        await settled(log, kit)
    assert await kit.booked() == told(await published(log)) == {"a": [1, 4, 5, 2, 3]}
    assert [item.replayed async for item in letters(log, PLACED.name, GROUP)] == [True, True]


@pytest.mark.asyncio
async def test_what_fails_again_is_buried_again(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing=failing(2, 3))
    await send(log, [order("a", n) for n in range(1, 4)])
    async with running(log, kit, desk) as service:
        await settled(log, kit)
        del desk.failing[3]
        assert await replays(service).all(PLACED.name) == Replayed(applied=1, rejected=1)
        assert await left(log) == 1
        del desk.failing[2]
        assert await replays(service).all(PLACED.name) == Replayed(applied=1, rejected=0)
        assert await left(log) == 0
    found = await read_all(log, DLQ)
    assert reasons(found) == [("permanent", "1"), ("permanent", "1"), ("replay-failed", "2")]
    assert found[2].value == order("a", 2).value
    assert await kit.booked() == {"a": [1, 3, 2]}


@pytest.mark.asyncio
async def test_poison_stays_poison(log: LocalLog, memory_kit: MemoryKit) -> None:
    await send(log, [poison("a", 1)["bad-header"]])
    async with running(log, memory_kit, Desk()) as service:
        await settled(log, memory_kit)
        await replays(service).all(PLACED.name)
        await replays(service).all(PLACED.name)
    found = await read_all(log, DLQ)
    assert reasons(found) == [("bad-header", "1"), ("bad-header", "2"), ("bad-header", "3")]
    assert await left(log) == 1


@pytest.mark.asyncio
async def test_one_letter_of_several(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing=failing(1, 2, 3))
    await send(log, [order("a", n) for n in range(1, 5)])
    async with running(log, kit, desk) as service:
        await settled(log, kit)
        desk.failing.clear()
        places = [item.place async for item in letters(log, PLACED.name, GROUP)]
        assert places == ["0:0", "0:1", "0:2"]
        assert await replays(service).one(PLACED.name, (0, 1))
        assert await kit.booked() == {"a": [4, 2]}
        with pytest.raises(Permanent, match="no dead letter at 0:3"):
            await replays(service).one(PLACED.name, (0, 3))
        with pytest.raises(KeyError):
            await replays(service).all("order.cancelled.v1")
        await replays(service).all(PLACED.name)  # the one done before counts once
    assert await kit.booked() == {"a": [4, 2, 1, 3]}
    assert await left(log) == 0


@pytest.mark.asyncio
async def test_an_outage_stops_a_replay_where_it_is(log: LocalLog, memory_kit: MemoryKit) -> None:
    desk = Desk(failing=failing(1, 2, 3))
    await send(log, [order("a", n) for n in range(1, 4)])
    async with running(log, memory_kit, desk) as service:
        await settled(log, memory_kit)
        desk.failing = {2: lambda: Unavailable("down")}
        with pytest.raises(Unavailable):
            await replays(service).all(PLACED.name)
        assert await left(log) == 2
        desk.failing.clear()
        assert await replays(service).all(PLACED.name) == Replayed(applied=2, rejected=0)
    assert await memory_kit.booked() == {"a": [1, 2, 3]}
    assert len(await read_all(log, DLQ)) == 3


@pytest.mark.asyncio
async def test_letters_that_are_gone_are_not_waited_for(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    desk = Desk(failing=failing(1, 2, 3))
    await send(log, [order("a", n) for n in (1, 2)])
    async with running(log, memory_kit, desk) as service:
        await settled(log, memory_kit)
        await replays(service).all(PLACED.name)  # they are buried again
        assert await left(log) == 2
        kept_until = datetime.now(UTC) + DLQ_RETENTION
        assert await log.prune(int(kept_until.timestamp() * 1000) + 1000) > 0
        assert await left(log) == 0
        assert [item async for item in letters(log, PLACED.name, GROUP)] == []
        assert await replays(service).all(PLACED.name) == Replayed(applied=0, rejected=0)
        await send(log, [order("a", 3)])
        await settled(log, memory_kit)
        assert await left(log) == 1
        desk.failing.clear()
        assert await replays(service).all(PLACED.name) == Replayed(applied=1, rejected=0)
    assert await memory_kit.booked() == {"a": [3]}
    assert await left(log) == 0


@pytest.mark.asyncio
async def test_no_other_group_sees_a_replay(log: LocalLog, memory_kit: MemoryKit) -> None:
    desk, neighbour, beside = Desk(failing=failing(1)), Desk(), MemoryKit()
    other = await transactional(
        NEIGHBOUR, log, beside.store, beside.outbox, beside.bind, [neighbour.subscription()]
    )
    await send(log, [order("a", 1), order("a", 2)])
    await other.start()
    async with running(log, memory_kit, desk) as service:
        await settled(log, memory_kit)
        desk.failing.clear()
        await replays(service).all(PLACED.name)
        await send(log, [order("a", 3)])
        await until(lambda: _caught_up(log), "the neighbour is done too")
    await other.stop(Deadline(5))
    assert neighbour.seen == [("a", 1), ("a", 2), ("a", 3)]
    assert (await memory_kit.booked())["a"][:2] == [2, 1]
    assert sum((await log.end_offsets(PLACED.name)).values()) == 3


async def _caught_up(log: LocalLog) -> bool:
    return await lag(log, PLACED.name, NEIGHBOUR) + await lag(log, PLACED.name, GROUP) == 0


@pytest.mark.asyncio
async def test_a_replay_in_vain_does_not_halt_the_consumer(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    """Its letters were counted when they were first rejected."""
    desk = Desk(failing=failing(*range(0, 180, 3)))
    await send(log, [order("a", n) for n in range(180)])
    async with running(log, memory_kit, desk, quick()) as service:
        await settled(log, memory_kit)
        for _ in range(3):
            assert await replays(service).all(PLACED.name) == Replayed(applied=0, rejected=60)
        await send(log, [poison("a", 0)["bad-json"], order("a", 1000)])
        await settled(log, memory_kit)
        assert await service.checks["consumer"]()
    assert await left(log) == 61
