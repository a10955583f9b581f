"""A log that fails when it is told to, around one that works."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from bus.errors import LogUnavailable
from bus.port import Consumer, Log, Producer, RebalanceListener
from bus.record import OutRecord, Record, TopicPartition


@dataclass
class Faults:
    """What fails now: sends to ``closed`` topics, polls, commits. Counts what failed.

    ``on_commit`` sees every commit before it is made.
    """

    closed: set[str] = field(default_factory=set)
    polls: bool = False
    commits: bool = False
    failed: int = 0
    on_commit: Callable[[Mapping[TopicPartition, int]], None] | None = None

    def check(self, fails: bool) -> None:
        """Raise LogUnavailable if ``fails``."""
        if fails:
            self.failed += 1
            raise LogUnavailable("told to fail")


class _FaultyProducer:
    def __init__(self, inner: Producer, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def send(self, records: Sequence[OutRecord]) -> None:
        self._faults.check(any(record.topic in self._faults.closed for record in records))
        await self._inner.send(records)

    async def close(self) -> None:
        await self._inner.close()


class _FaultyConsumer:
    def __init__(self, inner: Consumer, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        self._faults.check(self._faults.polls)
        return await self._inner.poll(max_records, timeout)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            raise ValueError("aiokafka refuses an empty commit")
        self._faults.check(self._faults.commits)
        if self._faults.on_commit is not None:
            self._faults.on_commit(offsets)
        await self._inner.commit(offsets)

    def assignment(self) -> AbstractSet[TopicPartition]:
        return self._inner.assignment()

    def reached(self) -> Mapping[TopicPartition, int]:
        return self._inner.reached()

    def pause(self, partitions: AbstractSet[TopicPartition]) -> None:
        self._inner.pause(partitions)

    def resume(self, partitions: AbstractSet[TopicPartition]) -> None:
        self._inner.resume(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._inner.seek(partition, offset)

    async def close(self) -> None:
        await self._inner.close()


class FaultyLog:
    """A ``bus.port.Log``; everything but producers and consumers is the inner log's."""

    def __init__(self, inner: Log, faults: Faults) -> None:
        self._inner = inner
        self.faults = faults
        self.create_topics = inner.create_topics
        self.topics = inner.topics
        self.start_offsets = inner.start_offsets
        self.end_offsets = inner.end_offsets
        self.committed = inner.committed
        self.reset = inner.reset
        self.read = inner.read
        self.healthy = inner.healthy
        self.close = inner.close

    async def producer(self) -> Producer:
        return _FaultyProducer(await self._inner.producer(), self.faults)

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> Consumer:
        return _FaultyConsumer(await self._inner.consumer(group, topics, listener), self.faults)
