"""Records in, effects and events out: each once, in order, and what cannot be done is set aside."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from bus.dead_letter import without_dlq
from bus.errors import Permanent, TooEarly, Transient, Unavailable
from bus.local import LocalLog
from bus.record import TopicPartition
from contracts.telemetry import CONSUMER_HALTED, DEAD_LETTERS, RECORDS
from devkit.conformance.polling import read_all, values
from libs.bus.tests.toy_delivery import (
    DLQ,
    GROUP,
    PLACED,
    Desk,
    OrderPlaced,
    apart,
    order,
    place_of,
    poison,
    quick,
    reason_of,
    reasons,
    send,
    until,
)
from libs.bus.tests.toy_service import (
    built,
    published,
    run_until_settled,
    running,
    settled,
    told,
)
from libs.bus.tests.toy_stores import Kit, MemoryKit
from runtime.deadline import Deadline
from runtime.metrics import value

pytestmark = pytest.mark.usefixtures("quick_loops")


def failing_for_ever(error: Exception) -> Callable[[], Exception]:
    return lambda: error


def failing_times(error: Exception, times: int, desk: Desk, number: int) -> Callable[[], Exception]:
    """Fail ``times`` times on an order, then let it pass."""
    left = [times]

    def fail() -> Exception:
        left[0] -= 1
        if left[0] == 0:
            del desk.failing[number]
        return error

    return fail


@pytest.mark.asyncio
async def test_every_order_has_its_effect_and_its_event_once(log: LocalLog, kit: Kit) -> None:
    accounts = [f"account-{n}" for n in range(6)]
    orders = [order(account, n) for n in range(5) for account in accounts]
    before = value(RECORDS, service=GROUP, topic=PLACED.name, outcome="duplicate")
    await send(log, [*orders, *orders[3:9]])  # a producer that sent some twice
    desk = Desk()
    async with running(log, kit, desk):
        await send(log, orders[:4])
        await settled(log, kit)
    expected = {account: [0, 1, 2, 3, 4] for account in accounts}
    assert await kit.booked() == expected
    assert told(await published(log)) == expected
    assert await read_all(log, DLQ) == []
    after = value(RECORDS, service=GROUP, topic=PLACED.name, outcome="duplicate")
    assert after - before == 10


@pytest.mark.asyncio
async def test_an_event_says_what_caused_it(log: LocalLog, kit: Kit) -> None:
    await send(log, [order("a", 1)])
    await run_until_settled(log, kit, Desk())
    (booking,) = await published(log)
    cause = dict(order("a", 1).headers)
    assert booking.envelope.source == GROUP
    assert booking.envelope.causation_id == cause["ce_id"].decode()
    assert booking.envelope.correlation_id == cause["ce_correlationid"].decode()
    assert booking.tenant_id == "tenant-a"


@pytest.mark.asyncio
async def test_delivery_from_the_start_changes_nothing(log: LocalLog, kit: Kit) -> None:
    await send(log, [order("a", n) for n in range(10)])
    await run_until_settled(log, kit, Desk())
    await log.reset(GROUP, {place_of("a"): 0})
    await run_until_settled(log, kit, Desk())
    assert await kit.booked() == told(await published(log)) == {"a": list(range(10))}


@pytest.mark.asyncio
async def test_poison_is_buried_and_its_neighbours_are_done(log: LocalLog, kit: Kit) -> None:
    kinds = poison("a", 0)
    records = [order("a", 1)]
    for number, kind in enumerate(kinds, start=2):
        records += [kinds[kind], order("a", number)]
    before = value(DEAD_LETTERS, service=GROUP, topic=PLACED.name, reason="bad-header")
    await send(log, records)
    await run_until_settled(log, kit, Desk())

    assert await kit.booked() == {"a": list(range(1, len(kinds) + 2))}
    letters = await read_all(log, DLQ)
    assert reasons(letters) == [(reason_of(kind), "1") for kind in kinds]
    for letter, sent in zip(letters, kinds.values(), strict=True):
        assert (letter.key, letter.value) == (sent.key, sent.value)
        assert without_dlq(letter.headers) == sent.headers
    after = value(DEAD_LETTERS, service=GROUP, topic=PLACED.name, reason="bad-header")
    assert after - before == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Transient("busy"), "attempts-exhausted"),
        (KeyError("a defect"), "unexpected"),
    ],
)
async def test_attempts_run_out_and_order_is_kept(
    log: LocalLog, kit: Kit, error: Exception, reason: str
) -> None:
    desk = Desk(failing={2: failing_for_ever(error)})
    await send(log, [order("a", n) for n in range(1, 5)])
    await run_until_settled(log, kit, desk, quick(attempts=3))
    assert await kit.booked() == {"a": [1, 3, 4]}
    assert reasons(await read_all(log, DLQ)) == [(reason, "3")]
    last_try = max(n for n, seen in enumerate(desk.seen) if seen == ("a", 2))
    first_after = desk.seen.index(("a", 3))
    assert last_try < first_after


@pytest.mark.asyncio
async def test_a_transient_error_is_tried_again_in_place(log: LocalLog, kit: Kit) -> None:
    desk = Desk()
    desk.failing[2] = failing_times(Transient("busy"), 4, desk, 2)
    await send(log, [order(account, n) for n in range(1, 5) for account in ("a", "b")])
    await run_until_settled(log, kit, desk, quick(attempts=6))
    assert (
        await kit.booked() == told(await published(log)) == {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}
    )
    assert await read_all(log, DLQ) == []


@pytest.mark.asyncio
async def test_poison_behind_a_record_that_waits_is_buried_once(log: LocalLog, kit: Kit) -> None:
    desk = Desk()
    desk.failing[1] = failing_times(Transient("busy"), 5, desk, 1)
    await send(log, [order("a", 1), poison("a", 0)["bad-json"], order("a", 2)])
    await run_until_settled(log, kit, desk, quick(attempts=6))
    assert await kit.booked() == {"a": [1, 2]}
    assert reasons(await read_all(log, DLQ)) == [("bad-json", "1")]


@pytest.mark.asyncio
async def test_a_permanent_error_is_buried_at_once(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing={2: failing_for_ever(Permanent("no such account"))})
    await send(log, [order("a", n) for n in range(1, 4)])
    await run_until_settled(log, kit, desk)
    assert await kit.booked() == {"a": [1, 3]}
    letters = await read_all(log, DLQ)
    assert reasons(letters) == [("permanent", "1")]
    assert values(letters) == [order("a", 2).value]
    assert Counter(desk.seen)["a", 2] == 2  # with its batch, then on its own


@pytest.mark.asyncio
async def test_what_is_unavailable_is_waited_for(log: LocalLog, kit: Kit) -> None:
    """The partition waits and spends no attempts; the others flow, those of its batch too."""
    stuck, beside, later = apart(3)
    desk = Desk(failing={2: failing_for_ever(Unavailable("down"))})
    await send(log, [order(stuck, n) for n in range(1, 4)] + [order(beside, 1), order(beside, 3)])
    async with running(log, kit, desk, quick(attempts=3)) as service:
        await until(lambda: _seen(desk, (stuck, 2), 12), "tried more often than attempts allow")
        await send(log, [order(later, n) for n in (5, 6, 7)])
        await until(lambda: _booked(kit, {beside: [1, 3], later: [5, 6, 7]}), "flow")
        committed = await log.committed(GROUP, PLACED.name)
        assert committed[place_of(stuck)] == 0
        assert await service.checks["consumer"]()
        desk.failing.clear()
        await settled(log, kit)
    assert (await kit.booked())[stuck] == [1, 2, 3]
    assert await read_all(log, DLQ) == []


@pytest.mark.asyncio
async def test_what_comes_too_early_waits_until_it_is_due(log: LocalLog, kit: Kit) -> None:
    """However often, and those behind it; records of other partitions do not."""
    early, beside = apart(2)
    desk = Desk(failing={1: failing_for_ever(TooEarly("not due", retry_after=0.05))})
    await send(log, [order(early, 1), order(early, 2), order(beside, 3)])
    async with running(log, kit, desk, quick(attempts=3)):
        await until(lambda: _seen(desk, (early, 1), 12), "looked at more often than attempts allow")
        assert await kit.booked() == {beside: [3]}
        desk.failing.clear()
        await settled(log, kit)
    assert await kit.booked() == {early: [1, 2], beside: [3]}
    assert await read_all(log, DLQ) == []


async def _seen(desk: Desk, what: tuple[str, int], times: int) -> bool:
    return desk.seen.count(what) >= times


async def _booked(kit: Kit, expected: dict[str, list[int]]) -> bool:
    return await kit.booked() == expected


@pytest.mark.asyncio
async def test_too_many_rejections_halt_the_consumer(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing=dict.fromkeys(range(60), failing_for_ever(Permanent("wrong release"))))
    await send(log, [order("a", n) for n in range(60)])
    async with running(log, kit, desk) as service:
        await until(lambda: _not(service.checks["consumer"]), "halted")
        assert value(CONSUMER_HALTED, service=GROUP) == 1
        assert await service.checks["relay"]()
    assert await read_all(log, DLQ) == []  # it tripped before the first was written
    assert await kit.booked() == {}
    await run_until_settled(log, kit, Desk())  # the repaired release
    assert await kit.booked() == {"a": list(range(60))}
    assert value(CONSUMER_HALTED, service=GROUP) == 0


@pytest.mark.asyncio
async def test_an_operator_can_have_bad_records_buried_however_many_they_are(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    """What would halt it again at every start; with a ratio of 1 it gets past, and loses none."""
    bad = [poison("a", n)["bad-json"] for n in range(300)]
    await send(log, [*bad, order("a", 1)])
    for _ in range(2):
        async with running(log, memory_kit, Desk()) as service:
            await until(lambda: _not(service.checks["consumer"]), "halted")
    assert await read_all(log, DLQ) == []
    await run_until_settled(log, memory_kit, Desk(), replace(quick(), halt_ratio=1.0))
    assert value(CONSUMER_HALTED, service=GROUP) == 0
    assert await memory_kit.booked() == {"a": [1]}
    assert len(await read_all(log, DLQ)) == 300


async def _not(check: Callable[[], object]) -> bool:
    return not await check()  # type: ignore[misc]  # a Check is awaitable


@pytest.mark.asyncio
async def test_some_rejections_among_many_do_not_halt_it(log: LocalLog, kit: Kit) -> None:
    desk = Desk(failing=dict.fromkeys(range(0, 180, 3), failing_for_ever(Permanent("no"))))
    await send(log, [order("a", n) for n in range(180)])
    await run_until_settled(log, kit, desk)
    assert await kit.booked() == {"a": [n for n in range(180) if n % 3]}
    assert len(await read_all(log, DLQ)) == 60


@pytest.mark.asyncio
async def test_stop_finishes_the_batch_at_hand(log: LocalLog, kit: Kit) -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    async def slowly(_: OrderPlaced) -> None:
        inside.set()
        await gate.wait()

    await send(log, [order("a", n) for n in range(3)])
    service = await built(log, kit, Desk(at_desk=slowly))
    await service.start()
    await inside.wait()
    stopping = asyncio.create_task(service.stop(Deadline(60)))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert (await log.committed(GROUP, PLACED.name))[place_of("a")] == 3
    assert await kit.booked() == told(await published(log)) == {"a": [0, 1, 2]}
    assert await kit.unpublished() == 0


@pytest.mark.asyncio
async def test_what_the_deadline_cuts_is_delivered_again(log: LocalLog, kit: Kit) -> None:
    inside = asyncio.Event()

    async def for_ever(placed: OrderPlaced) -> None:
        if placed.number == 1:
            inside.set()
            await asyncio.Event().wait()

    await send(log, [order("a", n) for n in range(3)])
    service = await built(log, kit, Desk(at_desk=for_ever))
    await service.start()
    await inside.wait()
    began = asyncio.get_running_loop().time()
    await service.stop(Deadline(0.2))
    assert asyncio.get_running_loop().time() - began < 30
    assert (await log.committed(GROUP, PLACED.name))[place_of("a")] == 0
    assert await kit.booked() == {}
    await run_until_settled(log, kit, Desk())
    assert await kit.booked() == told(await published(log)) == {"a": [0, 1, 2]}


@pytest.mark.asyncio
async def test_two_members_share_the_work(log: LocalLog, memory_kit: MemoryKit) -> None:
    """Partitions move while records are under way; the inbox makes each of them count once."""
    accounts = [f"account-{n}" for n in range(8)]
    desk = Desk()
    async with running(log, memory_kit, desk):
        await send(log, [order(account, n) for n in range(40) for account in accounts])
        async with running(log, memory_kit, desk):
            await send(log, [order(account, n) for n in range(40, 80) for account in accounts])
            await settled(log, memory_kit)
        await send(log, [order(account, n) for n in range(80, 90) for account in accounts])
        await settled(log, memory_kit)
    assert await memory_kit.booked() == {account: list(range(90)) for account in accounts}


@pytest.mark.asyncio
async def test_what_a_member_holds_leaves_with_its_partition(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    accounts = apart(3)
    desks = [Desk(failing={0: lambda: Unavailable("down")}) for _ in range(2)]
    await send(log, [order(account, 0) for account in accounts])
    async with running(log, memory_kit, desks[0]):
        await until(lambda: _all_seen(desks[:1], accounts), "the first one holds all")
        async with running(log, memory_kit, desks[1]):
            for desk in desks:
                desk.seen.clear()
            await until(lambda: _all_seen(desks, accounts), "each holds its own")
            first, second = ({account for account, _ in desk.seen} for desk in desks)
            assert first
            assert second
            assert first.isdisjoint(second)
            for desk in desks:
                desk.failing.clear()
            await settled(log, memory_kit)
    assert await memory_kit.booked() == {account: [0] for account in accounts}


async def _all_seen(desks: list[Desk], accounts: list[str]) -> bool:
    """Whether every account was tried several times, by whomever."""
    counts = Counter(account for desk in desks for account, _ in desk.seen)
    return all(counts[account] >= 5 for account in accounts)


def test_the_toy_accounts_are_apart() -> None:
    assert len({place_of(account) for account in apart(3)}) == 3
    assert place_of("a") in {TopicPartition(PLACED.name, n) for n in range(3)}
