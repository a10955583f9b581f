"""The log port: what the bus needs of a partitioned log, and no more.

Two backends implement it, ``bus.kafka`` and ``bus.local``; both pass the suite in
``devkit.conformance.log``. Everything is raw bytes here: decoding belongs to the caller, inside
its guarded region, so that no record can be dropped or looped on by a library underneath.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from bus.record import OutRecord, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created. ``retention`` None means compacted: the last record per key stays."""

    name: str
    partitions: int
    retention: timedelta | None
    max_record_bytes: int = 1_048_576


class RebalanceListener(Protocol):
    """Told when partitions come and go; a consumer awaits it before the change takes effect."""

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Partitions are about to leave; ``commit`` still works for them in here."""

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Partitions have arrived; reading starts at the group's committed offset."""


class Producer(Protocol):
    """Appends records; safe to use from many tasks at once."""

    async def send(self, records: Sequence[OutRecord]) -> None:
        """Append in the given order per partition; return when every one is acknowledged.

        Equal keys land in the same partition of a topic. After an error some of the records may
        have been written, none is known to be.

        Raises:
            LogUnavailable: the log did not acknowledge in time, or is closed.
            RecordTooLarge: a record is larger than its topic allows; nothing was written if it
                could be seen before sending.
        """

    async def close(self) -> None:
        """Flush and release; idempotent."""


class Consumer(Protocol):
    """One member of a consumer group. Not safe for concurrent ``poll`` calls."""

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        """Return up to ``max_records`` in order per partition, or none after ``timeout`` seconds.

        Records of paused partitions are not returned and not lost. Returns as soon as at least
        one record is there.

        Raises:
            LogUnavailable: the log is gone.
            InstanceFenced: another process has taken this member's place, for good.
        """

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Durably set the group's next offset to read per partition.

        Raises:
            Fenced: a partition is not (or no longer) assigned to this member; none was set.
            LogUnavailable: not acknowledged.
        """

    def assignment(self) -> AbstractSet[TopicPartition]:
        """The partitions this member owns now."""

    def reached(self) -> Mapping[TopicPartition, int]:
        """Where reading goes on, in partitions of which all that was read has been returned.

        It may be past the last record: the end of a transaction is an entry of the log and no
        record, nor is what was compacted away. Who is done with every record that it was given
        may commit these offsets. Partitions of which it is not known (yet) are left out.
        """

    def pause(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Stop returning records of these; membership and polling go on."""

    def resume(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Undo ``pause``, from where the partition was."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read ``partition`` from ``offset`` at the next poll; does not commit."""

    async def close(self) -> None:
        """Leave the group (revoking first, so the listener can commit) and release; idempotent."""


class Log(Protocol):
    """A partitioned, durable, append-only log with consumer groups."""

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create what is missing; existing topics are left as they are."""

    async def topics(self) -> AbstractSet[str]:
        """Names of all existing topics."""

    async def producer(self) -> Producer:
        """A new producer: idempotent, acknowledged by all replicas."""

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> Consumer:
        """Join ``group``. A group without commits starts at the earliest record."""

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """The offset below which nothing is left, per partition; the end's where all is gone.

        Retention moves it. A record that is there is at this offset or behind it.
        """

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """The next offset to be written, per partition."""

    async def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        """The group's next offset to read per partition; 0 where nothing was committed."""

    async def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets of a group that has no members (DLQ replay bookkeeping)."""

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        """Up to ``limit`` records from ``offset`` on, without any group; empty at the end."""

    async def healthy(self) -> bool:
        """Whether the log answers now; used by readiness, never raises."""

    async def close(self) -> None:
        """Close what this log opened; idempotent."""
