"""Pauses that end when the server does."""

from __future__ import annotations

import asyncio


class Stopping(asyncio.Event):
    """Set once the server shuts down.

    Thousands of calls wait at a time, and a timer for each is cheaper than a task for each.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pauses: set[asyncio.Future[None]] = set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the shutdown."""
        if seconds <= 0 or self.is_set():
            return
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        timer = loop.call_later(seconds, _wake, over)
        self._pauses.add(over)
        try:
            await over
        finally:
            timer.cancel()
            self._pauses.discard(over)

    def set(self) -> None:
        """End every pause."""
        super().set()
        for over in self._pauses:
            _wake(over)


def _wake(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
