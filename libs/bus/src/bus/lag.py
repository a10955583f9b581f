"""Measures how far a group is behind its topics, and how deep its DLQs are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from contracts.telemetry import CONSUMER_LAG, DLQ_DEPTH
from contracts.topics import Topic
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import gauge
from runtime.tasks import Background, wait_for

from bus.errors import BusError
from bus.port import Log
from bus.replay import depth

_log = logger(__name__)
EVERY_SECONDS = 5.0


async def lag(log: Log, topic: str, group: str) -> int:
    """Records of ``topic`` that ``group`` has not committed."""
    done = await log.committed(group, topic)
    ends = await log.end_offsets(topic)
    return sum(max(0, end - done.get(partition, 0)) for partition, end in ends.items())


class LagMeter:
    """Exports lag and DLQ depth of one group every five seconds."""

    def __init__(self, log: Log, group: str, topics: Sequence[Topic[Any]]) -> None:
        self._source = log
        self._group = group
        self._topics = topics
        self._task = Background(f"{group} lag meter", self._run)

    async def start(self) -> None:
        """Begin to measure."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Stop measuring."""
        await self._task.stop(deadline)

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._measure()
            except BusError as error:
                _log.warning("lag not measured", group=self._group, error=str(error))
            await wait_for(stopping, EVERY_SECONDS)

    async def _measure(self) -> None:
        for topic in self._topics:
            behind = await lag(self._source, topic.name, self._group)
            gauge(CONSUMER_LAG).labels(self._group, topic.name).set(behind)
            letters = await depth(self._source, topic.name, self._group)
            gauge(DLQ_DEPTH).labels(self._group, topic.name).set(letters)
