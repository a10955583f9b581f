"""What to do with a record whose processing failed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

from bus.errors import Permanent, Poison, Transient, Unavailable


class Action(Enum):
    """``WAIT`` spends no attempt, ``RETRY`` spends one, ``REJECT`` sends the record to the DLQ."""

    WAIT = "wait"
    RETRY = "retry"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An action, its delay in seconds, and the stable reason code that goes on a dead letter."""

    action: Action
    delay: float
    reason: str


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    The delay before attempt n+1 is drawn from
    [0, min(cap, base * 2**n)] (Brooker, "Exponential Backoff And Jitter", AWS 2015).

    Past ``halt_ratio``, the share of rejected ones among the last records, the consumer halts; 1
    is never.
    """

    attempts: int = 5
    base: float = 0.1
    cap: float = 10.0
    halt_ratio: float = 0.5
    rng: random.Random = field(default_factory=random.Random, compare=False)

    def verdict(self, error: BaseException, spent: int) -> Verdict:
        """Judge a failure after ``spent`` earlier attempts of the same record."""
        if isinstance(error, Poison):
            return Verdict(Action.REJECT, 0, error.reason)
        if isinstance(error, Permanent):
            return Verdict(Action.REJECT, 0, "permanent")
        if isinstance(error, Unavailable):
            return Verdict(Action.WAIT, self._delay(error, spent), "unavailable")
        if spent + 1 < self.attempts:
            return Verdict(Action.RETRY, self._delay(error, spent), "transient")
        known = isinstance(error, Transient)
        return Verdict(Action.REJECT, 0, "attempts-exhausted" if known else "unexpected")

    def _delay(self, error: BaseException, spent: int) -> float:
        if isinstance(error, Transient) and error.retry_after is not None:
            return error.retry_after
        return self.rng.uniform(0, min(self.cap, self.base * 2.0 ** min(spent, 30)))
