"""Everything that can go wrong, in any order: Hypothesis plays the world against the toy service.

The log is in memory and shuffles, the store is in memory and fails, time is virtual: a run of
fifty steps takes milliseconds, and the same seed takes the same course.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest
from bus import failpoint
from bus.codec import Delivered, Emit, decode
from bus.compose import transactional
from bus.errors import Permanent, Transient, Unavailable
from bus.failpoint import POINTS
from bus.host import Service
from bus.record import OutRecord, Record
from bus.retry import RetryPolicy
from bus.stores.memory import MemoryStore, MemoryTransaction
from contracts.events.base import Event
from contracts.topics import Topic
from devkit.fake_log import FakeLog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from libs.bus.tests.toy_delivery import (
    ALL_TOPICS,
    BOOKED,
    DLQ,
    GROUP,
    PLACED,
    Books,
    Desk,
    OrderBooked,
    OrderPlaced,
    order,
    poison,
)
from runtime.deadline import Deadline
from structlog.testing import capture_logs

T = TypeVar("T")
ACCOUNTS = ["a", "b", "c", "d"]
PASSED = [point for point in POINTS if not point.startswith(("call-", "command-"))]
ATTEMPTS = 4
_TOPICS = cast(dict[str, Topic[Event]], {topic.name: topic for topic in (BOOKED, PLACED)})


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of failures on purpose: their log lines would take longer than they do."""
    with capture_logs():
        yield


