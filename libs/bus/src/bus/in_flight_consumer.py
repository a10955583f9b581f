"""Consumes slow work: hundreds of records in flight at once, committed in order (R2).

A call to a model takes seconds, so records are worked on side by side, each in its own task, up
to ``window``. Offsets are committed up to the lowest record that is not done: one slow call holds
back the commit, not the work. ``span`` bounds how far work may run ahead of the commit, and with
it what a crash delivers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet

from contracts.events.base import Event
from contracts.telemetry import EVENT_AGE, IN_FLIGHT, RECORDS
from contracts.topics import Topic
from runtime.clock import Clock
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import counter, gauge, histogram
from runtime.tasks import Background, wait_for

from bus import tracing
from bus.codec import Delivered, decode
from bus.dead_letter import DeadLetters, Rejected
from bus.errors import Fenced, LogUnavailable, Poison, Unavailable
from bus.offset_tracker import OffsetTracker
from bus.port import Consumer, Log
from bus.record import Record, TopicPartition
from bus.retry import Action, RetryPolicy

_log = logger(__name__)
POLL_SECONDS = 0.2
COMMIT_SECONDS = 0.05
REVOKE_SECONDS = 5.0

Handle = Callable[[Delivered[Event]], Awaitable[None]]


class InFlightConsumer:
    """One member of a consumer group whose handler is slow and keeps its own durable record.

    The handler must have stored its result when it returns, and must find it again when the same
    event is delivered twice.
    """

    def __init__(
        self,
        *,
        log: Log,
        group: str,
        topics: Sequence[Topic[Event]],
        handle: Handle,
        dead_letters: DeadLetters,
        clock: Clock,
        policy: RetryPolicy | None = None,
        window: int = 512,
        span: int = 10_000,
    ) -> None:
        self._source = log
        self._group = group
        self._topics = {topic.name: topic for topic in topics}
        self._handle = handle
        self._dead_letters = dead_letters
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._window = window
        self._span = span
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._halt: BaseException | None = None
        self._consumer: Consumer | None = None
        self._gauge = gauge(IN_FLIGHT).labels(group)
        self._loop = Background(f"{group} in-flight consumer", self._run)
        self._committer = Background(f"{group} committer", self._commit_often)

    async def start(self) -> None:
        """Join the group and begin to consume."""
        self._consumer = await self._source.consumer(self._group, list(self._topics), self)
        await self._committer.start()
        await self._loop.start()

    async def stop(self, deadline: Deadline) -> None:
        """Start nothing new, let what is in flight end, commit; cut what the deadline cuts.

        What is cut was not committed: it is delivered again.
        """
        await self._loop.stop(deadline)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, deadline.left - 1))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.stop(deadline)
        await self._commit()
        if self._consumer is not None:
            await self._consumer.close()

    async def healthy(self) -> bool:
        """False once the loop has ended, by too many rejections or by a defect."""
        return self._loop.running and self._committer.running

    async def on_revoked(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Give the calls in flight a moment to end, commit what is done, let the rest go on.

        A call that goes on after this still stores its result: its next owner finds it there.
        """
        await self._quiet(partitions)
        await self._commit()
        for partition in partitions:
            self._trackers.pop(partition, None)

    async def on_assigned(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Start tracking afresh from the committed offset."""
        for partition in partitions:
            self._trackers[partition] = OffsetTracker()

    async def _quiet(self, partitions: AbstractSet[TopicPartition]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + REVOKE_SECONDS
        while self._tasks and loop.time() < until:
            if not any(self._tracker(partition).span for partition in partitions):
                return
            await asyncio.wait(self._tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set() and self._halt is None:
            try:
                await self._fill()
            except LogUnavailable as error:
                _log.warning("log unavailable", group=self._group, error=str(error))
                await wait_for(stopping, 1.0)
        if self._halt is not None:
            _log.error("consumer halted", group=self._group, reason=repr(self._halt))

    async def _fill(self) -> None:
        """Take in as many records as there is room for."""
        assert self._consumer is not None
        room = self._window - len(self._tasks)
        if room <= 0:
            self._room.clear()
            await wait_for(self._room, POLL_SECONDS)
            return
        self._bound_span()
        for record in await self._consumer.poll(room, POLL_SECONDS):
            self._begin(record)

    def _bound_span(self) -> None:
        assert self._consumer is not None
        owned = self._consumer.assignment()
        far = {item for item in owned if self._tracker(item).span >= self._span}
        self._consumer.pause(far)
        self._consumer.resume(set(owned) - far)

    def _begin(self, record: Record) -> None:
        self._tracker(record.source).start(record.offset)
        task = asyncio.create_task(self._work(record, self._tracker(record.source)))
        self._tasks.add(task)
        self._gauge.set(len(self._tasks))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._gauge.set(len(self._tasks))
        self._room.set()
        error = None if task.cancelled() else task.exception()
        # Too many rejections, or a record that could be neither handled nor set aside: going on
        # would only run further ahead of a commit that cannot move.
        self._halt = self._halt or error

    async def _work(self, record: Record, tracker: OffsetTracker) -> None:
        try:
            delivered = decode(self._topics, record)
        except Poison as poison:
            await self._bury(Rejected(record, poison.reason, str(poison), 1))
        else:
            await self._until_settled(delivered)
        tracker.finish(record.offset)

    async def _until_settled(self, item: Delivered[Event]) -> None:
        spent = waits = 0
        while True:
            try:
                await self._traced(item)
            except Exception as error:  # noqa: BLE001 - the policy judges every kind
                # A longer and longer wait: hundreds of records ask what is down all at once.
                down = isinstance(error, Unavailable)
                verdict = self._policy.verdict(error, waits if down else spent)
                said = f"{type(error).__name__}: {error}"
                if verdict.action is Action.REJECT:
                    await self._bury(Rejected(item.record, verdict.reason, said, spent + 1))
                    return
                spent += verdict.action is Action.RETRY
                waits = waits + 1 if down else 0
                self._tell(item.record, verdict.action, said)
                await asyncio.sleep(verdict.delay)
            else:
                await self._dead_letters.bury([], applied=1)
                self._applied(item)
                return

    def _tell(self, record: Record, action: Action, said: str) -> None:
        """Say it; but waiting, with a store down, is the state of hundreds: no line for each."""
        if action is Action.RETRY:
            _log.warning("will try again", record=str(record), error=said)
            self._count(record, "retried")
        else:
            _log.debug("waiting", record=str(record), error=said)

    async def _traced(self, item: Delivered[Event]) -> None:
        with tracing.processing(self._group, item.envelope, item.record):
            await self._handle(item)

    async def _bury(self, rejected: Rejected) -> None:
        while True:
            try:
                await self._dead_letters.bury([rejected])
            except LogUnavailable as error:
                _log.warning("log unavailable", group=self._group, error=str(error))
                await asyncio.sleep(1.0)
            else:
                self._count(rejected.record, "dead_lettered")
                return

    def _applied(self, item: Delivered[Event]) -> None:
        self._count(item.record, "applied")
        age = (self._clock.now() - item.envelope.time).total_seconds()
        histogram(EVENT_AGE).labels(self._group, item.record.topic).observe(max(0.0, age))

    def _count(self, record: Record, outcome: str) -> None:
        counter(RECORDS).labels(self._group, record.topic, outcome).inc()

    async def _commit_often(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await wait_for(stopping, COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        if self._consumer is None:  # revoked while still joining: nothing was read yet
            return
        ready = {item: tracker.take_commit() for item, tracker in self._trackers.items()}
        owned = self._consumer.assignment()
        # One partition that is gone would have the commit of all the others refused.
        offsets = {
            item: offset for item, offset in ready.items() if offset is not None and item in owned
        }
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except Fenced as error:
            _log.info("partition moved before commit", group=self._group, error=str(error))
        except LogUnavailable as error:
            _log.warning("commit not acknowledged", group=self._group, error=str(error))
            for item, offset in offsets.items():
                self._tracker(item).give_back(offset)

    def _tracker(self, partition: TopicPartition) -> OffsetTracker:
        return self._trackers.setdefault(partition, OffsetTracker())
