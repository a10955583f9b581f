"""Forgets inbox and published outbox rows once nothing can deliver their events again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.events.base import Event
from contracts.topics import Topic
from runtime.clock import Clock
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.tasks import Background, wait_for

from bus.errors import Transient
from bus.store import TransactionalStore

_log = logger(__name__)
# A record may be replayed from a DLQ after it left its topic; and clocks differ.
MARGIN = timedelta(days=7)
EVERY_SECONDS = 3600.0


def inbox_retention(topics: Sequence[Topic[Event]]) -> timedelta:
    """How long an inbox must remember: the longest retention among its topics, and a margin.

    A compacted topic may deliver a record for ever, but its handlers overwrite state by key, so
    its share is the margin only.
    """
    return max((topic.retention or timedelta(0) for topic in topics), default=timedelta(0)) + MARGIN


class Pruner:
    """Prunes a store every hour."""

    def __init__(
        self, service: str, store: TransactionalStore[Any], retention: timedelta, clock: Clock
    ) -> None:
        self._service = service
        self._store = store
        self._retention = retention
        self._clock = clock
        self._task = Background(f"{service} pruner", self._run)

    async def start(self) -> None:
        """Begin to prune."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Stop pruning."""
        await self._task.stop(deadline)

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            before = self._clock.now() - self._retention
            try:
                gone = await self._store.prune(before, before)
                _log.info("pruned", service=self._service, rows=gone)
            except Transient as error:
                _log.warning("not pruned", service=self._service, error=str(error))
            await wait_for(stopping, EVERY_SECONDS)
