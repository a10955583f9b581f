"""Measures how late the event loop runs: the first thing to look at when everything is slow."""

from __future__ import annotations

import asyncio

from contracts.telemetry import LOOP_LAG

from runtime.deadline import Deadline
from runtime.metrics import histogram
from runtime.tasks import Background


class LoopLag:
    """A timer of ``interval`` seconds; what it comes late goes into a histogram."""

    def __init__(self, service: str, interval: float = 0.1) -> None:
        self._observe = histogram(LOOP_LAG).labels(service).observe
        self._interval = interval
        self._task = Background(f"{service} loop lag", self._run)

    async def start(self) -> None:
        """Begin to measure."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Stop measuring."""
        await self._task.stop(deadline)

    async def _run(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            due = loop.time() + self._interval
            await asyncio.sleep(self._interval)
            self._observe(max(0.0, loop.time() - due))
