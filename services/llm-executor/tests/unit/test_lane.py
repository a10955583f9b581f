"""Seats of a lane: who may call when, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.lane import BreakerState, Lane, Seat
from llm_executor.domain.models import LaneLimits

OPEN_SECONDS = 10.0


class JumpingSelector(selectors.SelectSelector):
    """Instead of sleeping until the next timer, it is that time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everything waits, and nothing will happen"
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test runs in virtual time."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*arguments, **named))

    return run


class CountingBreaker:
    """Opens after three failures in a row."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None

    def state(self) -> BreakerState:
        if self._opened is None:
            return "closed"
        return "open" if self.seconds_open() > 0 else "half-open"

    def seconds_open(self) -> float:
        return 0.0 if self._opened is None else max(0, self._opened + OPEN_SECONDS - self._clock())

    def succeeded(self) -> None:
        self._failures = 0
        self._opened = None

    def failed(self) -> None:
        self._failures += 1
        if self._opened is not None or self._failures == 3:
            self._opened = self._clock()


def lane_of(concurrency: int = 3, requests: int | None = None, tokens: int | None = None) -> Lane:
    clock = asyncio.get_running_loop().time
    limits = LaneLimits(concurrency, requests, tokens)
    return Lane("acme/gpt-5", limits, CountingBreaker(clock), clock)


def failure(kind: str, retry_after: float | None = None, *, billed: bool = False) -> CallFailed:
    return CallFailed(kind, f"it said {kind}", retry_after=retry_after, billed=billed)


DOWN = failure("server-error")
REJECTED = failure("rate-limited")
REFUSED = failure("bad-request")


def goes_at_once(seat: Seat, tokens: int = 1, *, or_refuse: bool = False) -> bool:
    """Whether ``take`` came back without suspending; if not, it is given up."""
    taking = seat.take(tokens, or_refuse=or_refuse)
    try:
        taking.send(None)
    except StopIteration:
        return True
    taking.close()
    return False


def calling(lane: Lane, tokens: int = 1) -> Seat:
    seat = lane.book()
    assert goes_at_once(seat, tokens)
    return seat


class Takers:
    """Seats that wait in tasks; ``went`` are those whose turn has come, in that order."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.went: list[str] = []
        self.times: list[float] = []
        self.refused: list[str] = []
        self.seats: dict[str, Seat] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def waits(self, *names: str, tokens: int = 1, or_refuse: bool = False) -> None:
        for name in names:
            seat = self.seats[name] = self.seats.get(name) or self.lane.book()
            self.tasks[name] = asyncio.ensure_future(self._take(name, seat, tokens, or_refuse))
        await settled()

    async def _take(self, name: str, seat: Seat, tokens: int, or_refuse: bool) -> None:
        try:
            await seat.take(tokens, or_refuse=or_refuse)
        except CallFailed:
            self.refused.append(name)
        else:
            self.went.append(name)
            self.times.append(asyncio.get_running_loop().time() - 1000)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def opened(lane: Lane) -> None:
    for seat in [calling(lane) for _ in range(3)]:
        seat.failed(DOWN)
        seat.close()
    assert breaker(lane) == "open"


def breaker(lane: Lane) -> str:
    return lane.breaker_state


def counts(lane: Lane) -> tuple[int, int, int]:
    return lane.booked, lane.waiting, lane.calling


@virtual
async def test_seats_count_from_booking_to_the_end_of_the_call() -> None:
    lane = lane_of(3)
    assert (lane.room(), lane.limit) == (3, 3)
    seat = lane.book()
    assert (lane.room(), counts(lane)) == (2, (1, 0, 0))
    assert goes_at_once(seat)
    assert (lane.room(), counts(lane)) == (2, (0, 0, 1))
    seat.failed(REFUSED)
    assert (lane.room(), counts(lane)) == (3, (0, 0, 0))
    assert goes_at_once(seat)
    seat.succeeded(None)
    assert (lane.room(), counts(lane)) == (3, (0, 0, 0))
    seat.close()
    seat.close()
    assert (lane.room(), counts(lane)) == (3, (0, 0, 0))


@virtual
async def test_room_is_never_negative() -> None:
    lane = lane_of(2)
    for _ in range(5):
        lane.book()
    assert lane.room() == 0
    assert lane.wakes_in() is None


