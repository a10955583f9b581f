"""The topics a log must have: those of the contracts, and a DLQ for each of their consumers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.topics import TOPICS, Topic, dlq_name

from bus.port import Log, TopicSpec

DLQ_RETENTION = timedelta(days=30)
# A dead letter is its record plus the reason; an oversized record must still fit.
DLQ_MAX_BYTES = 16 * 1_048_576


def specs(topics: Sequence[Topic[Any]] = TOPICS) -> list[TopicSpec]:
    """What ``Log.create_topics`` needs to be told; the only way in which topics come to be."""
    return [spec for topic in topics for spec in (_main(topic), *_dlqs(topic))]


async def provision(log: Log) -> list[str]:
    """Create what is missing; the names of what was. Raises LogUnavailable."""
    wanted, before = specs(), await log.topics()
    await log.create_topics(wanted)
    return sorted({spec.name for spec in wanted} - before)


def _main(topic: Topic[Any]) -> TopicSpec:
    return TopicSpec(topic.name, topic.partitions, topic.retention, topic.max_record_bytes)


def _dlqs(topic: Topic[Any]) -> list[TopicSpec]:
    return [
        TopicSpec(dlq_name(topic.name, group), 1, DLQ_RETENTION, DLQ_MAX_BYTES)
        for group in topic.consumers
    ]
