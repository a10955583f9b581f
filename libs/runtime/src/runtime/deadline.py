"""One deadline that everything which shuts down shares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """A point in time; whoever waits takes what is left of it, not a budget of its own."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await within the time left. Raises TimeoutError (the awaitable is cancelled)."""
        async with asyncio.timeout(self.left):
            return await awaitable
