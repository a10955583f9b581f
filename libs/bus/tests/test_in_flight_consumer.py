"""Many slow records at once: one holds back the commit, never the work."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bus.codec import Delivered
from bus.dead_letter import DeadLetters
from bus.errors import Permanent, Transient, Unavailable
from bus.in_flight_consumer import InFlightConsumer
from bus.lag import lag
from bus.local import LocalLog
from bus.port import Log
from bus.record import TopicPartition
from bus.retry import RetryPolicy, Verdict
from contracts.events.base import Event
from devkit.conformance.polling import read_all
from libs.bus.tests.faulty_log import Faults, FaultyLog
from libs.bus.tests.toy_delivery import (
    DLQ,
    GROUP,
    PLACED,
    OrderPlaced,
    apart,
    order,
    place_of,
    poison,
    quick,
    reasons,
    send,
    until,
)
from runtime.clock import SystemClock
from runtime.deadline import Deadline

pytestmark = pytest.mark.usefixtures("quick_loops")


class Calls:
    """A slow handler: every order waits for its gate, if it has one, or fails."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}
        self.failing: dict[int, Callable[[], Exception]] = {}
        self.pause: Callable[[], float] | None = None
        self.started: list[int] = []
        self.done: list[int] = []
        self.most = 0

    def hold(self, *numbers: int) -> None:
        """Give orders a gate that is shut."""
        self.gates.update({number: asyncio.Event() for number in numbers})

    async def __call__(self, item: Delivered[Event]) -> None:
        assert isinstance(item.event, OrderPlaced)
        number = item.event.number
        self.started.append(number)
        self.most = max(self.most, len(self.started) - len(self.done))
        if number in self.failing:
            raise self.failing[number]()
        if self.pause is not None:
            await asyncio.sleep(self.pause())
        if number in self.gates:
            await self.gates[number].wait()
        self.done.append(number)

    async def finished(self, *numbers: int) -> None:
        """Wait until these are done."""

        async def are() -> bool:
            return set(numbers) <= set(self.done)

        await until(are, f"done: {numbers}")

    async def has_started(self, *numbers: int) -> None:
        """Wait until these are under way."""

        async def are() -> bool:
            return set(numbers) <= set(self.started)

        await until(are, f"started: {numbers}")


async def consumer_of(log: Log, calls: Calls, **options: Any) -> InFlightConsumer:
    """A consumer of orders that has started."""
    dead_letters = DeadLetters(await log.producer(), GROUP, SystemClock())
    policy = options.pop("policy", quick())
    consumer = InFlightConsumer(
        log=log,
        group=GROUP,
        topics=[PLACED],  # type: ignore[list-item]  # Topic is invariant, an Event all the same
        handle=calls,
        dead_letters=dead_letters,
        clock=SystemClock(),
        policy=policy,
        **options,
    )
    await consumer.start()
    return consumer


@asynccontextmanager
async def consuming(log: Log, calls: Calls, **options: Any) -> AsyncIterator[InFlightConsumer]:
    """A consumer of orders, stopped with time to spare after the block."""
    consumer = await consumer_of(log, calls, **options)
    try:
        yield consumer
    finally:
        await consumer.stop(Deadline(5))


async def committed(log: Log, account: str) -> int:
    return (await log.committed(GROUP, PLACED.name))[place_of(account)]


async def no_lag(log: Log) -> None:
    async def none() -> bool:
        return await lag(log, PLACED.name, GROUP) == 0

    await until(none, "no lag")


@pytest.mark.asyncio
async def test_a_slow_record_holds_back_the_commit_and_nothing_else(log: LocalLog) -> None:
    calls = Calls()
    calls.hold(3)
    await send(log, [order("a", n) for n in range(20)])
    async with consuming(log, calls):
        await calls.finished(*(n for n in range(20) if n != 3))
        await until(lambda: _is(log, 3), "committed up to the slow one")
        calls.gates[3].set()
        await until(lambda: _is(log, 20), "all committed")
    assert Counter(calls.started) == dict.fromkeys(range(20), 1)


async def _is(log: LocalLog, offset: int) -> bool:
    return await committed(log, "a") == offset


