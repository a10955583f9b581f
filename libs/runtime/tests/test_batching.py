"""Group commit: many callers, one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from runtime.batching import Batching

pytestmark = pytest.mark.asyncio


class Refused(Exception):
    pass


@dataclass
class Writer:
    """Doubles numbers. Writes when it may, and says what it wrote together."""

    batches: list[list[int]] = field(default_factory=list)
    refuse: set[int] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.at_once += 1
        assert self.at_once == 1
        await self.gate.wait()
        self.at_once -= 1
        if self.refuse & set(items):
            raise Refused
        return [2 * item for item in items]


async def begun(tasks: list[asyncio.Task[int]]) -> list[asyncio.Task[int]]:
    """These, as far as they get by themselves."""
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def call(batching: Batching[int, int], *items: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batching(item)) for item in items]


async def test_each_caller_gets_the_result_of_its_item() -> None:
    writer = Writer()
    batching = Batching(writer)
    assert await asyncio.gather(*call(batching, *range(100))) == [2 * n for n in range(100)]
    assert writer.batches == [list(range(100))]
    assert await batching(7) == 14


async def test_the_same_item_of_two_callers_is_written_for_both() -> None:
    writer = Writer()
    assert await asyncio.gather(*call(Batching(writer), 1, 1)) == [2, 2]
    assert writer.batches == [[1, 1]]


async def test_what_arrives_during_a_write_goes_together_in_the_next() -> None:
    writer = Writer()
    batching = Batching(writer)
    writer.gate.clear()
    first = await begun(call(batching, 1))
    later = await begun(call(batching, 2)) + await begun(call(batching, 3, 4))
    assert writer.batches == [[1]]
    writer.gate.set()
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]
    assert writer.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_no_more_than_it_may_have() -> None:
    writer = Writer()
    batching = Batching(writer, most=3)
    assert await asyncio.gather(*call(batching, *range(8))) == [2 * n for n in range(8)]
    assert writer.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_a_failure_is_that_of_every_caller_of_its_batch_and_of_no_other() -> None:
    writer = Writer(refuse={1})
    batching = Batching(writer, most=2)
    results = await asyncio.gather(*call(batching, 0, 1, 2, 3), return_exceptions=True)
    assert [type(result) for result in results] == [Refused, Refused, int, int]
    assert await batching(5) == 10


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
async def test_a_write_with_a_wrong_number_of_results_leaves_nobody_waiting(
    results: list[int],
) -> None:
    async def write(items: Sequence[int]) -> Sequence[int]:
        return results if len(items) == 2 else [0]

    batching = Batching(write, most=2)
    async with asyncio.timeout(30):
        found = await asyncio.gather(*call(batching, 1, 2, 3), return_exceptions=True)
        assert [type(result) for result in found] == [ValueError, ValueError, int]
        assert await batching(4) == 0


async def test_a_write_that_is_cancelled_leaves_nobody_waiting() -> None:
    async def write(items: Sequence[int]) -> Sequence[int]:
        if 1 in items:
            raise asyncio.CancelledError
        return items

    batching = Batching(write, most=2)
    async with asyncio.timeout(30):
        found = await asyncio.gather(*call(batching, 0, 1, 2), return_exceptions=True)
        assert [type(result) for result in found] == [asyncio.CancelledError] * 3
        assert await batching(4) == 4


@pytest.mark.parametrize("when", ["waiting", "writing"])
async def test_a_caller_that_leaves_disturbs_nobody_and_its_item_is_written(when: str) -> None:
    writer = Writer()
    batching = Batching(writer)
    writer.gate.clear()
    before = await begun(call(batching, 0)) if when == "waiting" else []
    leaving, *others = await begun(call(batching, 1, 2, 3))
    leaving.cancel()
    await begun([])
    assert leaving.cancelled()
    writer.gate.set()
    assert await asyncio.gather(*before, *others) == [*([0] * len(before)), 4, 6]
    assert writer.batches[-1] == [1, 2, 3]


async def test_a_failure_that_no_caller_waits_for_is_nobodys() -> None:
    writer = Writer(refuse={1})
    batching = Batching(writer)
    writer.gate.clear()
    (leaving,) = await begun(call(batching, 1))
    leaving.cancel()
    writer.gate.set()
    await begun([])
    assert await batching(2) == 4


async def test_it_waits_a_little_for_company() -> None:
    writer = Writer()
    batching = Batching(writer, linger=1)
    first = await begun(call(batching, 1))
    assert writer.batches == []
    assert await asyncio.gather(*first, *call(batching, 2)) == [2, 4]
    assert writer.batches == [[1, 2]]


async def test_it_does_not_wait_when_the_batch_is_full() -> None:
    writer = Writer()
    batching = Batching(writer, most=2, linger=3600)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*call(batching, 1, 2)) == [2, 4]


async def test_nothing_is_lost_among_many_callers() -> None:
    """Callers come, leave and fail at any time."""
    writer = Writer(refuse=set(range(0, 1000, 97)))
    batching = Batching(writer, most=7)
    tasks: list[asyncio.Task[int]] = []
    for n in range(1000):
        tasks += call(batching, n)
        if n % 5 == 0:
            await asyncio.sleep(0)
        if n % 31 == 0:
            tasks[n // 2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    written = [item for batch in writer.batches for item in batch]
    assert written == sorted(set(written))
    for n, task in enumerate(tasks):
        if not task.cancelled() and task.exception() is None:
            assert task.result() == 2 * n
    failed = {n for batch in writer.batches if writer.refuse & set(batch) for n in batch}
    assert {
        n for n, task in enumerate(tasks) if not task.cancelled() and task.exception()
    } <= failed
