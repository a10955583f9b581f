"""The log port in memory: deterministic, without threads, and told when to make trouble.

For tests that try many orders of events. A seeded ``rng`` shuffles how partitions interleave and
how much a poll returns; ``rebalance`` takes partitions away and gives them back from the
committed offset; ``lose_members`` is what a broker sees of a killed process; ``down`` refuses
every write. Time is the event loop's, so a loop with virtual time makes it fast.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import count

from bus.errors import BusError, Fenced, LogUnavailable, Permanent, RecordTooLarge
from bus.local.partitioner import partition_of
from bus.port import RebalanceListener, TopicSpec
from bus.record import OutRecord, Record, TopicPartition


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class _Cursor:
    """Place in an owned partition."""

    position: int
    paused: bool = False


@dataclass
class _Group:
    """Members in order of joining, and what they committed."""

    members: list[FakeConsumer] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class FakeLog:
    """A ``bus.port.Log`` for one event loop; everything ends with the object."""

    def __init__(
        self, rng: random.Random | None = None, clock: Callable[[], int] = _unix_ms
    ) -> None:
        self.down = False
        self.rng = rng
        self._clock = clock
        self.records: dict[TopicPartition, list[Record]] = {}
        self._starts: dict[TopicPartition, int] = {}
        self._specs: dict[str, TopicSpec] = {}
        self._groups: dict[str, _Group] = {}
        self._turn = count()
        self._closed = False

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        for spec in topics:
            if spec.name not in self._specs:
                self._specs[spec.name] = spec
                self.records |= {TopicPartition(spec.name, n): [] for n in range(spec.partitions)}

    async def topics(self) -> AbstractSet[str]:
        return frozenset(self._specs)

    async def producer(self) -> FakeProducer:
        return FakeProducer(self)

    async def consumer(
        self, group: str, topics: Sequence[str], listener: RebalanceListener | None = None
    ) -> FakeConsumer:
        self.require_up()
        subscribed = [item for name in topics for item in self.partitions(name)]
        consumer = FakeConsumer(self, self.group(group), subscribed, listener)
        await self._change(group, joining=consumer)
        return consumer

    async def start_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return {item: self._starts.get(item, 0) for item in self.partitions(topic)}

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        return {item: len(self.records[item]) for item in self.partitions(topic)}

    async def committed(self, group: str, topic: str) -> Mapping[TopicPartition, int]:
        return {item: self.group(group).committed.get(item, 0) for item in self.partitions(topic)}

    async def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        self.require_up()
        if self.group(group).members:
            raise BusError(f"group {group!r} has members: stop them to reset it")
        self.group(group).committed.update(offsets)

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        self.require_open()
        return self.there(partition, offset, limit)

    async def healthy(self) -> bool:
        return not self._closed and not self.down

    async def close(self) -> None:
        self._closed = True
        for name, group in self._groups.items():
            for member in list(group.members):
                await self._change(name, leaving=member)
                member.wake.set()

    async def rebalance(self, group: str) -> None:
        """Take all partitions from their members and give them back, from what is committed."""
        await self._change(group)

    def lose_members(self, group: str) -> None:
        """Members are gone without a word; nobody tells their listeners."""
        for member in self.group(group).members:
            member.cursors.clear()
        self._groups[group] = _Group(committed=self.group(group).committed)

    def expire(self, topic: str) -> None:
        """All records of ``topic`` are too old and go; their offsets are never used again."""
        self._starts |= {item: len(self.records[item]) for item in self.partitions(topic)}

    def there(self, partition: TopicPartition, offset: int, limit: int) -> list[Record]:
        """Up to ``limit`` records from ``offset`` on that have not expired."""
        start = max(offset, self._starts.get(partition, 0))
        return self.records[partition][start : start + limit]

    def append(self, records: Sequence[OutRecord]) -> None:
        """Write all of ``records`` or none; wakes who waits for them."""
        placed = [(self._place(record), record) for record in records]
        for partition, record in placed:
            there = self.records[partition]
            there.append(_stored(partition, len(there), record, self._clock()))
        for group in self._groups.values():
            for member in group.members:
                member.wake.set()

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Raises Permanent for an unknown topic."""
        if topic not in self._specs:
            raise Permanent(f"unknown topic {topic!r}")
        return [TopicPartition(topic, n) for n in range(self._specs[topic].partitions)]

    def group(self, name: str) -> _Group:
        """The group of that name, made at its first use."""
        return self._groups.setdefault(name, _Group())

    def require_open(self) -> None:
        """Raise LogUnavailable once the log is closed."""
        if self._closed:
            raise LogUnavailable("the log is closed")

    def require_up(self) -> None:
        """Raise LogUnavailable while nothing can be written."""
        self.require_open()
        if self.down:
            raise LogUnavailable("the log is down")

    def _place(self, record: OutRecord) -> TopicPartition:
        partitions = self.partitions(record.topic)
        size = len(record.key or b"") + len(record.value or b"")
        size += sum(len(name.encode()) + len(value) for name, value in record.headers)
        if size > self._specs[record.topic].max_record_bytes:
            raise RecordTooLarge(f"a record of {size} bytes for {record.topic!r}")
        if record.key is None:
            return partitions[next(self._turn) % len(partitions)]
        return partitions[partition_of(record.key, len(partitions))]

    async def _change(
        self,
        name: str,
        joining: FakeConsumer | None = None,
        leaving: FakeConsumer | None = None,
    ) -> None:
        group = self.group(name)
        async with group.changing:
            for member in group.members:
                await member.revoke()
            if leaving in group.members:
                group.members.remove(leaving)
            if joining is not None:
                group.members.append(joining)
            for member in group.members:
                await member.give(_share(group, member))


