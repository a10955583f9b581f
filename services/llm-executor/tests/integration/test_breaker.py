"""The breaker on purgatory's state machine, alone and in a lane."""

from __future__ import annotations

import asyncio

import pytest
from llm_executor.adapters.breaker import PurgatoryBreaker
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.lane import Breaker, Lane, Seat
from llm_executor.domain.models import LaneLimits

SECONDS = 15.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> PurgatoryBreaker:
    return PurgatoryBreaker("acme/gpt-5", failures=3, seconds=SECONDS, clock=clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_failures_in_a_row_open_it(breaker: PurgatoryBreaker) -> None:
    fail(breaker, 2)
    assert (breaker.state(), breaker.seconds_open()) == ("closed", 0)
    breaker.failed()
    assert (breaker.state(), breaker.seconds_open()) == ("open", SECONDS)


def test_a_success_in_between_starts_the_count_again(breaker: PurgatoryBreaker) -> None:
    for _ in range(10):
        fail(breaker, 2)
        breaker.succeeded()
    assert breaker.state() == "closed"


def test_time_alone_makes_it_half_open(breaker: PurgatoryBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += SECONDS - 1
    assert (breaker.state(), breaker.seconds_open()) == ("open", 1)
    clock.now += 1
    assert (breaker.state(), breaker.seconds_open()) == ("half-open", 0)


def test_one_success_closes_it_and_the_count_begins_anew(
    breaker: PurgatoryBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += SECONDS
    breaker.succeeded()
    assert breaker.state() == "closed"
    fail(breaker, 2)
    assert breaker.state() == "closed"


def test_one_failure_opens_it_again_for_the_whole_time(
    breaker: PurgatoryBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += SECONDS + 100
    breaker.failed()
    assert (breaker.state(), breaker.seconds_open()) == ("open", SECONDS)


def test_ends_while_it_is_open_change_nothing(breaker: PurgatoryBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    breaker.succeeded()
    breaker.failed()
    assert (breaker.state(), breaker.seconds_open()) == ("open", 5)


def test_nothing_piles_up(breaker: PurgatoryBreaker, clock: Clock) -> None:
    for _ in range(50):
        fail(breaker, 3)
        clock.now += SECONDS
        assert breaker.state() == "half-open"
        breaker.succeeded()
    assert breaker._context.messages == []


def test_twenty_in_a_row_open_it_unless_said_otherwise(clock: Clock) -> None:
    breaker = PurgatoryBreaker("acme/gpt-5", clock=clock)
    fail(breaker, 19)
    assert breaker.state() == "closed"
    breaker.failed()
    assert (breaker.state(), breaker.seconds_open()) == ("open", SECONDS)


class Waiters:
    """Seats of a lane whose breaker is open, each in its task."""

    def __init__(self, lane: Lane, number: int) -> None:
        self.went: list[Seat] = []
        self.tasks = [asyncio.create_task(self._one(lane.book())) for _ in range(number)]

    async def _one(self, seat: Seat) -> None:
        await seat.take(1, or_refuse=False)
        self.went.append(seat)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def half_open(clock: Clock, breaker: PurgatoryBreaker) -> tuple[Lane, Waiters]:
    """A lane whose breaker has just become half-open, and fifty seats that want to go."""
    lane = Lane("acme/gpt-5", LaneLimits(concurrency=40), breaker, clock)
    fail(breaker, 3)
    clock.now += SECONDS
    waiters = Waiters(lane, 50)
    await settled()
    return lane, waiters


@pytest.mark.asyncio
async def test_of_many_exactly_one_is_the_probe_and_its_success_lets_the_others_go(
    clock: Clock, breaker: PurgatoryBreaker
) -> None:
    lane, waiters = await half_open(clock, breaker)
    assert (len(waiters.went), lane.calling, lane.waiting) == (1, 1, 49)
    waiters.went[0].succeeded(None)
    await settled()
    assert (lane.breaker_state, lane.calling, lane.waiting) == ("closed", 40, 9)
    for seat in waiters.went[1:]:
        seat.succeeded(None)
    await asyncio.gather(*waiters.tasks)
    assert len(waiters.went) == 50


@pytest.mark.asyncio
async def test_when_the_probe_fails_the_others_wait_on(
    clock: Clock, breaker: PurgatoryBreaker
) -> None:
    lane, waiters = await half_open(clock, breaker)
    waiters.went[0].failed(CallFailed("server-error", "still down"))
    await settled()
    assert (len(waiters.went), lane.breaker_state, lane.waiting) == (1, "open", 49)
    clock.now += SECONDS
    late = lane.book()
    task = asyncio.create_task(late.take(1, or_refuse=False))  # it finds that time has passed
    await settled()
    assert (len(waiters.went), lane.calling, lane.waiting) == (2, 1, 49)
    waiters.went[1].succeeded(None)
    await settled()
    assert lane.breaker_state == "closed"
    for other in [task, *waiters.tasks]:
        other.cancel()
    await settled()
