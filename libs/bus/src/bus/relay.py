"""Publishes the outbox: read, send, await the acknowledgement, mark. One active relay a service.

A crash after the send and before the mark publishes a row twice, with the same id: consumers
skip it by their inbox.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from contracts.telemetry import OUTBOX_OLDEST, OUTBOX_PUBLISHED
from contracts.topics import TENANT_CHANGED
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import counter, gauge
from runtime.tasks import Background, Periodic, wait_for

from bus import tracing
from bus.errors import RecordTooLarge, Transient, Unavailable
from bus.failpoint import hit
from bus.outbox import Outbox, OutboxRow
from bus.port import Log, Producer

_log = logger(__name__)
IDLE_SECONDS = 1.0
STANDBY_SECONDS = 1.0
MEASURE_SECONDS = 1.0


class Relay:
    """Publishes one service's outbox for as long as it is the active relay."""

    def __init__(self, service: str, outbox: Outbox, log: Log, *, batch: int = 500) -> None:
        self._service = service
        self._outbox = outbox
        self._source = log
        self._batch = batch
        self._producer: Producer | None = None
        self._task = Background(f"{service} relay", self._run)
        self._meter = Periodic(
            f"{service} outbox meter", MEASURE_SECONDS, self._measure, (Transient,)
        )

    async def start(self) -> None:
        """Begin to publish as soon as no other process does."""
        self._producer = await self._source.producer()
        await self._task.start()
        await self._meter.start()

    async def stop(self, deadline: Deadline) -> None:
        """Publish what is there, then give up being the active relay."""
        await self._task.stop(deadline)
        await self._meter.stop(deadline)
        await self._outbox.release()
        if self._producer is not None:
            await self._producer.close()

    async def healthy(self) -> bool:
        """Whether the relay is still at work, active or standing by."""
        return self._task.running

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                if await self._outbox.acquire():
                    await self._publish_until(stopping)
                else:
                    await wait_for(stopping, STANDBY_SECONDS)
            except Transient as error:
                _log.warning("relay waits", service=self._service, error=str(error))
                await wait_for(stopping, 1.0)
        await self._drain()

    async def _publish_until(self, stopping: asyncio.Event) -> None:
        # Asked every time: the lock goes with its connection, and another process may have it.
        while not stopping.is_set() and await self._outbox.acquire():
            if not await self._publish_some():
                await self._idle(stopping)

    async def _idle(self, stopping: asyncio.Event) -> None:
        """Until there may be something new, or it is time to stop."""
        waits = {
            asyncio.create_task(self._outbox.wait(IDLE_SECONDS)),
            asyncio.create_task(stopping.wait()),
        }
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        for task in done:
            task.result()

    async def _drain(self) -> None:
        """Rows of the last commands go out before the process does; if not, its next run sends."""
        try:
            while await self._outbox.acquire() and await self._publish_some():
                pass
        except Transient as error:
            _log.warning("outbox not drained", service=self._service, error=str(error))

    async def _publish_some(self) -> int:
        rows = await self._outbox.pending(self._batch)
        if rows:
            hit("relay-before-send")
            await self._send(rows)
            hit("relay-after-send")
            await self._outbox.mark_published(rows)
            hit("relay-after-mark")
            self._count(rows)
        return len(rows)

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        assert self._producer is not None
        try:
            # A tenant is on the log before whatever was written after it, also for other readers.
            for _, part in groupby(rows, key=lambda row: row.topic == TENANT_CHANGED.name):
                with tracing.sending(list(part)) as records:
                    await self._producer.send(records)
        except RecordTooLarge as error:
            # Sizes are checked before rows are written: this is a topic narrower than declared.
            raise Unavailable(f"a topic is narrower than its contract: {error}") from error

    def _count(self, rows: Sequence[OutboxRow]) -> None:
        for topic, number in Counter(row.topic for row in rows).items():
            counter(OUTBOX_PUBLISHED).labels(self._service, topic).inc(number)

    async def _measure(self) -> None:
        gauge(OUTBOX_OLDEST).labels(self._service).set(await self._outbox.oldest_age())