@pytest.mark.asyncio
async def test_a_commit_never_passes_an_unfinished_record(
    log: LocalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.in_flight_consumer.COMMIT_SECONDS", 0.001)
    rng = random.Random(7)
    calls, faults, seen = Calls(), Faults(), list[int]()
    calls.pause = lambda: rng.uniform(0, 0.02)

    def look(offsets: Mapping[TopicPartition, int]) -> None:
        upto = offsets[place_of("a")]
        assert set(range(upto)) <= set(calls.done)
        assert upto > max(seen, default=0)
        seen.append(upto)

    faults.on_commit = look
    await send(log, [order("a", n) for n in range(300)])
    async with consuming(FaultyLog(log, faults), calls, window=40) as consumer:
        await no_lag(log)
        assert await consumer.healthy()  # the committer is: no assertion above failed
    assert len(seen) > 10
    assert calls.done != sorted(calls.done)


@pytest.mark.asyncio
async def test_no_more_than_the_window_is_in_flight(log: LocalLog) -> None:
    calls = Calls()
    calls.hold(*range(30))
    accounts = apart(3)
    await send(log, [order(accounts[n % 3], n) for n in range(30)])
    async with consuming(log, calls, window=4):
        for turn in range(1, 8):
            await until(lambda turn=turn: _started(calls, turn * 4), "the window is full")  # type: ignore[misc]
            for number in calls.started[-4:]:
                calls.gates[number].set()
        for gate in calls.gates.values():
            gate.set()
        await no_lag(log)
    assert calls.most == 4


async def _started(calls: Calls, count: int) -> bool:
    return len(calls.started) >= count


@pytest.mark.asyncio
async def test_work_runs_ahead_of_the_commit_by_the_span_at_most(log: LocalLog) -> None:
    calls = Calls()
    calls.hold(0)
    slow, other = apart(2)
    await send(log, [order(slow, n) for n in range(100)])
    async with consuming(log, calls, window=4, span=10):
        await calls.finished(*range(1, 10))
        await send(log, [order(other, 1000 + n) for n in range(50)])
        await calls.finished(*range(1000, 1050))
        # One more window may have been asked for just before the bound was reached.
        assert max(n for n in calls.started if n < 1000) < 10 + 4
        calls.gates[0].set()
        await no_lag(log)
    assert set(calls.done) == {*range(100), *range(1000, 1050)}


@pytest.mark.asyncio
async def test_stop_waits_for_what_is_in_flight(log: LocalLog) -> None:
    calls = Calls()
    calls.hold(1)
    await send(log, [order("a", n) for n in range(3)])
    consumer = await consumer_of(log, calls)
    await calls.finished(0, 2)
    await calls.has_started(1)
    stopping = asyncio.create_task(consumer.stop(Deadline(10)))
    await asyncio.sleep(0)
    calls.gates[1].set()
    await stopping
    assert await committed(log, "a") == 3


@pytest.mark.asyncio
async def test_what_the_deadline_cuts_is_delivered_again(log: LocalLog) -> None:
    calls = Calls()
    calls.hold(2)
    await send(log, [order("a", n) for n in range(5)])
    consumer = await consumer_of(log, calls)
    await calls.finished(0, 1, 3, 4)
    began = asyncio.get_running_loop().time()
    await consumer.stop(Deadline(1.2))
    assert asyncio.get_running_loop().time() - began < 3
    assert await committed(log, "a") == 2
    again = Calls()
    async with consuming(log, again):
        await no_lag(log)
    assert sorted(again.done) == [2, 3, 4]


@pytest.mark.asyncio
async def test_every_failure_ends_as_it_should(log: LocalLog) -> None:
    calls = Calls()
    calls.failing = {
        1: lambda: Transient("busy"),
        2: lambda: Permanent("no"),
        3: lambda: KeyError("a defect"),
    }
    bad = poison("a", 0)["null-body"]
    await send(log, [order("a", 0), bad, *(order("a", n) for n in (1, 2, 3, 4))])
    async with consuming(log, calls, policy=quick(attempts=4)):
        await no_lag(log)
    assert calls.done == [0, 4]
    found = sorted(reasons(await read_all(log, DLQ)))
    assert found == [
        ("attempts-exhausted", "4"),
        ("null-body", "1"),
        ("permanent", "1"),
        ("unexpected", "4"),
    ]
    assert Counter(calls.started) == {0: 1, 1: 4, 2: 1, 3: 4, 4: 1}


class _Judged(RetryPolicy):
    """Notes what was asked of it."""

    asked: list[int] = []  # noqa: RUF012 - one test, one policy

    def verdict(self, error: BaseException, spent: int) -> Verdict:
        self.asked.append(spent)
        return super().verdict(error, spent)


@pytest.mark.asyncio
async def test_an_outage_is_waited_for_longer_and_longer_and_spends_no_attempt(
    log: LocalLog,
) -> None:
    calls, tries = Calls(), [0]

    def down_then_busy() -> Exception:
        tries[0] += 1
        if tries[0] == 12:
            del calls.failing[0]
            return Transient("busy")
        return Unavailable("down")

    calls.failing = {0: down_then_busy}
    await send(log, [order("a", 0)])
    async with consuming(log, calls, policy=_Judged(attempts=2, base=0.0001, cap=0.01)):
        await no_lag(log)
    assert calls.done == [0]
    assert _Judged.asked == [*range(11), 0]
    assert await read_all(log, DLQ) == []


@pytest.mark.asyncio
async def test_a_dlq_that_takes_nothing_holds_the_commit(log: LocalLog) -> None:
    calls, faults = Calls(), Faults(closed={DLQ})
    await send(log, [order("a", 0), poison("a", 0)["bad-json"], order("a", 1)])
    async with consuming(FaultyLog(log, faults), calls):
        await calls.finished(0, 1)
        await until(lambda: _failed(faults), "tried to bury")
        await until(lambda: _is(log, 1), "committed up to the poison")
        faults.closed = set()
        await no_lag(log)
    assert reasons(await read_all(log, DLQ)) == [("bad-json", "1")]


async def _failed(faults: Faults) -> bool:
    return faults.failed > 0


@pytest.mark.asyncio
async def test_a_commit_that_failed_is_made_again(log: LocalLog) -> None:
    calls, faults = Calls(), Faults(commits=True)
    await send(log, [order("a", 0)])
    async with consuming(FaultyLog(log, faults), calls):
        await until(lambda: _failed(faults), "commit refused")
        faults.commits = False
        await no_lag(log)
    assert calls.started == [0]


@pytest.mark.asyncio
async def test_rejections_among_many_good_records_do_not_halt_it(log: LocalLog) -> None:
    calls = Calls()
    calls.failing = {n: lambda: Permanent("no") for n in range(0, 240, 3)}
    await send(log, [order("a", n) for n in range(240)])
    async with consuming(log, calls, window=20) as consumer:
        await no_lag(log)
        assert await consumer.healthy()
    assert len(await read_all(log, DLQ)) == 80


@pytest.mark.asyncio
async def test_too_many_rejections_halt_it(log: LocalLog) -> None:
    calls = Calls()
    calls.failing = {n: lambda: Permanent("wrong release") for n in range(80)}
    await send(log, [order("a", n) for n in range(80)])
    async with consuming(log, calls, window=10) as consumer:
        await until(lambda: _unhealthy(consumer), "halted")
    buried = len(await read_all(log, DLQ))
    assert buried == 49
    assert await committed(log, "a") <= buried
    repaired = Calls()
    async with consuming(log, repaired):
        await no_lag(log)
    assert set(range(49, 80)) <= set(repaired.done)


async def _unhealthy(consumer: InFlightConsumer) -> bool:
    return not await consumer.healthy()


@pytest.mark.asyncio
async def test_partitions_move_and_no_record_is_forgotten(
    log: LocalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.in_flight_consumer.REVOKE_SECONDS", 0.2)
    first, second = Calls(), Calls()
    first.hold(0)  # still under way when its partition may have gone
    accounts = [f"account-{n}" for n in range(9)]
    await send(log, [order(accounts[n % 9], n) for n in range(90)])
    async with consuming(log, first):
        await first.has_started(0)
        async with consuming(log, second):
            await send(log, [order(accounts[n % 9], n) for n in range(90, 180)])
            await first.finished(*(n for n in first.started if n))
            first.gates[0].set()
            await no_lag(log)
    assert set(first.done) | set(second.done) == set(range(180))