@virtual
async def test_turns_come_in_order_and_retries_queue_like_others() -> None:
    lane = lane_of(1)
    first = calling(lane)
    takers = Takers(lane)
    await takers.waits("a", "b", "c")
    assert (takers.went, lane.waiting) == ([], 3)
    first.failed(REFUSED)
    takers.seats["first"] = first
    await takers.waits("first")
    for seat in "a", "b", "c":
        assert takers.went[-1] == seat
        takers.seats[seat].succeeded(None)
        await settled()
    assert takers.went == ["a", "b", "c", "first"]


@virtual
async def test_requests_per_minute_are_spread_and_bound_the_room() -> None:
    lane = lane_of(10, requests=120)
    takers = Takers(lane)
    assert lane.room() == 2
    await takers.waits(*"abcdef")
    assert lane.room() == 0
    assert lane.wakes_in() == pytest.approx(0.5)
    await asyncio.gather(*takers.tasks.values())
    assert takers.went == [*"abcdef"]
    assert takers.times == pytest.approx([0, 0, 0.5, 1, 1.5, 2], abs=0.01)


@virtual
async def test_booked_seats_have_their_requests_kept_for_them() -> None:
    lane = lane_of(10, requests=120)
    lane.book()
    assert lane.room() == 1
    lane.book()
    assert lane.room() == 0
    assert lane.wakes_in() is None


@virtual
async def test_room_that_time_brings_is_foretold() -> None:
    lane = lane_of(10, requests=120)
    calling(lane)
    calling(lane)
    assert lane.room() == 0
    wait = lane.wakes_in()
    assert wait == pytest.approx(0.5)
    assert wait is not None
    await asyncio.sleep(wait)
    assert lane.room() == 1
    assert lane.wakes_in() == pytest.approx(0.5)
    await asyncio.sleep(60)
    assert lane.room() == 2
    assert lane.wakes_in() is None  # it holds no more than that


@virtual
async def test_tokens_are_settled_when_their_number_is_known() -> None:
    lane = lane_of(10, tokens=6000)
    calling(lane, tokens=100).succeeded(20)
    calling(lane, tokens=80).succeeded(180)  # 100 more than was there
    assert lane.room() == 0
    assert lane.wakes_in() == pytest.approx(1.01)
    takers = Takers(lane)
    await takers.waits("a", tokens=50)
    await takers.tasks["a"]
    assert takers.times == pytest.approx([1.5], abs=0.01)


@pytest.mark.parametrize(("billed", "waits"), [(False, False), (True, True)])
@virtual
async def test_tokens_of_a_failed_attempt_come_back_unless_it_is_billed(
    billed: bool, waits: bool
) -> None:
    lane = lane_of(10, tokens=6000)
    calling(lane, tokens=100).failed(failure("timed-out", billed=billed))
    assert goes_at_once(lane.book(), tokens=90) is not waits


@virtual
async def test_one_rejected_call_does_not_stop_the_others() -> None:
    lane = lane_of(3)
    calling(lane).failed(failure("rate-limited", retry_after=30))
    assert lane.room() == 3
    assert goes_at_once(lane.book())


@virtual
async def test_a_lane_whose_calls_are_mostly_rejected_pauses_as_long_as_it_is_told() -> None:
    lane = lane_of(3)
    for _ in range(18):
        calling(lane).failed(failure("overloaded", retry_after=None))
    assert lane.room() > 0
    calling(lane).failed(failure("rate-limited", retry_after=30))
    assert lane.room() == 0
    assert lane.wakes_in() == pytest.approx(30)
    takers = Takers(lane)
    await takers.waits("a")
    assert takers.went == []
    await takers.tasks["a"]
    assert takers.times == pytest.approx([30], abs=0.01)


@virtual
async def test_rejections_lower_the_limit() -> None:
    lane = lane_of(8)
    for _ in range(40):
        seats = [calling(lane) for _ in range(lane.room())]
        await asyncio.sleep(0.2)
        for seat in seats:
            seat.failed(REJECTED)
    assert lane.limit < 8


