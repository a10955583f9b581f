"""Applies the topics' retention to the local log, as a broker does on its own."""

from __future__ import annotations

import asyncio
import time

from bus.errors import LogUnavailable
from bus.local import LocalLog
from runtime.logging import logger
from runtime.tasks import wait_for

_log = logger(__name__)
EVERY_SECONDS = 600.0


async def prune_log(log: LocalLog, stopping: asyncio.Event) -> None:
    """Prune every ten minutes until stopped."""
    while not await wait_for(stopping, EVERY_SECONDS):
        try:
            gone = await log.prune(time.time_ns() // 1_000_000)
        except LogUnavailable as error:
            _log.warning("log not pruned", error=str(error))
        else:
            _log.info("log pruned", records=gone)
