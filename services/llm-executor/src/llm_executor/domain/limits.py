"""How many calls at once, and how many a minute, a provider is sent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST_SECONDS = 1.0
"""What a bucket holds, in seconds of its rate: providers enforce a minute's quota by the second."""
PAUSE_CAP_SECONDS = 60.0

_COHORT = 20  # calls that a share is judged by, at the least
_COHORT_SECONDS = 2.0  # or a quota by the second shows either all or nothing of itself
_TOLERANCE = 0.05
_MILDEST = 0.7
_SHARPEST = 0.25
_FLOOR_MOST = 0.8
_FLOOR_DECAY = 0.98
_HOLD = 10  # cohorts at the best known limit before more is tried; doubled when that fails
_HOLD_MOST = 20
_SURE = math.log(99)  # errors of 1 %
_POOLED = 4  # cohorts that a doubt is looked at, at the most
_OUTSIDE = 0
_ROUNDING = 1e-3  # of a token: what adding up floats may lose


@dataclass(slots=True)
class _Share:
    """How many calls ended, and how many of them were rejected."""

    count: int = 0
    rejected: int = 0
    cohorts: int = 0

    @property
    def value(self) -> float:
        return self.rejected / self.count

    def within(self, borne: float, errors: float) -> bool:
        """Whether the share is no higher than ``borne`` plus so many standard errors."""
        return self.value <= borne + errors * math.sqrt(borne * (1 - borne) / self.count)

    def plus(self, other: _Share) -> _Share:
        """Both together."""
        return _Share(
            self.count + other.count, self.rejected + other.rejected, self.cohorts + other.cohorts
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    """A lower limit on trial: what the limit was, what of it was in use, and what came of it."""

    limit: int
    used: int
    before: _Share

    def evidence(self, limit: int, since: _Share) -> float:
        """Log-likelihood ratio of "we caused the rejections" against "we did not".

        A quota accepts the same number of calls from fewer, so the share accepted rises as the
        limit falls; rejections that have another cause keep their share. The test is Wald's
        (Sequential Tests of Statistical Hypotheses, 1945).
        """
        same = min(max(1 - self.before.value, 0.02), 0.95)
        risen = min(same * self.used / limit, 0.98)
        accepted = since.count - since.rejected
        return accepted * math.log(risen / same) + since.rejected * math.log(
            (1 - risen) / (1 - same)
        )


class AdaptiveLimit:
    """How many calls at once, learnt from the calls that were rejected for load.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989), with three changes. The
    share of rejections is judged in cohorts of calls that *started* under the same limit, as
    rejections may come sooner than answers. A decrease is a trial: if the share accepted does
    not rise, the rejections are not ours, the old limit is restored and their share becomes a
    floor that is borne, and that decays so that it is looked at again. And the limit that was too
    much is remembered: the way back to it is halved (BIC, Xu, Harfoush and Rhee, 2004), waits
    below it, and beyond it doubles its steps, so that a lifted quota is found soon.
    """

    def __init__(
        self, most: int, start: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``most`` calls at once, at the most and, if no ``start`` is given, at first.

        To begin with the most costs one round of rejections, which are not billed; to begin low
        would cost every lane several rounds of slow calls after every start. ``clock`` in seconds.
        """
        self._most = max(1, most)
        self._clock = clock
        self.limit = min(self._most, max(1, self._most if start is None else start))
        self.calling = 0
        self.floor = 0.0
        self._step = self.limit
        self._best = 0  # the highest limit that was seen to be borne
        self._ceiling: int | None = None  # the lowest that was seen not to be
        self._hold = self._holds = _HOLD
        self._trial: _Trial | None = None
        self._share = _Share()
        self._cohort = _OUTSIDE
        self._peak = 0  # calls at once in this cohort
        self._gather()

    def started(self) -> int:
        """Count a call that begins; the number is to be given back at its end."""
        self.calling += 1
        if self.calling > self._peak:  # noqa: PLR1730 - max() costs five times as much
            self._peak = self.calling
        if self._full():
            if not self._complete():
                return _OUTSIDE
            self._judge()
        self._joined += 1
        return self._cohort

    def ended(self, cohort: int, *, rejected: bool) -> None:
        """A call ended; ``rejected`` for load, or not."""
        self.calling -= 1
        if cohort != self._cohort:
            return
        self._count += 1
        self._rejected += rejected
        if self._full() and self._complete():
            self._judge()

    def dropped(self, cohort: int) -> None:
        """A call ended in a way that says nothing about load."""
        self.calling -= 1
        if cohort == self._cohort:
            self._joined -= 1

    def _gather(self) -> None:
        """Begin a cohort."""
        self._cohort += 1
        self._until = self._clock() + _COHORT_SECONDS
        self._joined = self._count = self._rejected = 0
        self._peak = self.calling

    def _full(self) -> bool:
        """Whether it has as many calls as there were at once, and is old enough."""
        joined = self._joined
        return (
            joined >= _COHORT
            and joined >= min(self.limit, self._peak)
            and self._clock() >= self._until
        )

    def _complete(self) -> bool:
        """A tenth is not waited for: one slow call must not hold up what the others say."""
        return self._count >= self._joined - self._joined // 10

    def _judge(self) -> None:
        self._share = self._share.plus(_Share(self._count, self._rejected, 1))
        if self._trial is not None:
            self._judge_trial(self._trial, self._share)
        else:
            self._judge_share(self._share)
        self._gather()

    def _judge_share(self, share: _Share) -> None:
        borne = self.floor + _TOLERANCE
        if share.within(borne, 2):
            self._lower_floor(share.value)
            self._grow()
        elif share.cohorts >= _POOLED or not share.within(borne, 4):
            self._shrink(share)
            return
        else:
            return  # in doubt: the next cohort joins this one
        self._share = _Share()

    def _lower_floor(self, share: float) -> None:
        """Let it decay, and follow a share that fell."""
        self.floor = _FLOOR_DECAY * min(self.floor, 0.9 * self.floor + 0.1 * share)

    def _shrink(self, share: _Share) -> None:
        """Try a lower limit: half the way, in ratios, to where a quota would accept all.

        It is counted from what was in use, not from what was allowed.
        """
        self._share = _Share()
        if self.limit == 1:
            return
        used = min(self.limit, self._peak)
        factor = min(_MILDEST, max(_SHARPEST, math.sqrt(1 - share.value)))
        self._trial = _Trial(self.limit, used, share)
        self.limit = max(1, int(used * factor))
        self._step = 1
        if used <= self._best:
            self._best = 0

    def _judge_trial(self, trial: _Trial, since: _Share) -> None:
        evidence = trial.evidence(self.limit, since)
        if not since.within(_FLOOR_MOST, 2) and not trial.before.within(_FLOOR_MOST, 2):
            self._lowered(since)  # too much to be borne, whatever its cause
        elif abs(evidence) < _SURE and since.cohorts < _POOLED:
            return
        elif evidence < 0:
            self._restore(trial, since)
        else:
            self._reject(trial.used)
            self._lowered(since)
        if self._trial is None or self._trial is not trial:
            self._share = _Share()

    def _restore(self, trial: _Trial, since: _Share) -> None:
        self._trial = None
        self.limit = trial.limit
        self.floor = min(_FLOOR_MOST, trial.before.plus(since).value)

    def _reject(self, used: int) -> None:
        """So many at once are too many."""
        again = self._ceiling is None and self._best == used - 1
        self._holds = min(_HOLD_MOST, 2 * self._holds) if again else _HOLD
        self._hold = self._holds
        self._ceiling = used

    def _lowered(self, since: _Share) -> None:
        """The lower limit stays, or is not low enough, or was lower than it need be."""
        self._trial = None
        if not since.within(self.floor + _TOLERANCE, 2):
            self._shrink(since)
        elif self._ceiling is not None and self.limit < self._best < self._ceiling:
            self.limit = self._best
        else:
            self._grow()

    def _grow(self) -> None:
        """Go up, if the limit was in use: else its cohort says nothing about it."""
        if self._peak < self.limit * _MILDEST:
            return
        self._best = max(self._best, self.limit)
        if self._ceiling is None:
            self.limit = min(self._most, self.limit + self._step)
            self._step = min(self._most, 2 * self._step)
        else:
            self._approach(self._ceiling)

    def _approach(self, ceiling: int) -> None:
        gap = ceiling - self.limit
        if gap > max(1, ceiling // 20):
            self.limit += gap // 2
        elif self._hold > 0:
            self._hold -= 1
        else:
            self._ceiling = None
            self._step = 1
            self._grow()


class Pause:
    """Stops all calls for as long as the provider asks, if it rejects most of them.

    One rejected call waits by itself; the others need not wait with it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` in seconds."""
        self._clock = clock
        self._until: float | None = None
        self._rejected = 0.0

    def note(self, *, rejected: bool, recent: int) -> None:
        """Count an outcome in the share of about the ``recent`` last ones."""
        self._rejected += (rejected - self._rejected) / max(_COHORT, recent)

    def ask(self, seconds: float | None, floor: float) -> None:
        """A rejected call was told to wait so many seconds.

        A share of ``floor`` is rejected whatever the load is, so waiting would not help with it:
        more than half of the rest must be rejected.
        """
        if seconds is None or self._rejected <= (1 + floor) / 2:
            return
        until = self._clock() + min(seconds, PAUSE_CAP_SECONDS)
        self._until = max(until, self._until or until)

    def left(self) -> float:
        """Seconds until it is over; 0 if there is none."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())


class TokenBucket:
    """Requests or tokens per minute, as a bucket that refills steadily and may be overdrawn.

    It holds ``BURST_SECONDS`` of its rate, one at the least. More than it holds may be taken when
    it is full, and a real amount above its estimate always: the debt is waited for afterwards.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``per_minute`` > 0; ``clock`` in seconds."""
        self._rate = per_minute / 60
        self.capacity = max(1.0, self._rate * BURST_SECONDS)
        self._level = self.capacity
        self._clock = clock
        self._at = clock()

    def available(self) -> float:
        """What it holds now; below zero: its debt."""
        now = self._clock()
        self._level = min(self.capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def whole(self) -> int:
        """How many single ones it holds; 0 if it is in debt."""
        return max(0, int(self.available() + _ROUNDING))

    def take(self, n: float) -> None:
        """Take ``n``, whatever it holds."""
        self._level = self.available() - n

    def give_back(self, n: float) -> None:
        """Put back what was taken and not used; what it cannot hold is lost."""
        self._level = self.available() + n

    def seconds_until(self, n: float) -> float:
        """Seconds until ``n`` may be taken: it holds as much, or is full."""
        missing = min(n, self.capacity) - self.available()
        return missing / self._rate if missing > _ROUNDING else 0.0
