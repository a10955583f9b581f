"""A provider's limits on the calls of one model: requests per minute, and calls at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from devkit.simulator.settings import ModelSettings

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What is left, in requests; ``reset_s`` is when all of it is there again."""

    limit: int
    remaining: int
    reset_s: float

    def headers(self, wall_clock_s: float) -> dict[str, str]:
        """The headers of OpenAI and Anthropic. ``wall_clock_s`` is the Unix time."""
        limit, remaining = str(self.limit), str(self.remaining)
        return {
            "x-ratelimit-limit-requests": limit,
            "x-ratelimit-remaining-requests": remaining,
            "x-ratelimit-reset-requests": f"{math.ceil(self.reset_s * 1000)}ms",
            "anthropic-ratelimit-requests-limit": limit,
            "anthropic-ratelimit-requests-remaining": remaining,
            "anthropic-ratelimit-requests-reset": _rfc3339(wall_clock_s + self.reset_s),
        }


class Quota:
    """A bucket of ``requests_per_minute`` that refills steadily, and a number of slots.

    ``clock`` gives seconds that never go back. ``retry_s`` is what is advised when all slots
    are taken: when one will be free is not known.
    """

    def __init__(
        self, settings: ModelSettings, clock: Callable[[], float], retry_s: float = 1.0
    ) -> None:
        self._per_minute = settings.requests_per_minute
        self._slots = settings.max_concurrency
        self._clock = clock
        self._retry_s = retry_s
        self._left = float(self._per_minute or 0)
        self._at = clock()
        self._running = 0

    def enter(self) -> float | None:
        """Take a slot and a request: ``None``, or seconds to wait when there is none left."""
        if self._slots is not None and self._running >= self._slots:
            return self._retry_s
        if self._per_minute is not None:
            self._refill(self._per_minute)
            if self._left < 1.0:
                return (1.0 - self._left) * _MINUTE / self._per_minute
            self._left -= 1.0
        self._running += 1
        return None

    def leave(self) -> None:
        """Give the slot back."""
        self._running -= 1

    def state(self) -> QuotaState:
        """What is left: of the requests if they are limited, else of the slots."""
        if self._per_minute is None:
            slots = self._slots or 0
            busy = self._running > 0
            return QuotaState(slots, slots - self._running, self._retry_s if busy else 0.0)
        self._refill(self._per_minute)
        missing = self._per_minute - self._left
        return QuotaState(self._per_minute, int(self._left), missing * _MINUTE / self._per_minute)

    def _refill(self, per_minute: int) -> None:
        now = self._clock()
        gained = (now - self._at) * per_minute / _MINUTE
        self._left = min(float(per_minute), self._left + gained)
        self._at = now


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(math.ceil(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