@virtual
async def test_an_open_breaker_refuses_those_who_do_not_want_to_wait() -> None:
    lane = lane_of(3)
    opened(lane)
    assert lane.room() == 0
    assert lane.wakes_in() == pytest.approx(OPEN_SECONDS)
    seat = lane.book()
    with pytest.raises(CallFailed) as caught:
        await seat.take(1, or_refuse=True)
    assert caught.value.kind == "breaker-open"
    assert caught.value.retry_after == pytest.approx(OPEN_SECONDS)
    assert counts(lane) == (0, 0, 0)


@virtual
async def test_an_opening_refuses_those_who_wait_already() -> None:
    lane = lane_of(1)
    calling(lane).failed(DOWN)
    calling(lane).failed(DOWN)
    third = calling(lane)
    takers = Takers(lane)
    await takers.waits("a", "c", or_refuse=True)
    await takers.waits("b")
    third.failed(DOWN)
    await settled()
    assert (takers.went, takers.refused) == ([], ["a", "c"])
    assert counts(lane) == (0, 1, 0)


@virtual
async def test_a_failed_probe_refuses_some_and_lets_others_wait_on() -> None:
    lane = lane_of(3)
    opened(lane)
    await asyncio.sleep(OPEN_SECONDS)
    takers = Takers(lane)
    probe = calling(lane)
    await takers.waits("a", or_refuse=True)
    await takers.waits("b")
    assert lane.waiting == 2
    probe.failed(DOWN)
    await settled()
    assert takers.refused == ["a"]
    assert counts(lane) == (0, 1, 0)
    await takers.tasks["b"]
    assert takers.times == pytest.approx([2 * OPEN_SECONDS], abs=0.01)


@virtual
async def test_a_half_open_breaker_has_room_for_one_probe() -> None:
    lane = lane_of(3)
    opened(lane)
    await asyncio.sleep(OPEN_SECONDS)
    assert (breaker(lane), lane.room()) == ("half-open", 1)
    seat = lane.book()
    assert lane.room() == 0
    assert goes_at_once(seat)
    assert lane.room() == 0
    assert lane.wakes_in() is None
    assert not goes_at_once(lane.book())
    seat.succeeded(None)
    assert (breaker(lane), lane.room()) == ("closed", 3)


@virtual
async def test_a_probe_that_succeeds_lets_all_go() -> None:
    lane = lane_of(3)
    opened(lane)
    takers = Takers(lane)
    await takers.waits("a", "b", "c")
    await asyncio.sleep(OPEN_SECONDS)
    assert takers.went == ["a"]
    takers.seats["a"].succeeded(None)
    await settled()
    assert takers.went == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["close", "reject"])
@virtual
async def test_a_probe_that_tells_nothing_is_handed_on(end: str) -> None:
    lane = lane_of(3)
    opened(lane)
    takers = Takers(lane)
    await takers.waits("a", "b", "c")
    await asyncio.sleep(OPEN_SECONDS)
    if end == "close":
        takers.seats["a"].close()
    else:
        takers.seats["a"].failed(REJECTED)
    await settled()
    assert takers.went == ["a", "b"]
    assert (breaker(lane), lane.calling) == ("half-open", 1)


@virtual
async def test_a_probe_that_is_cancelled_before_it_knows_is_handed_on() -> None:
    lane = lane_of(3)
    opened(lane)
    takers = Takers(lane)
    await takers.waits("a", "b", "c")
    await asyncio.sleep(OPEN_SECONDS)
    takers.seats["a"].close()  # the probe is b's now
    takers.tasks["b"].cancel()
    await settled()
    assert takers.went == ["a", "c"]
    assert (breaker(lane), lane.calling, lane.waiting) == ("half-open", 1, 0)


@virtual
async def test_a_refused_request_shows_that_the_provider_lives() -> None:
    lane = lane_of(3)
    calling(lane).failed(DOWN)
    calling(lane).failed(DOWN)
    calling(lane).failed(REFUSED)
    calling(lane).failed(DOWN)
    assert breaker(lane) == "closed"


@virtual
async def test_calls_from_before_the_opening_are_no_news() -> None:
    lane = lane_of(6)
    old, older = calling(lane), calling(lane)
    opened(lane)
    old.succeeded(None)
    assert breaker(lane) == "open"
    await asyncio.sleep(OPEN_SECONDS)
    probe = calling(lane)
    older.failed(DOWN)
    assert breaker(lane) == "half-open"
    probe.succeeded(None)
    assert breaker(lane) == "closed"


