"""The gateway's ports in memory; its stores have no twin, PostgreSQL starts fast."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.domain.limits import RatePolicy
from gateway.domain.models import Quota
from gateway.domain.ports import TextStream
from gateway.domain.readings import TextPiece


class UnlimitedRate:
    """A limiter that lets everything through."""

    async def spend(self, policy: RatePolicy, who: str) -> Quota:
        """Always allowed."""
        return Quota(limit=1_000_000, remaining=1_000_000, reset_seconds=1, allowed=True)


class ProcessRateLimiter:
    """Sliding windows of this process alone."""

    def __init__(self) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def spend(self, policy: RatePolicy, who: str) -> Quota:
        """Count one request of ``who``."""
        return await spend(self._window, policy, who)


class ProcessStreamSlots:
    """Streams that are open in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, who: str, limit: int) -> AsyncIterator[bool]:
        """Hold a slot for as long as the context is open; false if all are held."""
        if self._open[who] >= limit:
            yield False
            return
        self._open[who] += 1
        try:
            yield True
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


class ProcessLiveText:
    """Pieces of answers between the tasks of this process."""

    def __init__(self) -> None:
        self._watchers: dict[tuple[str, UUID], set[_Heard]] = {}

    async def publish(self, pieces: Sequence[TextPiece]) -> None:
        """Each piece as it is."""
        for piece in pieces:
            for heard in self._watchers.get((piece.tenant_id, piece.run_id), ()):
                heard.pieces.put_nowait(piece)

    @asynccontextmanager
    async def watch(self, tenant_id: str, run_id: UUID) -> AsyncIterator[TextStream]:
        """Listed until the block ends."""
        key, heard = (tenant_id, run_id), _Heard()
        self._watchers.setdefault(key, set()).add(heard)
        try:
            yield heard
        finally:
            self._watchers[key].remove(heard)
            if not self._watchers[key]:
                del self._watchers[key]


class _Heard:
    def __init__(self) -> None:
        self.pieces: asyncio.Queue[TextPiece] = asyncio.Queue()

    async def next(self, timeout: float) -> TextPiece | None:
        try:
            async with asyncio.timeout(timeout):
                return await self.pieces.get()
        except TimeoutError:
            return None


async def spend(window: SlidingWindowCounterRateLimiter, policy: RatePolicy, who: str) -> Quota:
    """Count one request of ``who`` in a window, and say what is left. Raises StorageError."""
    item = RateLimitItemPerSecond(policy.requests, policy.seconds, namespace=policy.name)
    allowed = await window.hit(item, who)
    stats = await window.get_window_stats(item, who)
    reset = stats.reset_time - time.time()
    if allowed and reset <= 0 and stats.remaining >= policy.requests - 1:
        reset = policy.seconds  # a window that begins this very moment is said to end with it
    # The window slides between the two looks: a refusal that leaves something would not be one.
    remaining = max(0, stats.remaining) if allowed else 0
    return Quota(policy.requests, remaining, max(1, round(reset)), allowed)
