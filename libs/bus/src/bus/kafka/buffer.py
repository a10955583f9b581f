"""Records between the task that reads from Kafka and the caller that polls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from bus.record import Record, TopicPartition

# Per partition. Past either one the partition is left alone until the caller has caught up.
HIGH_RECORDS = 1_000
HIGH_BYTES = 8 * 1024 * 1024


class Buffer:
    """One queue per partition; takes from them in turn, so that none starves another."""

    def __init__(self) -> None:
        self._queues: dict[TopicPartition, deque[Record]] = {}
        self._bytes: dict[TopicPartition, int] = {}

    def put(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Append records of one partition."""
        self._queues.setdefault(partition, deque()).extend(records)
        size = sum(map(_size, records))
        self._bytes[partition] = self._bytes.get(partition, 0) + size

    def take(self, limit: int, without: AbstractSet[TopicPartition]) -> list[Record]:
        """Up to ``limit`` records: a fair share of each partition, then what is left over."""
        ready = [key for key, queue in self._queues.items() if queue and key not in without]
        if not ready:
            return []
        taken: list[Record] = []
        for share in (max(1, limit // len(ready)), limit):
            for partition in ready:
                taken += self._pop(partition, min(share, limit - len(taken)))
        self._queues[ready[0]] = self._queues.pop(ready[0])  # goes last the next time
        return taken

    def has_room(self, partition: TopicPartition) -> bool:
        """Whether more of this partition should be read."""
        records = len(self._queues.get(partition, ()))
        return records < HIGH_RECORDS and self._bytes.get(partition, 0) < HIGH_BYTES

    def holds(self, partition: TopicPartition) -> bool:
        """Whether records of this partition wait to be taken."""
        return bool(self._queues.get(partition))

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what is buffered of these."""
        for partition in partitions:
            self._queues.pop(partition, None)
            self._bytes.pop(partition, None)

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._bytes.clear()

    def _pop(self, partition: TopicPartition, limit: int) -> list[Record]:
        queue = self._queues[partition]
        records = [queue.popleft() for _ in range(min(limit, len(queue)))]
        self._bytes[partition] -= sum(map(_size, records))
        return records


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")
