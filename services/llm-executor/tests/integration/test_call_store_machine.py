"""The call store in memory and on PostgreSQL do the same, whatever happens in whatever order.

Each lane has one tenant: among several whose turn it is may be chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest
from bus.stores.postgres import Pool, connect
from call_store_kit import LONG, Kit, MemoryKit, PostgresKit, ask, end, request
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from llm_executor.domain.models import Ask, Finished, Grant, Key, Queued, Room
from llm_executor.domain.ports import CallStore

T = TypeVar("T")
TENANTS = ["a", "b"]
HOLDERS = st.sampled_from([0, 0, 0, 1])
PARENTS = st.sampled_from([UUID(int=n) for n in (1, 2, 3)])
USD = st.sampled_from(["0.6", "0.3", "0.25", "0", "0.7", "1.1"])
FEW = 12
"""So many completions at most, so that much happens to each of them."""
EMPTY = "TRUNCATE completions, cancellations, budgets, catalogs"


class Compared(RuleBasedStateMachine):
    """Two holders of each backend, told the same."""

    def __init__(self, runner: asyncio.Runner, pool: Pool) -> None:
        super().__init__()
        self._runner = runner
        self.play(pool.execute(EMPTY))
        self.kits: list[Kit] = [MemoryKit(), PostgresKit(pool)]
        self.holders = [[kit.holder(), kit.holder()] for kit in self.kits]
        self.known: list[Queued] = []
        self.asked: dict[tuple[str, UUID], Ask] = {}
        self.granted: dict[Key, Decimal] = {}
        self.finished = 0

    def play(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def both(
        self,
        what: Callable[[CallStore], Coroutine[Any, Any, T]],
        holder: int = 0,
        seen: Callable[[T], Any] = lambda result: result,
    ) -> T:
        """Do it on both; what is seen of the results is the same."""
        results = [self.play(what(holders[holder])) for holders in self.holders]
        assert seen(results[0]) == seen(results[1])
        return results[0]

    def some(self, data: st.DataObject) -> list[Key]:
        keys = [item.key for item in self.known]
        return data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=6, unique=True))

    # What is queued and cancelled.

    @precondition(lambda self: len(self.known) < FEW)
    @rule(
        data=st.data(),
        count=st.integers(1, 4),
        tenant=st.sampled_from(TENANTS),
        parent=PARENTS,
        late=st.sampled_from([False, False, False, True]),
    )
    def accept(
        self, data: st.DataObject, count: int, tenant: str, parent: UUID, late: bool
    ) -> None:
        new = [
            request(
                tenant,
                completion_id=UUID(int=len(self.known) + n),
                lane=f"lane-{tenant}",
                parent_id=parent,
                late=late,
                interactive=data.draw(st.booleans()),
                fallback=data.draw(st.sampled_from([True, False, None])),
                weight=data.draw(st.integers(1, 3)),
            )
            for n in range(count)
        ]
        self.known += new
        again = data.draw(st.lists(st.sampled_from(self.known), max_size=3))
        self.both(lambda store: store.accept([*new, *again]))

    @rule(tenant=st.sampled_from(TENANTS), parents=st.lists(PARENTS, max_size=1))
    def cancel(self, tenant: str, parents: list[UUID]) -> None:
        self.both(lambda store: store.cancel(tenant, parents))

    # What holders do.

    @rule(
        holder=HOLDERS,
        tenant=st.sampled_from(TENANTS),
        total=st.sampled_from([8, 3, 1, 0]),
        kept=st.sampled_from([0, 1, 3]),
        only=st.sampled_from([False, False, True]),
        configured=st.booleans(),
    )
    def claim(
        self, holder: int, tenant: str, total: int, kept: int, only: bool, configured: bool
    ) -> None:
        room = Room(f"lane-{tenant}", total, max(0, total - kept), only, configured)
        self.both(lambda store: store.claim(room, LONG), holder)

    @rule(holder=HOLDERS)
    def claim_ended(self, holder: int) -> None:
        self.both(lambda store: store.claim_ended(1000, LONG), holder, by_key)

    @precondition(lambda self: self.known)
    @rule(holder=HOLDERS, data=st.data(), unknown=st.booleans())
    def release(self, holder: int, data: st.DataObject, unknown: bool) -> None:
        keys = self.some(data)
        self.both(lambda store: store.release(keys, unknown=unknown), holder)

    @precondition(lambda self: self.known)
    @rule(holder=HOLDERS, data=st.data())
    def renew(self, holder: int, data: st.DataObject) -> None:
        keys = self.some(data)
        self.both(lambda store: store.renew(keys, LONG), holder)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def lapse(self, data: st.DataObject) -> None:
        keys = self.some(data)
        for kit in self.kits:
            self.play(kit.lapse(keys))

    @rule(holder=HOLDERS)
    def take_back(self, holder: int) -> None:
        self.both(lambda store: store.take_back(), holder)

    @precondition(lambda self: self.known)
    @rule(holder=HOLDERS, data=st.data())
    def look_for_cancelled(self, holder: int, data: st.DataObject) -> None:
        keys = self.some(data)
        self.both(lambda store: store.cancelled(keys), holder, set)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), limit=st.sampled_from(["1", "1", "1.5"]))
    def reserve(self, data: st.DataObject, limit: str) -> None:
        keys = [*self.some(data), *self.some(data)]
        self._reserve([ask(key, data.draw(USD), limit, budget_of(key)) for key in keys])

    @rule(
        holder=HOLDERS, tenant=st.sampled_from(TENANTS), total=st.sampled_from([5, 2, 1]), usd=USD
    )
    def begin(self, holder: int, tenant: str, total: int, usd: str) -> None:
        """As the dispatcher does: those without money wait again."""
        room = Room(f"lane-{tenant}", total, total)
        claimed = self.both(lambda store: store.claim(room, LONG), holder)
        self._reserve([ask(item.key, usd, "1", budget_of(item.key)) for item in claimed])
        waiting = [item.key for item in claimed if not self.granted[item.key]]
        self.both(lambda store: store.release(waiting, unknown=False), holder)

    def _reserve(self, asks: list[Ask]) -> None:
        answers = self.both(lambda store: store.reserve(asks))
        for each, (grant, _) in zip(asks, answers, strict=True):
            self.asked[each.key.tenant_id, each.budget.budget_id] = each
            granted = each.usd if grant is Grant.GRANTED else Decimal(0)
            self.granted[each.key] = granted

    @precondition(lambda self: self.known)
    @rule(data=st.data(), holder=HOLDERS)
    def record(self, data: st.DataObject, holder: int) -> None:
        """Nothing costs more than was set aside for it."""
        ends = [self._end(key, data) for key in [*self.some(data), *self.some(data)]]
        self.both(lambda store: store.record(ends), holder, set)

    def _end(self, key: Key, data: st.DataObject) -> Finished:
        self.finished += 1
        most = self.granted.get(key, Decimal(0))
        cost = data.draw(st.sampled_from([None, most, most / 2]))
        return end(key, f"answer {self.finished}", cost_usd=cost)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        """As the relay does, which sees finished ones only."""
        for key in self.some(data):
            for kit in self.kits:
                if self.play(kit.stored(key)) is not None:
                    self.play(kit.publish(key))

    # What is the same at any time.

    @invariant()
    def as_much_waits_in_the_same_lanes(self) -> None:
        self.both(lambda store: store.lanes(), seen=sorted)
        self.both(lambda store: store.depth(), seen=lambda depth: depth.waiting)

    @invariant()
    def no_budget_is_overdrawn(self) -> None:
        for each in self.asked.values():
            memory, postgres = (self.play(kit.money(each)) for kit in self.kits)
            assert memory == postgres
            assert min(memory) >= 0
            assert sum(memory) <= Decimal("1.5")  # the highest limit that was ever given

    def teardown(self) -> None:
        for item in self.known:
            memory, postgres = (self.play(seen(kit, item.key)) for kit in self.kits)
            assert memory == postgres


async def seen(kit: Kit, key: Key) -> tuple[Any, bool]:
    return await kit.stored(key), await kit.published(key)


def budget_of(key: Key) -> UUID:
    """A completion draws on one budget all its life."""
    return UUID(int=key.completion_id.int % 8 // 7)


def by_key(claimed: Iterable[Any]) -> dict[Key, Any]:
    return {item.key: item for item in claimed}


@pytest.mark.timeout(600)
def test_memory_and_postgresql_do_the_same(dsn: str) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(connect(dsn, "llm-executor tests", size=2))
        try:
            run_state_machine_as_test(
                lambda: Compared(runner, pool),  # type: ignore[arg-type] # any factory will do
                settings=settings(
                    max_examples=70,
                    stateful_step_count=40,
                    derandomize=True,
                    deadline=None,
                    database=None,
                ),
            )
        finally:
            runner.run(pool.close())