class FakeProducer:
    """Appends to the log; acknowledged at once."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log
        self._closed = False

    async def send(self, records: Sequence[OutRecord]) -> None:
        if self._closed:
            raise LogUnavailable("the producer is closed")
        self._log.require_up()
        self._log.append(records)

    async def close(self) -> None:
        self._closed = True


class FakeConsumer:
    """A member of a group; every change of members revokes all, as Kafka's eager protocol does."""

    def __init__(
        self,
        log: FakeLog,
        group: _Group,
        subscribed: Sequence[TopicPartition],
        listener: RebalanceListener | None,
    ) -> None:
        self.subscribed = subscribed
        self.cursors: dict[TopicPartition, _Cursor] = {}
        self.wake = asyncio.Event()
        self._log = log
        self._group = group
        self._listener = listener
        self._closed = False

    async def poll(self, max_records: int, timeout: float) -> Sequence[Record]:
        deadline = asyncio.get_running_loop().time() + timeout
        await asyncio.sleep(0)
        while True:
            self._require_open()
            self.wake.clear()
            if found := self._take(max_records):
                return found
            try:
                async with asyncio.timeout_at(deadline):
                    await self.wake.wait()
            except TimeoutError:
                self._require_open()
                return ()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            raise ValueError("aiokafka refuses an empty commit")
        await asyncio.sleep(0)
        self._require_open()
        self._log.require_up()
        if others := offsets.keys() - self.cursors.keys():
            raise Fenced(f"not assigned to this member: {', '.join(map(str, sorted(others)))}")
        self._group.committed.update(offsets)

    def assignment(self) -> AbstractSet[TopicPartition]:
        return frozenset(self.cursors)

    def reached(self) -> Mapping[TopicPartition, int]:
        return {item: cursor.position for item, cursor in self.cursors.items()}

    def pause(self, partitions: AbstractSet[TopicPartition]) -> None:
        for partition in partitions & self.cursors.keys():
            self.cursors[partition].paused = True

    def resume(self, partitions: AbstractSet[TopicPartition]) -> None:
        for partition in partitions & self.cursors.keys():
            self.cursors[partition].paused = False
        self.wake.set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.cursors:
            raise Fenced(f"{partition} is not assigned to this member")
        self.cursors[partition].position = offset
        self.wake.set()

    async def close(self) -> None:
        if self._closed:
            return
        if self in self._group.members:
            await self._log._change(self._name(), leaving=self)
        self._closed = True
        self.wake.set()

    async def revoke(self) -> None:
        """Tell the listener, then give up all partitions."""
        if self.cursors and self._listener is not None:
            await self._listener.on_revoked(frozenset(self.cursors))
        self.cursors.clear()

    async def give(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Own partitions from now on, reading from ``offsets``."""
        self.cursors = {item: _Cursor(offset) for item, offset in offsets.items()}
        if self.cursors and self._listener is not None:
            await self._listener.on_assigned(frozenset(self.cursors))
        self.wake.set()

    def _name(self) -> str:
        groups = self._log._groups
        return next(name for name, group in groups.items() if group is self._group)

    def _require_open(self) -> None:
        self._log.require_open()
        if self._closed:
            raise LogUnavailable("the consumer is closed")

    def _take(self, max_records: int) -> list[Record]:
        """Records of all partitions, in order inside each; with an rng some of them only."""
        found: list[Record] = []
        partitions = [item for item, cursor in self.cursors.items() if not cursor.paused]
        if self._log.rng is not None:
            self._log.rng.shuffle(partitions)
        for partition in partitions:
            found += self._take_from(partition, max_records - len(found))
        return found

    def _take_from(self, partition: TopicPartition, limit: int) -> list[Record]:
        cursor = self.cursors[partition]
        there = self._log.there(partition, cursor.position, limit)
        if there and self._log.rng is not None:
            there = there[: self._log.rng.randint(1, len(there))]
        if there:
            cursor.position = there[-1].offset + 1
        return there


def _stored(partition: TopicPartition, offset: int, record: OutRecord, at_ms: int) -> Record:
    name, number = partition.topic, partition.partition
    return Record(name, number, offset, record.key, record.value, record.headers, at_ms)


def _share(group: _Group, member: FakeConsumer) -> dict[TopicPartition, int]:
    """What a member owns: each partition goes round among those who subscribe to it."""
    shares = {}
    for partition in member.subscribed:
        able = [one for one in group.members if partition in one.subscribed]
        if able[partition.partition % len(able)] is member:
            shares[partition] = group.committed.get(partition, 0)
    return shares
