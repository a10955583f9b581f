"""Measures how far a group is behind its topics, and how deep its DLQs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.telemetry import CONSUMER_LAG, DLQ_DEPTH
from contracts.topics import Topic
from runtime.metrics import gauge
from runtime.tasks import Periodic

from bus.errors import BusError
from bus.port import Log
from bus.replay import depth
from bus.unread import unread

EVERY_SECONDS = 5.0


async def lag(log: Log, topic: str, group: str) -> int:
    """Records of ``topic`` that ``group`` has not committed and that are still there."""
    return sum(map(len, (await unread(log, topic, group)).values()))


def lag_meter(source: Log, group: str, topics: Sequence[Topic[Any]]) -> Periodic:
    """Exports lag and DLQ depth of one group every five seconds."""

    async def measure() -> None:
        for topic in topics:
            behind = await lag(source, topic.name, group)
            gauge(CONSUMER_LAG).labels(group, topic.name).set(behind)
            letters = await depth(source, topic.name, group)
            gauge(DLQ_DEPTH).labels(group, topic.name).set(letters)

    return Periodic(f"{group} lag meter", EVERY_SECONDS, measure, (BusError,))
