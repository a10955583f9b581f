"""Forgets usage and remembered answers once they are old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bus.errors import Transient
from bus.pruning import EVERY_SECONDS
from runtime.clock import Clock
from runtime.logging import logger
from runtime.tasks import Periodic

_log = logger(__name__)


def pruner(
    what: str, prune: Callable[[datetime], Awaitable[int]], kept: timedelta, clock: Clock
) -> Periodic:
    """Prunes every hour what is older than ``kept``."""

    async def turn() -> None:
        _log.info("pruned", what=what, rows=await prune(clock.now() - kept))

    return Periodic(f"{what} pruner", EVERY_SECONDS, turn, (Transient,))
