"""Notices at start that the store was lost, and has the topics read again from their beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from bus.errors import BusError, LogUnavailable, Unavailable
from bus.port import Log
from contracts.topics import Topic
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.tasks import Periodic

_log = logger(__name__)
WATCH_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""For a log that does not answer yet: a new cluster makes its group coordinators when asked."""
RETRY_SECONDS = 1.0


class Layout(Protocol):
    """The mark that a store bears once it is in use."""

    async def known(self) -> bool:
        """Whether it is there. Raises NewerLayout if a newer version of the service wrote it."""

    async def mark(self) -> None:
        """Set it."""


class StoreLost(RuntimeError):
    """What was stored is gone while the service runs."""


class Rebuild:
    """A component that starts before the consumers.

    A group that has committed offsets on a store without the mark has lost it: its offsets go
    back to 0. That needs a group without members; of several replicas that start together the
    first does it, and the others find the mark.
    """

    def __init__(
        self,
        log: Log,
        group: str,
        topics: Sequence[Topic[Any]],
        layout: Layout,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience = patience
        self._log = log
        self._group = group
        self._topics = topics
        self._layout = layout

    async def start(self) -> None:
        """Reset the group if the store was lost.

        Raises:
            BusError: others still consume, or the log has not answered for a minute.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while not await self._layout.known():
            try:
                await self._reset()
            except LogUnavailable as error:
                if loop.time() >= until:
                    raise
                _log.warning("log not there yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except BusError:
                if not await self._layout.known():
                    raise
            await self._layout.mark()

    async def stop(self, deadline: Deadline) -> None:
        """Nothing is open."""

    async def watch(self) -> None:
        """Raises StoreLost: started again, the process reads its topics from their beginning."""
        if not await self._layout.known():
            raise StoreLost("Redis has lost its data: the service ends, to be started anew")

    async def _reset(self) -> None:
        for topic in self._topics:
            committed = await self._log.committed(self._group, topic.name)
            if any(committed.values()):
                _log.warning("store lost: reading again", topic=topic.name)
                await self._log.reset(self._group, dict.fromkeys(committed, 0))


def loss_watch(name: str, rebuild: Rebuild) -> Periodic:
    """Looks every five seconds whether the store is still the same."""
    return Periodic(f"{name} loss watch", WATCH_SECONDS, rebuild.watch, (Unavailable,))
