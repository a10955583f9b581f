"""Background loops, components that close, and the deadline they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from runtime import crash
from runtime.deadline import Deadline
from runtime.tasks import Background, Closing, Periodic, wait_for

pytestmark = pytest.mark.asyncio
PATIENCE = 30  # seconds that no step of these takes, however busy the machine is


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not so():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)


async def test_time_left_shrinks_and_is_never_negative() -> None:
    deadline, short = Deadline(30), Deadline(0.05)
    first = deadline.left
    await asyncio.sleep(0.1)
    assert 0 < deadline.left < first <= 30
    assert short.left == 0.0


async def test_waiting_shares_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("runtime.deadline.time", SimpleNamespace(monotonic=lambda: now))
    deadline = Deadline(60)
    assert await deadline.wait(asyncio.sleep(0.01, "done")) == "done"
    now = 59.9
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await deadline.wait(asyncio.sleep(120))
    assert time.monotonic() - started < PATIENCE  # a tenth of a second was left


async def test_what_is_waited_for_too_long_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(10))
    with pytest.raises(TimeoutError):
        await Deadline(0).wait(task)
    assert task.cancelled()


def is_running(task: Background) -> bool:
    """Asked anew each time, which the type checker cannot know of a property."""
    return task.running


async def test_a_background_task_runs_until_it_is_asked_to_stop() -> None:
    rounds = 0

    async def body(stopping: asyncio.Event) -> None:
        nonlocal rounds
        while not await wait_for(stopping, 0.001):
            rounds += 1

    task = Background("counting", body)
    assert not is_running(task)
    await task.start()
    await until(lambda: rounds > 1)
    assert is_running(task)
    await task.stop(Deadline(PATIENCE))
    assert not is_running(task)


async def test_a_stopped_task_can_start_again() -> None:
    started = 0

    async def body(stopping: asyncio.Event) -> None:
        nonlocal started
        started += 1
        await stopping.wait()

    task = Background("again", body)
    for _ in range(2):
        await task.start()
        await asyncio.sleep(0)
        await task.stop(Deadline(PATIENCE))
    assert started == 2


async def test_a_crash_is_reported_by_name() -> None:
    async def body(_: asyncio.Event) -> None:
        raise RuntimeError("it broke")

    died: list[str] = []
    task = Background("the relay", body)
    with crash.listening(died.append):
        await task.start()
        await until(lambda: not task.running)
    assert died == ["the relay"]
    await task.stop(Deadline(PATIENCE))


async def test_an_orderly_end_is_no_crash() -> None:
    async def body(stopping: asyncio.Event) -> None:
        await stopping.wait()

    died: list[str] = []
    task = Background("the relay", body)
    with crash.listening(died.append):
        await task.start()
        await task.stop(Deadline(PATIENCE))
    assert died == []


async def test_who_no_longer_listens_hears_nothing() -> None:
    died: list[str] = []
    with crash.listening(died.append):
        crash.report("one")
    crash.report("two")
    assert died == ["one"]


async def test_a_task_that_does_not_end_is_cancelled_at_the_deadline() -> None:
    cancelled = asyncio.Event()

    async def body(_: asyncio.Event) -> None:
        try:
            await asyncio.sleep(120)
        finally:
            cancelled.set()

    died: list[str] = []
    task = Background("stuck", body)
    await task.start()
    await asyncio.sleep(0)
    started = time.monotonic()
    with crash.listening(died.append):
        await task.stop(Deadline(0.05))
    assert 0.04 < time.monotonic() - started < PATIENCE
    assert cancelled.is_set()
    assert not task.running
    assert died == []


async def test_stopping_what_never_started_is_no_error() -> None:
    async def body(stopping: asyncio.Event) -> None:
        await stopping.wait()

    await Background("never", body).stop(Deadline(0))


async def test_waiting_for_an_event_tells_whether_it_came() -> None:
    event = asyncio.Event()
    assert not await wait_for(event, 0.01)
    event.set()
    assert await wait_for(event, 0.01)


async def test_closing_has_a_second_even_past_the_deadline() -> None:
    closed: list[str] = []

    async def close() -> None:
        await asyncio.sleep(0)
        closed.append("pool")

    component = Closing(close)
    await component.start()
    assert closed == []
    await component.stop(Deadline(0))
    assert closed == ["pool"]


async def test_closing_gives_up() -> None:
    with pytest.raises(TimeoutError):
        await Closing(lambda: asyncio.sleep(60)).stop(Deadline(0))


async def test_a_periodic_action_begins_at_once_and_outlives_what_is_expected() -> None:
    turns = 0

    async def action() -> None:
        nonlocal turns
        turns += 1
        raise ConnectionError("down")

    died: list[str] = []
    periodic = Periodic("meter", 0.01, action, (ConnectionError,))
    with crash.listening(died.append):
        await periodic.start()
        await until(lambda: turns >= 3)
        assert await periodic.healthy()
        await periodic.stop(Deadline(PATIENCE))
    assert died == []
    assert not await periodic.healthy()


async def test_a_periodic_action_dies_of_what_is_not_expected() -> None:
    async def action() -> None:
        raise LookupError("a defect")

    died: list[str] = []
    periodic = Periodic("meter", 0.01, action, (ConnectionError,))
    with crash.listening(died.append):
        await periodic.start()
        await until(lambda: bool(died))
    assert died == ["meter"]
    assert not await periodic.healthy()


async def test_a_periodic_action_does_not_wait_out_its_time_to_stop() -> None:
    turns = 0

    async def action() -> None:
        nonlocal turns
        turns += 1

    periodic = Periodic("meter", 120, action)
    await periodic.start()
    await until(lambda: turns == 1)
    started = time.monotonic()
    await periodic.stop(Deadline(120))
    assert time.monotonic() - started < PATIENCE
    assert turns == 1


async def test_what_ignores_its_cancellation_is_left_behind() -> None:
    go_on = asyncio.Event()

    async def body(_: asyncio.Event) -> None:
        while not go_on.is_set():
            try:
                await asyncio.wait_for(go_on.wait(), 120)
            except asyncio.CancelledError:
                continue

    task = Background("deaf", body)
    await task.start()
    await asyncio.sleep(0)
    started = time.monotonic()
    await task.stop(Deadline(0))
    assert time.monotonic() - started < PATIENCE
    go_on.set()
    await until(lambda: not task.running)
