"""Applies the topics' retention to the local log, as a broker does on its own."""

from __future__ import annotations

import time

from bus.errors import LogUnavailable
from bus.local import LocalLog
from runtime.logging import logger
from runtime.tasks import Periodic

_log = logger(__name__)
EVERY_SECONDS = 600.0


def log_pruning(log: LocalLog) -> Periodic:
    """Prunes every ten minutes."""

    async def prune() -> None:
        gone = await log.prune(time.time_ns() // 1_000_000)
        _log.info("log pruned", records=gone)

    return Periodic("log pruning", EVERY_SECONDS, prune, (LogUnavailable,))