@virtual
async def test_a_cancelled_wait_leaves_the_queue() -> None:
    lane = lane_of(1)
    first = calling(lane)
    takers = Takers(lane)
    await takers.waits("a", "b")
    takers.tasks["a"].cancel()
    await settled()
    assert counts(lane) == (0, 1, 1)
    first.close()
    await settled()
    assert takers.went == ["b"]


@virtual
async def test_a_turn_that_comes_to_a_cancelled_seat_goes_to_the_next() -> None:
    lane = lane_of(1, requests=60_000, tokens=6_000_000)
    first = calling(lane, tokens=0)
    takers = Takers(lane)
    await takers.waits("a", "b", tokens=100_000)
    assert lane.wakes_in() is None
    first.close()  # the turn of a, which does not know yet
    takers.tasks["a"].cancel()
    await settled()
    assert takers.went == ["b"]
    takers.seats["b"].failed(REFUSED)
    assert counts(lane) == (0, 0, 0)
    assert goes_at_once(lane.book(), tokens=99_000)  # a gave back what it had taken


@virtual
async def test_a_seat_that_is_closed_while_it_waits_is_gone() -> None:
    lane = lane_of(1)
    first = calling(lane)
    takers = Takers(lane)
    await takers.waits("a")
    takers.seats["a"].close()
    await settled()
    assert takers.tasks["a"].cancelled()
    first.close()
    assert counts(lane) == (0, 0, 0)


@virtual
async def test_a_call_that_is_given_up_says_nothing_about_the_provider() -> None:
    lane = lane_of(3)
    calling(lane).failed(DOWN)
    calling(lane).failed(DOWN)
    for _ in range(5):
        calling(lane).close()
    assert breaker(lane) == "closed"
    calling(lane).failed(DOWN)  # the third in a row: closing was no sign of life either
    assert breaker(lane) == "open"


@virtual
async def test_whoever_fills_the_lane_hears_of_room() -> None:
    lane = lane_of(2)
    heard: list[int] = []
    lane.on_room = lambda: heard.append(lane.room())
    seats = [calling(lane), calling(lane)]
    assert heard == []
    seats[0].succeeded(None)
    seats[1].failed(REFUSED)
    assert heard == [1, 2]
    lane.book().close()
    assert heard == [1, 2, 2]


@virtual
async def test_a_seat_makes_one_attempt_at_a_time() -> None:
    lane = lane_of(2)
    seat = lane.book()
    with pytest.raises(RuntimeError, match="booked has no attempt"):
        seat.succeeded(None)
    assert goes_at_once(seat)
    with pytest.raises(RuntimeError, match="calling cannot take"):
        await seat.take(1, or_refuse=False)
    seat.close()
    with pytest.raises(RuntimeError, match="closed cannot take"):
        await seat.take(1, or_refuse=False)


