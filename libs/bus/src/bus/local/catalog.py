"""The topics there are, kept in memory: looked up for every record, changed hardly ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bus.errors import Permanent
from bus.port import TopicSpec
from bus.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as stored. ``retention_ms`` None means compacted."""

    name: str
    partition_ids: tuple[int, ...]
    retention_ms: int | None
    max_record_bytes: int

    @property
    def partitions(self) -> tuple[TopicPartition, ...]:
        """All partitions, by number."""
        return tuple(TopicPartition(self.name, n) for n in range(len(self.partition_ids)))


class Catalog:
    """Topics by name. Both threads read it: ``topics`` is replaced whole, never changed."""

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self.topics = topics

    def topic(self, name: str) -> Topic:
        """Raises Permanent if there is no such topic."""
        try:
            return self.topics[name]
        except KeyError:
            raise Permanent(
                f"unknown topic {name!r}: topics are created by create_topics, not by use"
            ) from None

    def partition_id(self, partition: TopicPartition) -> int:
        """Raises Permanent if there is no such partition."""
        ids = self.topic(partition.topic).partition_ids
        if not 0 <= partition.partition < len(ids):
            raise Permanent(f"unknown partition {partition}: the topic has {len(ids)}")
        return ids[partition.partition]


def load_topics(connection: sqlite3.Connection) -> dict[str, Topic]:
    """All topics of the file."""
    ids: dict[int, list[int]] = {}
    for topic_id, partition_id in connection.execute(
        "SELECT topic_id, id FROM partition ORDER BY topic_id, number"
    ).fetchall():
        ids.setdefault(topic_id, []).append(partition_id)
    rows = connection.execute("SELECT id, name, retention_ms, max_record_bytes FROM topic")
    return {
        name: Topic(name, tuple(ids[topic_id]), retention_ms, max_bytes)
        for topic_id, name, retention_ms, max_bytes in rows.fetchall()
    }


def load_ends(connection: sqlite3.Connection) -> dict[int, int]:
    """The next offset to be written, by partition id."""
    return dict(connection.execute("SELECT id, next_offset FROM partition").fetchall())


def add_topics(connection: sqlite3.Connection, specs: Sequence[TopicSpec]) -> dict[str, Topic]:
    """Insert the topics that are missing and return all there are."""
    known = load_topics(connection)
    for spec in {spec.name: spec for spec in specs if spec.name not in known}.values():
        keep = spec.retention
        retention_ms = None if keep is None else int(keep.total_seconds() * 1000)
        topic_id = connection.execute(
            "INSERT INTO topic (name, retention_ms, max_record_bytes) VALUES (?, ?, ?)",
            (spec.name, retention_ms, spec.max_record_bytes),
        ).lastrowid
        connection.executemany(
            "INSERT INTO partition (topic_id, number) VALUES (?, ?)",
            [(topic_id, number) for number in range(spec.partitions)],
        )
    return load_topics(connection)
