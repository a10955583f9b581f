"""The topics of the cluster: creating them, and what each of them accepts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from aiokafka.errors import TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]

from bus.errors import LogUnavailable, Permanent, RecordTooLarge
from bus.kafka.clients import Clients
from bus.kafka.connection import Connection
from bus.port import TopicSpec
from bus.record import OutRecord, TopicPartition, record_bytes

# Kafka limits a batch, the port a record: room for the framing of both, and for a full batch of
# small records, whose size the producer sets for all topics alike.
FRAMING_BYTES = 4096
BATCH_BYTES = 16_384
_CLUSTER_DEFAULT = -1  # as many replicas as default.replication.factor says
_SETTLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """What a topic accepts."""

    max_record_bytes: int
    compacted: bool


class Catalog:
    """Asks the cluster about its topics and remembers their limits."""

    def __init__(self, connection: Connection, clients: Clients) -> None:
        self._connection = connection
        self._clients = clients
        self._specs: dict[str, TopicSpec] = {}
        self._limits: dict[str, Limits] = {}

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing and wait until every new partition has a leader.

        Raises:
            Permanent: the cluster will not have such a topic.
            LogUnavailable: not acknowledged.
        """
        self._specs.update({spec.name: spec for spec in specs})
        async with self._connection.answered("create topics"), self._clients.admin() as admin:
            existing = set(await admin.list_topics())
            missing = {spec.name: spec for spec in specs if spec.name not in existing}
            if missing:
                new = [_new_topic(spec) for spec in missing.values()]
                _check_created(await admin.create_topics(new))
                await _until_led(admin, list(missing))

    async def names(self) -> AbstractSet[str]:
        """All topics but Kafka's own."""
        async with self._connection.answered("list topics"), self._clients.admin() as admin:
            return {name for name in await admin.list_topics() if not name.startswith("__")}

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of ``topic`` in order; raises Permanent when there is none."""
        answered = self._connection.answered(f"describe {topic}")
        async with answered, self._clients.admin() as admin:
            found = await _described(admin, topic)
        if not found:
            raise _unknown(topic)
        return [TopicPartition(topic, item["partition"]) for item in found]

    async def require(self, wanted: Iterable[TopicPartition]) -> None:
        """Raises Permanent unless every one of these partitions exists."""
        for topic, group in groupby(sorted(wanted), key=lambda item: item.topic):
            missing = set(group) - set(await self.partitions(topic))
            if missing:
                raise Permanent(f"unknown partitions: {', '.join(map(str, sorted(missing)))}")

    async def check(self, records: Iterable[OutRecord]) -> None:
        """Refuse what the cluster would refuse, before anything is sent.

        It matters beyond courtesy: a batch the broker rejects leaves a gap in the sequence of an
        idempotent producer, and every later batch of that partition fails too.

        Raises:
            RecordTooLarge: a record has more bytes than its topic allows.
            Permanent: an unknown topic, or no key where one is needed.
        """
        for record in records:
            limits = self._limits.get(record.topic) or await self._limits_of(record.topic)
            size = record_bytes(record)
            if size > limits.max_record_bytes:
                raise RecordTooLarge(
                    f"a record of {size} bytes for {record.topic!r}, "
                    f"which allows {limits.max_record_bytes}"
                )
            if record.key is None and limits.compacted:
                raise Permanent(f"topic {record.topic!r} is compacted: a record needs a key")

    async def _limits_of(self, topic: str) -> Limits:
        await self.partitions(topic)
        answered = self._connection.answered(f"describe {topic}")
        async with answered, self._clients.admin() as admin:
            resource = ConfigResource(
                ConfigResourceType.TOPIC,
                topic,
                {"max.message.bytes": None, "cleanup.policy": None},
            )
            responses = await admin.describe_configs([resource])
        limits = self._read_limits(topic, responses)
        self._limits[topic] = limits
        return limits

    def _read_limits(self, topic: str, responses: Sequence[Any]) -> Limits:
        code, message, _, _, entries = responses[0].resources[0]
        if code:
            raise LogUnavailable(f"describe {topic}: {for_code(code).__name__}: {message}")
        values = {entry[0]: entry[1] for entry in entries}
        batch_bytes = int(values["max.message.bytes"])
        spec = self._specs.get(topic)
        # A small limit of ours is stricter than what the broker had to be told.
        ours = spec is not None and _batch_limit(spec) == batch_bytes
        limit = spec.max_record_bytes if spec and ours else batch_bytes - FRAMING_BYTES
        return Limits(limit, "compact" in values["cleanup.policy"])


def _batch_limit(spec: TopicSpec) -> int:
    return max(spec.max_record_bytes, BATCH_BYTES) + FRAMING_BYTES


def _new_topic(spec: TopicSpec) -> NewTopic:
    settings = {
        "max.message.bytes": str(_batch_limit(spec)),
        # What producers outside say of the time decides neither what is kept nor what came first.
        "message.timestamp.type": "LogAppendTime",
    }
    if spec.retention is None:
        settings["cleanup.policy"] = "compact"
    else:
        settings["retention.ms"] = str(int(spec.retention.total_seconds() * 1000))
    # Without the empty assignment aiokafka takes the default for a mistake.
    return NewTopic(
        spec.name, spec.partitions, _CLUSTER_DEFAULT, replica_assignments={}, topic_configs=settings
    )


def _check_created(response: Any) -> None:
    for name, code, *detail in response.topic_errors:
        error = for_code(code)
        if code == 0 or error is TopicAlreadyExistsError:
            continue
        kind = LogUnavailable if error.retriable else Permanent
        raise kind(f"create {name}: {error.__name__}: {detail}")


async def _until_led(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """A created topic reaches the brokers a moment later; there is nothing to be woken by."""
    for topic in topics:
        while True:
            partitions = await _described(admin, topic)
            if partitions and all(item["leader"] >= 0 for item in partitions):
                break
            await asyncio.sleep(_SETTLE_SECONDS)


async def _described(admin: AIOKafkaAdminClient, topic: str) -> list[dict[str, int]]:
    """Partition metadata of ``topic``, by number; empty when it does not exist."""
    described: list[dict[str, Any]] = await admin.describe_topics([topic])
    partitions: list[dict[str, int]] = described[0]["partitions"] if described else []
    return sorted(partitions, key=lambda item: item["partition"])


def _unknown(topic: str) -> Permanent:
    return Permanent(f"unknown topic {topic!r}: topics are created by create_topics, not by use")