@virtual
async def test_thousands_wait_and_all_are_served() -> None:
    lane = lane_of(10)
    served = 0

    async def one(number: int) -> None:
        nonlocal served
        seat = lane.book()
        try:
            await seat.take(1, or_refuse=False)
            await asyncio.sleep(0.01)
            seat.succeeded(None)
            served += 1
        finally:
            seat.close()

    tasks = [asyncio.ensure_future(one(number)) for number in range(3000)]
    await settled()
    for task in tasks[5::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == len(tasks) - len(tasks[5::3])
    assert counts(lane) == (0, 0, 0)


class LaneMachine(RuleBasedStateMachine):
    """Any order of bookings, turns, ends, cancellations and time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.booked: list[Seat] = []
        self.resting: list[Seat] = []
        self.calling: list[Seat] = []
        self.queue: list[asyncio.Task[None]] = []
        self.was_calling = 0

    @initialize(
        concurrency=st.integers(1, 6),
        requests=st.sampled_from([None, 60, 600]),
        tokens=st.sampled_from([None, 6000]),
    )
    def begin(self, concurrency: int, requests: int | None, tokens: int | None) -> None:
        async def made() -> Lane:
            return lane_of(concurrency, requests, tokens)

        self.lane = self.loop.run_until_complete(made())
        self.tokens_count = tokens is not None
        self.allowed = concurrency

    def settle(self, seconds: float = 0) -> None:
        async def pass_time() -> None:
            await asyncio.sleep(seconds)
            await settled()

        self.loop.run_until_complete(pass_time())

    @rule(number=st.integers(1, 4))
    def book(self, number: int) -> None:
        self.booked += [self.lane.book() for _ in range(number)]

    @rule(tokens=st.integers(0, 200), or_refuse=st.booleans(), retry=st.booleans())
    def take(self, tokens: int, or_refuse: bool, retry: bool) -> None:
        source = self.resting if retry and self.resting else self.booked
        if not source:
            return
        task = self.loop.create_task(self._take(source.pop(0), tokens, or_refuse))
        self.queue.append(task)
        self.settle()

    async def _take(self, seat: Seat, tokens: int, or_refuse: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await seat.take(tokens, or_refuse=or_refuse)
        except CallFailed:
            assert or_refuse
            self.queue.remove(task)
            self.resting.append(seat)
        except asyncio.CancelledError:
            self.resting.append(seat)
            raise
        else:
            assert self.queue.pop(0) is task  # first come, first served
            self.calling.append(seat)

    @precondition(lambda self: self.calling)
    @rule(
        number=st.integers(0, 5),
        end=st.sampled_from([None, None, "server-error", "rate-limited", "bad-request"]),
        retry_after=st.sampled_from([None, 5.0, 500.0]),
        tokens=st.none() | st.integers(0, 400),
    )
    def end(
        self, number: int, end: str | None, retry_after: float | None, tokens: int | None
    ) -> None:
        seat = self.calling.pop(number % len(self.calling))
        if end is None:
            seat.succeeded(tokens)
        else:
            seat.failed(failure(end, retry_after))
        self.resting.append(seat)
        self.settle()

    @precondition(lambda self: self.queue)
    @rule(number=st.integers(0, 5), after_an_end=st.booleans())
    def cancel(self, number: int, after_an_end: bool) -> None:
        if after_an_end and self.calling:
            self.calling.pop(0).close()  # the turn may come to the one that is cancelled
        self.queue.pop(number % len(self.queue)).cancel()
        self.settle()

    @rule(number=st.integers(0, 9))
    def close(self, number: int) -> None:
        for seats in (self.calling, self.booked, self.resting):
            if number < len(seats):
                seat = seats.pop(number)
                seat.close()
                seat.close()
                self.settle()
                return

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, OPEN_SECONDS, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.settle(seconds)

    @rule()
    def as_many_go_at_once_as_there_is_room(self) -> None:
        self.loop.run_until_complete(self._fill())

    async def _fill(self) -> None:
        room = self.lane.room()
        seats = [self.lane.book() for _ in range(room)]
        if room > 0:  # what is booked already goes too
            seats += self.booked
            self.booked = []
        for seat in seats:
            assert goes_at_once(seat, tokens=0)
        self.calling += seats
        if not self.booked and not self.tokens_count:
            one_more = self.lane.book()
            assert not goes_at_once(one_more)
            one_more.close()

    @rule()
    def time_brings_the_room_that_was_foretold(self) -> None:
        wait = self.lane.wakes_in()
        room = self.lane.room()
        if wait is not None and not self.queue:
            self.settle(wait + 0.001)
            assert self.lane.room() > room

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        assert self.lane.room() >= 0
        expected = (len(self.booked), len(self.queue), len(self.calling))
        assert counts(self.lane) == expected

    @invariant()
    def no_call_begins_above_the_limit(self) -> None:
        assert len(self.calling) <= max(self.allowed, self.lane.limit, self.was_calling)
        self.was_calling = len(self.calling)
        self.allowed = self.lane.limit

    def teardown(self) -> None:
        if hasattr(self, "lane"):
            self._everyone_is_served()
            for seat in [*self.calling, *self.booked, *self.resting]:
                seat.close()
            assert counts(self.lane) == (0, 0, 0)
            self.settle(200)
            assert self.lane.room() > 0
        self.loop.close()

    def _everyone_is_served(self) -> None:
        for _ in range(1000):
            while self.calling:
                self.calling.pop().succeeded(None)
            if not self.queue:
                return
            self.settle(1)
        raise AssertionError(f"{len(self.queue)} wait for ever")


TestLaneMachine = LaneMachine.TestCase
TestLaneMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
