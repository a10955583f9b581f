"""Measures how late the event loop runs: the first thing to look at when everything is slow."""

from __future__ import annotations

import asyncio

from contracts.telemetry import LOOP_LAG

from runtime.metrics import histogram
from runtime.tasks import Periodic

SLEEP_SECONDS = 0.1


def loop_lag(service: str) -> Periodic:
    """A timer that runs all the time; what it comes late goes into a histogram."""
    observe = histogram(LOOP_LAG).labels(service).observe

    async def sleep() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + SLEEP_SECONDS
        await asyncio.sleep(SLEEP_SECONDS)
        observe(max(0.0, loop.time() - due))

    return Periodic(f"{service} loop lag", 0, sleep)
