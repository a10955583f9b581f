"""Waiting for what a log delivers: generous limits, but no longer than it takes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from bus.port import Consumer, Log
from bus.record import OutRecord, Record, TopicPartition

# Seconds. A broker may take several to let a member into a group.
WITHIN = 60.0
# Seconds after which nothing more is taken to be coming.
QUIET = 0.5


def unique(name: str) -> str:
    """A topic or group name that nobody has used."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def numbered(topic: str, count: int, key: bytes | None = None) -> list[OutRecord]:
    """Records with values 0, 1, 2...; each with a key of its own unless one is given."""
    return [
        OutRecord(topic, b"key-%d" % n if key is None else key, b"%d" % n) for n in range(count)
    ]


async def send(log: Log, records: Sequence[OutRecord]) -> None:
    """Send ``records`` with a producer of their own."""
    producer = await log.producer()
    await producer.send(records)
    await producer.close()


async def read_all(log: Log, topic: str) -> list[Record]:
    """Every record of ``topic``, partition by partition."""
    found: list[Record] = []
    for partition, end in (await log.end_offsets(topic)).items():
        at = 0
        while at < end:
            records = await log.read(partition, at, 100)
            assert records, f"{partition} ends at {end}, but nothing is there from {at} on"
            found += records
            at = records[-1].offset + 1
    return found


async def drain(consumer: Consumer, count: int, within: float = WITHIN) -> list[Record]:
    """Poll until ``count`` records came; fails after ``within`` seconds."""
    found: list[Record] = []
    deadline = asyncio.get_running_loop().time() + within
    while len(found) < count:
        left = deadline - asyncio.get_running_loop().time()
        assert left > 0, f"{len(found)} of {count} records came within {within} s"
        found += await consumer.poll(100, min(left, 1.0))
    return found


async def nothing_comes(*consumers: Consumer) -> None:
    """Fail if one of ``consumers`` still gets a record."""
    polled = await asyncio.gather(*(consumer.poll(100, QUIET) for consumer in consumers))
    assert [str(record) for records in polled for record in records] == []


def next_offsets(records: Iterable[Record]) -> dict[TopicPartition, int]:
    """What to commit when ``records`` have been dealt with."""
    offsets: dict[TopicPartition, int] = {}
    for record in records:
        offsets[record.source] = max(record.offset + 1, offsets.get(record.source, 0))
    return offsets


def positions(records: Iterable[Record]) -> list[tuple[str, int, int]]:
    """Where ``records`` were read, sorted."""
    return sorted((record.topic, record.partition, record.offset) for record in records)


def values(records: Iterable[Record]) -> list[bytes | None]:
    """The values of ``records`` in their order."""
    return [record.value for record in records]


class Reading:
    """Members that are polled in the background, and what each of them got."""

    def __init__(self) -> None:
        self.got: dict[Consumer, list[Record]] = {}
        self._polling: dict[Consumer, asyncio.Task[None]] = {}
        self._stopping: set[Consumer] = set()
        self._polled = asyncio.Condition()

    def add(self, *consumers: Consumer) -> None:
        """Begin to poll ``consumers``."""
        for consumer in consumers:
            self.got[consumer] = []
            self._polling[consumer] = asyncio.create_task(self._poll(consumer))

    async def remove(self, consumer: Consumer) -> None:
        """Stop polling ``consumer``, after the poll that is under way."""
        self._stopping.add(consumer)
        await self._polling.pop(consumer)

    @property
    def records(self) -> list[Record]:
        """Everything that came, member by member."""
        return [record for records in self.got.values() for record in records]

    async def until(self, condition: Callable[[], bool], within: float = WITHIN) -> None:
        """Wait until ``condition`` holds; looked at after every poll, raises what a poll did."""

        def looked_at() -> bool:
            for task in self._polling.values():
                if task.done():
                    task.result()
            return condition()

        async with asyncio.timeout(within), self._polled:
            await self._polled.wait_for(looked_at)

    async def stop(self) -> None:
        """Stop all polling."""
        for task in self._polling.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _poll(self, consumer: Consumer) -> None:
        try:
            while consumer not in self._stopping:
                self.got[consumer] += await consumer.poll(100, 0.2)
                await self._tell()
        finally:
            await self._tell()

    async def _tell(self) -> None:
        async with self._polled:
            self._polled.notify_all()


@asynccontextmanager
async def reading(*consumers: Consumer) -> AsyncIterator[Reading]:
    """Poll ``consumers`` in the background inside the block."""
    background = Reading()
    background.add(*consumers)
    try:
        yield background
    finally:
        await background.stop()


def share_all(
    members: Sequence[Consumer], partitions: Mapping[TopicPartition, int]
) -> Callable[[], bool]:
    """Condition: each of ``members`` has some of ``partitions``, all are had, none twice."""

    def holds() -> bool:
        assigned = [member.assignment() for member in members]
        owned = sorted(partition for partitions in assigned for partition in partitions)
        return all(assigned) and owned == sorted(partitions)

    return holds


@asynccontextmanager
async def lines_of(source: str) -> AsyncIterator[asyncio.StreamReader]:
    """Standard output of a Python process, which ends with the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), WITHIN) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def next_line(stream: asyncio.StreamReader) -> bytes:
    """The next line; empty when the process has ended."""
    return await asyncio.wait_for(stream.readline(), WITHIN)
