"""A lane: the way to one model of one provider, and who may go when."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Literal, Protocol

from llm_executor.domain.errors import Blame, CallFailed
from llm_executor.domain.limits import AdaptiveLimit, Pause, TokenBucket
from llm_executor.domain.models import LaneLimits

BreakerState = Literal["closed", "open", "half-open"]


class Breaker(Protocol):
    """A circuit breaker: no calls to a provider that is down (Nygard, Release It!, 2007)."""

    def state(self) -> BreakerState:
        """``open`` becomes ``half-open`` by time alone."""

    def seconds_open(self) -> float:
        """Seconds until it is half-open; 0 unless it is open."""

    def succeeded(self) -> None:
        """A call showed that the provider lives."""

    def failed(self) -> None:
        """A call showed that it does not."""


class _At(Enum):
    """Where a seat is. It counts in its lane while it is booked, waiting or calling."""

    BOOKED = "booked"
    WAITING = "waiting"
    CALLING = "calling"
    RESTING = "resting"
    CLOSED = "closed"


_BOOKED, _WAITING, _CALLING, _RESTING, _CLOSED = _At


class Seat:
    """The right of one completion to call, one attempt at a time. ``Lane.book`` makes it."""

    __slots__ = ("_lane", "at", "cohort", "era", "or_refuse", "tokens", "turn")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.at = _BOOKED
        self.tokens = 0
        self.or_refuse = False
        self.cohort = 0  # of calls, by which the limit is judged
        self.era = 0  # how often the breaker had opened when the call began
        self.turn: asyncio.Future[bool] | None = None  # True: go; False: refused

    async def take(self, tokens: int, *, or_refuse: bool) -> None:
        """Wait for the turn of an attempt that may use ``tokens``: first come, first served.

        Does not suspend if there is room. ``or_refuse``: an open breaker is not waited for.

        Raises:
            CallFailed: breaker-open; ``retry_after`` seconds are left until it is half-open.
        """
        if self._lane.admitted(self, tokens, or_refuse=or_refuse):
            return
        assert self.turn is not None
        try:
            may_go = await self.turn
        except BaseException:  # cancelled, or thrown away
            self._lane.forgo(self)
            raise
        if not may_go:
            raise self._lane.refusal()

    def succeeded(self, tokens: int | None) -> None:
        """The attempt was answered and used ``tokens``; None: what was estimated."""
        self._lane.answered(self, tokens)

    def failed(self, failure: CallFailed) -> None:
        """The attempt failed. An attempt that is not billed is taken to have used no tokens."""
        self._lane.failed(self, failure)

    def close(self) -> None:
        """Give the seat up, wherever it is; closing again does nothing.

        A call that was begun keeps what it took from the buckets: the provider has counted it.
        """
        self._lane.closed(self)


class Lane:
    """Seats for calls: at once by an adaptive limit, per minute by buckets, none by a breaker.

    A lane belongs to one event loop. ``on_room`` is called when ``room`` may have grown, except by
    time alone (see ``wakes_in``); it must not raise. Only seats call the methods that take a seat.
    """

    def __init__(
        self,
        name: str,
        limits: LaneLimits,
        breaker: Breaker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` in seconds, never backwards."""
        self.name = name
        self.on_room: Callable[[], None] = lambda: None
        self._clock = clock
        self._breaker = breaker
        self._limit = AdaptiveLimit(limits.concurrency, clock=clock)
        self._requests = _bucket(limits.requests_per_minute, clock)
        self._tokens = _bucket(limits.tokens_per_minute, clock)
        self._booked = 0
        self._queue: OrderedDict[Seat, None] = OrderedDict()  # unlike dict: O(1) from the front
        self._pause = Pause(clock)
        self._probe: Seat | None = None
        self._era = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Calls at once that are allowed now."""
        return self._limit.limit

    @property
    def calling(self) -> int:
        """Calls that are being made."""
        return self._limit.calling

    @property
    def waiting(self) -> int:
        """Seats that wait for their turn."""
        return len(self._queue)

    @property
    def booked(self) -> int:
        """Seats that have not asked for their first turn."""
        return self._booked

    @property
    def breaker_state(self) -> BreakerState:
        """The breaker's state now."""
        return self._breaker.state()

    def room(self) -> int:
        """How many seats may be booked now and call without waiting."""
        state = self._breaker.state()
        if self._queue or state == "open" or self._pause.left() > 0:
            return 0
        if self._tokens is not None and self._tokens.seconds_until(1) > 0:
            return 0
        free = self._unused()
        if state == "half-open":
            free = min(free, 1 - self._booked - (self._probe is not None))
        if self._requests is not None:
            free = min(free, self._requests.whole() - self._booked)
        return max(0, free)

    def wakes_in(self) -> float | None:
        """Seconds until ``room`` may grow by time alone; None if only the end of a call helps."""
        if self._queue:
            delay = self._delay(next(iter(self._queue)).tokens)
            return None if delay == math.inf else delay
        room = self.room()
        if room >= self._most_room():
            return None
        delay = max(self._pause.left(), self._breaker.seconds_open())
        if self._requests is not None:
            delay = max(delay, self._requests.seconds_until(self._booked + room + 1))
        if self._tokens is not None:
            delay = max(delay, self._tokens.seconds_until(1))
        return delay if delay > 0 else None

    def book(self) -> Seat:
        """A seat that counts from now on, whether there is room or not."""
        self._booked += 1
        return Seat(self)

    def admitted(self, seat: Seat, tokens: int, *, or_refuse: bool) -> bool:
        """Whether the seat may call at once; else it waits for its ``turn``, or CallFailed."""
        self._come(seat, tokens)
        if not self._queue and self._admit(seat) == 0:
            return True
        if or_refuse and self._breaker.state() == "open":
            self.on_room()
            raise self.refusal()
        seat.at = _WAITING
        seat.or_refuse = or_refuse
        seat.turn = asyncio.get_running_loop().create_future()
        self._queue[seat] = None
        self._serve()
        return False

    def refusal(self) -> CallFailed:
        """What a seat is told that does not wait for an open breaker."""
        seconds = self._breaker.seconds_open()
        return CallFailed(
            "breaker-open",
            f"{self.name} failed too often and is not called for another {seconds:.1f} s",
            retry_after=seconds,
        )

    def answered(self, seat: Seat, tokens: int | None) -> None:
        """Settle an attempt that was answered."""
        self._leave(seat)
        self._settle(seat.tokens if tokens is None else tokens, seat.tokens)
        self._note(seat, rejected=False)
        self._alive(seat)
        self._ended()

    def failed(self, seat: Seat, failure: CallFailed) -> None:
        """Settle an attempt that failed."""
        self._leave(seat)
        self._settle(seat.tokens if failure.billed else 0, seat.tokens)
        if failure.blame is Blame.PROVIDER:
            self._limit.dropped(seat.cohort)
            self._dead(seat)
        else:
            rejected = failure.blame is Blame.LOAD
            self._note(seat, rejected=rejected)
            if rejected:
                self._pause.ask(failure.retry_after, self._limit.floor)
            else:
                self._alive(seat)
        self._ended()

    def closed(self, seat: Seat) -> None:
        """Take the seat out, wherever it is."""
        at, seat.at = seat.at, _CLOSED
        if at in {_RESTING, _CLOSED}:
            return
        if at is _BOOKED:
            self._booked -= 1
        elif at is _WAITING:
            self._queue.pop(seat, None)
            assert seat.turn is not None
            seat.turn.cancel()
        else:
            self._drop(seat)
        self._ended()

    def forgo(self, seat: Seat) -> None:
        """The seat's wait was cancelled, perhaps when its turn had come already."""
        if seat.at is _WAITING:
            self._queue.pop(seat, None)
        elif seat.at is _CALLING:
            self._drop(seat)
            self._settle(0, seat.tokens)
            if self._requests is not None:
                self._requests.give_back(1)
        else:
            return
        seat.at = _RESTING
        self._ended()

    def _come(self, seat: Seat, tokens: int) -> None:
        if seat.at is _BOOKED:
            self._booked -= 1
        elif seat.at is not _RESTING:
            raise RuntimeError(f"a seat that is {seat.at.value} cannot take a turn")
        seat.at = _RESTING
        seat.tokens = tokens

    def _leave(self, seat: Seat) -> None:
        if seat.at is not _CALLING:
            raise RuntimeError(f"a seat that is {seat.at.value} has no attempt to end")
        seat.at = _RESTING
        if self._probe is seat:
            self._probe = None

    def _drop(self, seat: Seat) -> None:
        """A call that will never tell how it ended."""
        self._limit.dropped(seat.cohort)
        if self._probe is seat:
            self._probe = None

    def _unused(self) -> int:
        return self._limit.limit - self._booked - len(self._queue) - self._limit.calling

    def _most_room(self) -> int:
        """What the room would be if time had done all that it can."""
        most = self._unused()
        if self._breaker.state() != "closed":
            most = min(most, 1 - self._booked - (self._probe is not None))
        if self._requests is not None:
            most = min(most, int(self._requests.capacity) - self._booked)
        return most

    def _delay(self, tokens: int) -> float:
        """Seconds until a call may begin: 0 now, infinite if only the end of another helps."""
        if self._limit.calling >= self._limit.limit:
            return math.inf
        delay = self._pause.left()
        state = self._breaker.state()
        if state == "open":
            delay = max(delay, self._breaker.seconds_open())
        elif state == "half-open" and self._probe is not None:
            return math.inf
        if self._requests is not None:
            delay = max(delay, self._requests.seconds_until(1))
        if self._tokens is not None:
            delay = max(delay, self._tokens.seconds_until(tokens))
        return delay

    def _admit(self, seat: Seat) -> float:
        """Begin the seat's call if it may begin now; the delay if not."""
        delay = self._delay(seat.tokens)
        if delay > 0:
            return delay
        seat.at = _CALLING
        seat.era = self._era
        if self._breaker.state() == "half-open":
            self._probe = seat
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(seat.tokens)
        before = self._limit.limit
        seat.cohort = self._limit.started()
        if self._limit.limit > before:
            self.on_room()
        return 0.0

    def _serve(self) -> None:
        """Let seats go from the front, and come back when the next one may go."""
        while self._queue:
            seat = next(iter(self._queue))
            assert seat.turn is not None
            if not seat.turn.done():  # else cancelled just now
                delay = self._admit(seat)
                if delay > 0:
                    self._come_back(seat.turn.get_loop(), delay)
                    return
                seat.turn.set_result(True)
            del self._queue[seat]
        self._forget_timer()

    def _come_back(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        """``_serve`` again after the delay; an infinite one is ended by the end of a call."""
        if delay < math.inf and (self._timer is None or self._timer.when() > loop.time() + delay):
            self._forget_timer()
            self._timer = loop.call_later(delay, self._time_passed)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_passed(self) -> None:
        self._timer = None
        self._ended()

    def _ended(self) -> None:
        """Something changed for the better: first those who wait, then new ones."""
        if self._queue:
            self._serve()
        self.on_room()

    def _settle(self, used: int, estimated: int) -> None:
        if self._tokens is None:
            return
        if used > estimated:
            self._tokens.take(used - estimated)
        elif used < estimated:
            self._tokens.give_back(estimated - used)

    def _note(self, seat: Seat, *, rejected: bool) -> None:
        self._limit.ended(seat.cohort, rejected=rejected)
        self._pause.note(rejected=rejected, recent=self._limit.limit)

    def _alive(self, seat: Seat) -> None:
        if seat.era == self._era:  # what began before the last opening is no news
            self._breaker.succeeded()

    def _dead(self, seat: Seat) -> None:
        if seat.era != self._era:
            return
        self._breaker.failed()
        if self._breaker.state() == "open":
            self._era += 1
            self._refuse()

    def _refuse(self) -> None:
        """Send away those who do not wait for an open breaker."""
        for seat in [seat for seat in self._queue if seat.or_refuse]:
            if seat.turn is not None and not seat.turn.done():
                del self._queue[seat]
                seat.at = _RESTING
                seat.turn.set_result(False)


def _bucket(per_minute: int | None, clock: Callable[[], float]) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute, clock)
