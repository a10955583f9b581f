"""Reads a whole Kafka log, and asks how far groups are behind, by as few requests as can be."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

from bus.record import Record
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from contracts.topics import TOPICS, dlq_name
from devkit.history import LogHistory

_SECONDS = 30.0
_AT_ONCE = 5000
_SETTINGS: dict[str, str | int | float | bool | None] = {"log_level": 2}
"""It would tell of every connection that is lost."""
Lags = dict[tuple[str, str], int]
"""Records that a group has not committed, by topic and group."""


def whole_log(bootstrap: str) -> LogHistory:
    """Every topic and DLQ of the contracts, from its beginning to its end."""
    groups = {group for topic in TOPICS for group in topic.consumers}
    lags = {key: lag for group in sorted(groups) for key, lag in _lags(bootstrap, group).items()}
    dlqs = {dlq_name(topic.name, group): group for topic in TOPICS for group in topic.consumers}
    records = _sorted_out(read(bootstrap, [topic.name for topic in TOPICS]), {})
    return LogHistory.of(records, _sorted_out(read(bootstrap, dlqs), dlqs), lags)


def behind(bootstrap: str, services: Iterable[str]) -> Lags:
    """What the groups of these services have not committed; empty if that is nothing."""
    groups = [service.replace("_", "-") for service in services]
    found = {key: lag for group in groups for key, lag in _lags(bootstrap, group).items()}
    return {key: lag for key, lag in found.items() if lag}


def read(bootstrap: str, topics: Collection[str]) -> list[Record]:
    """All records of some topics, in order within each partition."""
    client = Consumer(_SETTINGS | {"bootstrap.servers": bootstrap, "group.id": "chaos"})
    try:
        left = _ends(client, topics)
        client.assign([TopicPartition(*where, 0) for where in left])
        records: list[Record] = []
        while left:
            records += map(_record, client.consume(_AT_ONCE, timeout=0.1))
            for at in client.position([TopicPartition(*where) for where in left]):
                if at.offset >= left[at.topic, at.partition]:
                    del left[at.topic, at.partition]
        return sorted(records, key=lambda one: (one.topic, one.partition, one.offset))
    finally:
        client.close()


def _ends(client: Consumer, topics: Collection[str]) -> dict[tuple[str, int], int]:
    """Where each partition ends that holds anything."""
    known = client.list_topics(timeout=_SECONDS).topics
    parts = [(topic, number) for topic in topics for number in known[topic].partitions]
    ends = {where: _end(client, *where) for where in parts}
    return {where: end for where, end in ends.items() if end}


def _end(client: Consumer, topic: str, partition: int) -> int:
    """A broker that began anew leads nothing for a moment."""
    until = time.monotonic() + _SECONDS
    while True:
        try:
            where = TopicPartition(topic, partition)
            return int(client.get_watermark_offsets(where, timeout=_SECONDS)[1])
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _record(message: Message) -> Record:
    error = message.error()
    assert error is None, error
    given: Any = message.headers() or ()
    headers = tuple((name, value or b"") for name, value in given)
    where: Any = (message.topic(), message.partition(), message.offset())
    key, value = message.key(), message.value()
    assert not isinstance(key, str)
    assert not isinstance(value, str)
    topic, partition, offset = where
    return Record(topic, partition, offset, key, value, headers, message.timestamp()[1])


def _sorted_out(records: Iterable[Record], names: dict[str, str]) -> dict[str, list[Record]]:
    """By the name of their topic, or by the topic itself."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(names.get(record.topic, record.topic), []).append(record)
    return found


def _lags(bootstrap: str, group: str) -> Lags:
    """Asks as a consumer of that name that joins nothing."""
    client = Consumer(_SETTINGS | {"bootstrap.servers": bootstrap, "group.id": group})
    try:
        wanted = [
            TopicPartition(topic.name, partition)
            for topic in TOPICS
            if group in topic.consumers
            for partition in range(topic.partitions)
        ]
        lags: Lags = {}
        for each in client.committed(wanted, timeout=_SECONDS):
            key = (each.topic, group)
            end = _end(client, each.topic, each.partition)
            lags[key] = lags.get(key, 0) + end - max(0, each.offset)
        return lags
    finally:
        client.close()
