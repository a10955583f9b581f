"""Circuit breaker of a lane, on purgatory's state machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from purgatory.domain.model import CLOSED, OPENED, Context, HalfOpenedState

from llm_executor.domain.lane import BreakerState


class _ProviderFailed(Exception):
    """What the state machine is told of a failure; it wants an exception."""


class PurgatoryBreaker:
    """Opens after ``failures`` in a row, for ``seconds``; then one call decides.

    With 20 in a row, a provider that fails 60 % of its calls at random opens it at one call in
    27,000 (0.6**20), and one that is down opens it at once under load. (Nygard, Release It!, 2007)
    """

    def __init__(
        self,
        name: str,
        failures: int = 20,
        seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` in seconds: the library's own is the wall clock, which may be set."""
        self._context = Context(name, failures, seconds)
        self._seconds = seconds
        self._clock = clock
        self._opened_at = clock()

    def state(self) -> BreakerState:
        """``open`` becomes ``half-open`` when its time is over, without any call."""
        state = self._context.state
        if state == CLOSED:
            return "closed"
        if state == OPENED:
            if self._left() > 0:
                return "open"
            self._context.set_state(HalfOpenedState())
            self._context.messages.clear()
        return "half-open"

    def seconds_open(self) -> float:
        """Seconds until it is half-open; 0 unless it is open."""
        return self._left() if self.state() == "open" else 0.0

    def succeeded(self) -> None:
        """The provider lives. Says nothing while open: that call began before."""
        if self.state() != "open":
            self._context.handle_end_request()
            self._context.messages.clear()  # they would pile up: nobody else reads them

    def failed(self) -> None:
        """The provider failed. Says nothing while open: that call began before."""
        if self.state() == "open":
            return
        self._context.handle_exception(_ProviderFailed())
        self._context.messages.clear()
        if self._context.state == OPENED:
            self._opened_at = self._clock()

    def _left(self) -> float:
        return self._opened_at + self._seconds - self._clock()
