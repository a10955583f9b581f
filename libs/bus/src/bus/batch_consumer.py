"""Consumes in batches: decode, apply, bury what is bad, commit; hold what must wait.

One loop per consumer. A batch goes through ``apply`` whole; if that fails it goes record by
record, so that one bad record costs no other. A record that must wait holds its own partition
only: the partition is paused, the loop keeps polling the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from contracts.events.base import Event
from contracts.telemetry import RECORDS
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import counter
from runtime.tasks import Background, wait_for

from bus.apply import Apply, Batch
from bus.codec import Delivered
from bus.dead_letter import DeadLetters, Rejected
from bus.errors import ConsumerHalted, Fenced, LogUnavailable, TooEarly, Unavailable
from bus.failpoint import hit
from bus.intake import Intake
from bus.port import Consumer, Log
from bus.record import Record, TopicPartition
from bus.retry import Action, RetryPolicy, Verdict

_log = logger(__name__)
POLL_SECONDS = 0.2
REVOKE_SECONDS = 10.0


@dataclass
class _Held:
    """Records of a paused partition, from the one that failed on, due at a loop time."""

    records: list[Record]
    due: float


class BatchConsumer:
    """One member of a service's consumer group over the topics of its intake."""

    def __init__(
        self,
        *,
        log: Log,
        group: str,
        intake: Intake,
        apply: Apply,
        dead_letters: DeadLetters,
        policy: RetryPolicy | None = None,
        max_records: int = 500,
    ) -> None:
        self._source = log
        self._group = group
        self._intake = intake
        self._apply = apply
        self._dead_letters = dead_letters
        self._policy = policy or RetryPolicy()
        self._max_records = max_records
        self._held: dict[TopicPartition, _Held] = {}
        self._attempts: dict[TopicPartition, tuple[int, int]] = {}
        self._owed: dict[TopicPartition, int] = {}  # offsets to commit, until the log has them
        self._committed: dict[TopicPartition, int] = {}  # by this member, since it was given them
        self._consumer: Consumer | None = None
        self._halted = False
        self._working = asyncio.Lock()
        self._task = Background(f"{group} consumer", self._run)

    async def start(self) -> None:
        """Join the group and begin to consume."""
        self._consumer = await self._source.consumer(self._group, list(self._intake.topics), self)
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Finish the batch at hand, commit it, leave the group."""
        await self._task.stop(deadline)
        if self._consumer is not None:
            await self._consumer.close()

    async def healthy(self) -> bool:
        """False once the loop has ended, by too many rejections or by a defect."""
        return self._task.running

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Let the batch at hand commit, then forget what was held: the next owner reads it."""
        try:
            async with asyncio.timeout(REVOKE_SECONDS), self._working:
                self._forget(partitions)
        except TimeoutError:
            self._forget(partitions)

    def _forget(self, partitions: AbstractSet[TopicPartition]) -> None:
        for partition in partitions:
            self._held.pop(partition, None)
            self._attempts.pop(partition, None)
            self._owed.pop(partition, None)
            self._committed.pop(partition, None)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Nothing to prepare."""

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set() and not self._halted:
            try:
                await self._work_on(await self._fresh())
                for partition in self._due():
                    await self._work_on(self._release(partition))
            except ConsumerHalted as halt:
                self._halted = True
                _log.error("consumer halted", group=self._group, reason=str(halt))
            except LogUnavailable as error:
                _log.warning("log unavailable", group=self._group, error=str(error))
                await wait_for(stopping, 1.0)

    async def _work_on(self, batch: Sequence[Record]) -> None:
        if batch or self._owed or self._passed():
            async with self._working:
                await (self._work(batch) if batch else self._commit())

    def _passed(self) -> dict[TopicPartition, int]:
        """Offsets past the last record of partitions in which all is done, not yet committed.

        Without them a group would seem to be behind for as long as no record comes after the end
        of a transaction.
        """
        assert self._consumer is not None
        return {
            partition: offset
            for partition, offset in self._consumer.reached().items()
            if partition not in self._held and offset > self._committed.get(partition, 0)
        }

    async def _fresh(self) -> list[Record]:
        """What the log has for partitions that are not held."""
        assert self._consumer is not None
        polled = await self._consumer.poll(self._max_records, self._until_due())
        return [record for record in polled if not self._joins_held(record)]

    def _joins_held(self, record: Record) -> bool:
        """A record that was on its way when its partition was paused waits behind the others."""
        held = self._held.get(record.source)
        if held is not None:
            held.records.append(record)
        return held is not None

    def _due(self) -> list[TopicPartition]:
        now = asyncio.get_running_loop().time()
        return [item for item, held in self._held.items() if held.due <= now]

    def _release(self, partition: TopicPartition) -> list[Record]:
        """Held records, on their own: what keeps them may keep no other partition."""
        held = self._held.pop(partition, None)
        return [] if held is None else held.records

    def _until_due(self) -> float:
        now = asyncio.get_running_loop().time()
        waits = [held.due - now for held in self._held.values()]
        return min([POLL_SECONDS, *(max(0.0, wait) for wait in waits)])

    async def _work(self, batch: Sequence[Record]) -> None:
        try:
            decoded, rejected = await self._intake.read(batch)
        except LogUnavailable as error:
            self._hold_all(batch, self._policy.verdict(error, 0))
            return
        hit("consumer-after-decode")
        stuck = await self._settle(decoded, rejected)
        settled = [item for item in rejected if not _behind(item.record, stuck)]
        done = len(batch) - len(rejected) - sum(map(len, stuck.values()))
        try:
            await self._dead_letters.bury(settled, applied=max(0, done))
        except LogUnavailable as error:
            self._hold_all(batch, self._policy.verdict(error, 0))
            return
        self._note_rejected(settled)
        await self._advance(batch, stuck)

    async def _settle(
        self, decoded: Batch[Event], rejected: list[Rejected]
    ) -> dict[TopicPartition, list[Record]]:
        """Apply what can be applied; return per partition what has to wait."""
        try:
            await self._apply(decoded)
        except Unavailable as error:
            return self._wait(decoded, error)
        except Exception:  # noqa: BLE001 - found again, and judged, record by record
            return await self._one_by_one(decoded, rejected)
        return {}

    def _wait(
        self, decoded: Batch[Event], error: Unavailable
    ) -> dict[TopicPartition, list[Record]]:
        """Something is down, or it is too early: partitions wait, no attempt is spent."""
        stuck: dict[TopicPartition, list[Record]] = {}
        for item in decoded:
            stuck.setdefault(item.record.source, []).append(item.record)
        log = _log.debug if isinstance(error, TooEarly) else _log.warning
        log("waiting", group=self._group, records=len(decoded), error=str(error))
        for partition, records in stuck.items():
            self._hold(partition, records, self._policy.verdict(error, 2).delay)
        return stuck

    async def _one_by_one(
        self, decoded: Batch[Event], rejected: list[Rejected]
    ) -> dict[TopicPartition, list[Record]]:
        stuck: dict[TopicPartition, list[Record]] = {}
        for item in decoded:
            partition = item.record.source
            if partition in stuck:
                stuck[partition].append(item.record)
                continue
            verdict = await self._try(item, rejected)
            if verdict is not None:
                stuck[partition] = [item.record]
                self._hold(partition, stuck[partition], verdict.delay)
        return stuck

    async def _try(self, item: Delivered[Event], rejected: list[Rejected]) -> Verdict | None:
        """Apply one record; the verdict if it has to wait, None if it is settled."""
        spent = self._spent(item.record)
        try:
            await self._apply([item])
        except Exception as error:  # noqa: BLE001 - the policy judges every kind
            verdict = self._policy.verdict(error, spent)
            if verdict.action is Action.REJECT:
                rejected.append(Rejected(item.record, verdict.reason, _said(error), spent + 1))
                return None
            _log.warning(
                "will try again", record=str(item.record), delay=verdict.delay, error=_said(error)
            )
            counter(RECORDS).labels(self._group, item.record.topic, "retried").inc()
            if verdict.action is Action.RETRY:
                self._attempts[item.record.source] = (item.record.offset, spent + 1)
            return verdict
        return None

    def _spent(self, record: Record) -> int:
        offset, spent = self._attempts.get(record.source, (-1, 0))
        return spent if offset == record.offset else 0

    def _hold(self, partition: TopicPartition, records: list[Record], delay: float) -> None:
        assert self._consumer is not None
        if partition not in self._consumer.assignment():
            return  # its next owner reads them again
        due = asyncio.get_running_loop().time() + delay
        self._held[partition] = _Held(records, due)
        self._consumer.pause({partition})

    def _hold_all(self, batch: Sequence[Record], verdict: Verdict) -> None:
        by_partition: dict[TopicPartition, list[Record]] = {}
        for record in batch:
            by_partition.setdefault(record.source, []).append(record)
        for partition, records in by_partition.items():
            self._hold(partition, records, max(verdict.delay, 0.5))

    def _note_rejected(self, settled: Sequence[Rejected]) -> None:
        for item in settled:
            counter(RECORDS).labels(self._group, item.record.topic, "dead_lettered").inc()

    async def _advance(
        self, batch: Sequence[Record], stuck: Mapping[TopicPartition, list[Record]]
    ) -> None:
        """Commit up to the first record that waits, and let settled partitions flow again."""
        assert self._consumer is not None
        self._complete_held(batch, stuck)
        for record in batch:
            if not _behind(record, stuck):
                self._owed[record.source] = record.offset + 1
        free = {record.source for record in batch} - self._held.keys()
        self._consumer.resume(free & self._consumer.assignment())
        await self._commit()
        hit("consumer-after-offset")

    async def _commit(self) -> None:
        assert self._consumer is not None
        owned = self._consumer.assignment()
        for partition, offset in self._passed().items():
            self._owed[partition] = max(offset, self._owed.get(partition, 0))
        # One partition that is gone would have the commit of all the others refused.
        self._owed = {item: offset for item, offset in self._owed.items() if item in owned}
        if not self._owed:
            return  # aiokafka takes an empty commit for a mistake
        try:
            await self._consumer.commit(self._owed)
        except Fenced as error:
            _log.info("partition moved before commit", group=self._group, error=str(error))
        self._committed |= self._owed
        self._owed = {}

    def _complete_held(
        self, batch: Sequence[Record], stuck: Mapping[TopicPartition, list[Record]]
    ) -> None:
        """Poison behind a waiting record waits with it, in order."""
        for partition, waiting in stuck.items():
            if partition in self._held:
                first = waiting[0].offset
                self._held[partition].records = [
                    record
                    for record in batch
                    if record.source == partition and record.offset >= first
                ]


def _behind(record: Record, stuck: Mapping[TopicPartition, list[Record]]) -> bool:
    waiting = stuck.get(record.source)
    return waiting is not None and record.offset >= waiting[0].offset


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