class _Skipping(selectors.SelectSelector):
    """A selector for a loop without sockets: instead of waiting it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for another one")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which a sleep takes no time."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


class Crash(BaseException):
    """The death of the process."""


def _unless_told_to(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody asks a dead process for its exception."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


class UnreliableStore(MemoryStore):
    """A store that can be down: at the beginning of a transaction, or at its commit."""

    def __init__(self) -> None:
        super().__init__()
        self.down: str | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        self._check("begin")
        async with super().transaction() as inner:
            yield inner
            await asyncio.sleep(0)
            self._check("commit")

    async def pending(self, limit: int) -> Sequence[Any]:
        self._check("begin")
        return await super().pending(limit)

    def _check(self, when: str) -> None:
        if self.down == when:
            raise Unavailable("told to be down")


class _Books:
    def __init__(self, transaction: MemoryTransaction) -> None:
        self._transaction = transaction

    async def book(self, account: str, number: int) -> None:
        await asyncio.sleep(0)  # a real store gives others a turn here
        self._transaction.record(account, number)


@dataclass
class MoodyDesk(Desk):
    """The toy handler; some orders fail a few times first, some for ever."""

    stumbles: dict[int, int] = field(default_factory=dict)
    doomed: dict[int, Exception] = field(default_factory=dict)

    async def handle(self, batch: Sequence[Delivered[OrderPlaced]], books: Books) -> Sequence[Emit]:
        for item in batch:
            self._mood(item.event.number)
        return await super().handle(batch, books)

    def _mood(self, number: int) -> None:
        if number in self.doomed:
            raise self.doomed[number]
        if self.stumbles.get(number, 0) > 0:
            self.stumbles[number] -= 1
            raise Transient("stumbled")


class World(RuleBasedStateMachine):
    """The toy service, its log and its store, and what is known to have been asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(_unless_told_to)
        self.log = FakeLog()
        self.store = UnreliableStore()
        self.desk = MoodyDesk()
        self.sent: list[OutRecord] = []
        self.placed: dict[str, list[int]] = {account: [] for account in ACCOUNTS}
        self.poisoned: set[bytes | None] = set()
        self.number = 0
        self.service: Service
        self._crashed = False

    def play(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work``, and everything else as far as it gets meanwhile."""
        return self.loop.run_until_complete(self.loop.create_task(work, name="world"))

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.log.rng = random.Random(seed)
        self.play(self.log.create_topics(ALL_TOPICS))
        self.play(self._start())

    async def _start(self) -> None:
        # Drawn anew after a crash, as a new process would.
        policy = RetryPolicy(ATTEMPTS, 0.01, 0.1, rng=random.Random(1))
        self.service = await transactional(
            GROUP,
            self.log,
            self.store,
            self.store,
            _Books,
            [self.desk.subscription()],
            policy=policy,
        )
        await self.service.start()

    # What producers do.

    @rule(account=st.sampled_from(ACCOUNTS))
    def place(self, account: str) -> None:
        self._append(order(account, self._next(account)))

    @rule(account=st.sampled_from(ACCOUNTS), times=st.integers(1, ATTEMPTS - 1))
    def place_one_that_stumbles(self, account: str, times: int) -> None:
        self.desk.stumbles[self.number] = times
        self.place(account)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        error=st.sampled_from([Permanent("no"), Transient("busy"), KeyError("a defect")]),
    )
    def place_one_that_is_doomed(self, account: str, error: Exception) -> None:
        self.desk.doomed[self.number] = error
        self.place(account)

    @rule(kind=st.sampled_from(sorted(poison("a", 0))), account=st.sampled_from(ACCOUNTS))
    def place_poison(self, kind: str, account: str) -> None:
        bad = poison(account, -1)[kind]
        self.poisoned.add(bad.value)
        self._append(bad)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.log.append([data.draw(st.sampled_from(self.sent))])

    def _next(self, account: str) -> int:
        self.placed[account].append(self.number)
        self.number += 1
        return self.number - 1

    def _append(self, record: OutRecord) -> None:
        self.sent.append(record)
        self.log.append([record])

    # What the world does.

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.05, 3.0]))
    def go_on(self, seconds: float) -> None:
        self.play(asyncio.sleep(seconds))

    @rule()
    def rebalance(self) -> None:
        self.play(self.log.rebalance(GROUP))

    @rule(when=st.sampled_from(["begin", "commit", None]))
    def store_goes_down_or_up(self, when: str | None) -> None:
        self.store.down = when

    @rule(down=st.booleans())
    def log_goes_down_or_up(self, down: bool) -> None:
        self.log.down = down

    @rule(point=st.sampled_from(PASSED), nth=st.integers(1, 3), seconds=st.sampled_from([0.05, 3]))
    def crash(self, point: str, nth: int, seconds: float) -> None:
        left = [nth]

        def hook(passed: str) -> None:
            left[0] -= passed == point
            if self._crashed or left[0] == 0:
                self._kill()
                raise Crash(point)

        failpoint.install(hook)
        self.play(asyncio.sleep(seconds))
        failpoint.install(None)
        if self._crashed:
            self.play(self._bury())

    def _kill(self) -> None:
        self._crashed = True
        for task in asyncio.all_tasks(self.loop):
            if task.get_name() != "world" and task is not asyncio.current_task(self.loop):
                task.cancel()

    async def _bury(self) -> None:
        await asyncio.sleep(0.1)  # the cancelled tasks end
        self.log.lose_members(GROUP)
        self._crashed = False
        was_down, self.log.down = self.log.down, False
        await self._start()
        self.log.down = was_down

    # What must hold at any time.

    @invariant()
    def effects_are_what_was_placed_in_order_and_once(self) -> None:
        for account, booked in self.store.effects.items():
            good = [n for n in self.placed[account] if n not in self.desk.doomed]
            assert booked == good[: len(booked)]

    @invariant()
    def events_are_effects_in_order_once_duplicates_are_skipped(self) -> None:
        for account, told in self._told().items():
            assert told == self.store.effects[account][: len(told)]

    @invariant()
    def what_is_committed_is_applied_or_buried(self) -> None:
        buried = {letter.value for letter in self._records(DLQ)}
        committed = self.log.group(GROUP).committed
        for record in self._records(PLACED.name):
            if record.offset < committed.get(record.source, 0):
                assert record.value in buried or self._is_applied(record)

    @invariant()
    def only_what_cannot_be_done_is_buried(self) -> None:
        for letter in self._records(DLQ):
            assert letter.value in self.poisoned or _number(letter) in self.desk.doomed

    def teardown(self) -> None:
        """In the end, with everything up again, all is done."""
        failpoint.install(None)
        if not hasattr(self, "service"):
            self.loop.close()
            return
        self.store.down, self.log.down = None, False
        self.play(self._until_quiet())
        self.play(self.service.stop(Deadline(5)))
        for account, placed in self.placed.items():
            good = [n for n in placed if n not in self.desk.doomed]
            assert self.store.effects.get(account, []) == good
        assert self._told() == self.store.effects
        buried = {letter.value for letter in self._records(DLQ)}
        doomed = {order(account, n).value for account, n in self._doomed()}
        assert buried == doomed | self.poisoned
        self.loop.close()

    async def _until_quiet(self) -> None:
        async with asyncio.timeout(600):
            while self.store.unpublished or not self._all_committed():
                assert await self.service.checks["consumer"]()
                assert await self.service.checks["relay"]()
                await asyncio.sleep(0.1)

    def _all_committed(self) -> bool:
        committed = self.log.group(GROUP).committed
        return all(
            committed.get(item, 0) == len(self.log.records[item])
            for item in self.log.partitions(PLACED.name)
        )

    def _doomed(self) -> list[tuple[str, int]]:
        return [
            (account, n)
            for account, placed in self.placed.items()
            for n in placed
            if n in self.desk.doomed
        ]

    def _records(self, topic: str) -> list[Record]:
        return [record for item in self.log.partitions(topic) for record in self.log.records[item]]

    def _told(self) -> dict[str, list[int]]:
        """Bookings per account as a reader with an inbox takes them."""
        told: dict[str, list[int]] = {}
        seen: set[str] = set()
        for record in self._records(BOOKED.name):
            item = decode(_TOPICS, record)
            assert isinstance(item.event, OrderBooked)
            if item.envelope.id not in seen:
                seen.add(item.envelope.id)
                told.setdefault(item.event.account, []).append(item.event.number)
        return told

    def _is_applied(self, record: Record) -> bool:
        event = decode(_TOPICS, record).event
        assert isinstance(event, OrderPlaced)
        return event.number in self.store.effects.get(event.account, [])


def _number(letter: Record) -> int:
    """The order's number in a dead letter that is no poison."""
    return OrderPlaced.model_validate_json(letter.value or b"").number


TestDelivery = pytest.mark.timeout(600)(World.TestCase)
TestDelivery.settings = settings(
    max_examples=250,
    stateful_step_count=50,
    derandomize=True,
    deadline=None,
    database=None,
)
