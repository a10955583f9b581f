"""Fills the read model of recommendations from its topics whenever its store has lost it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bus.codec import Delivered
from bus.errors import BusError
from bus.intake import Intake
from bus.port import Log
from bus.record import Record, TopicPartition
from bus.tenants import TenantDirectory
from contracts.telemetry import READ_MODEL_READY
from contracts.topics import Topic
from runtime.logging import logger
from runtime.metrics import gauge
from runtime.tasks import Periodic

from gateway.domain import NAME
from gateway.domain.ports import ReadModel
from gateway.domain.recommendations import Condition

_log = logger(__name__)
LOOK_SECONDS = 1.0
READ_AT_ONCE = 5000
APPLIED_AT_ONCE = 250
"""Decoding holds the loop: others go on in between."""

Handle = Callable[[Sequence[Delivered[Any]]], Awaitable[None]]


class Rebuilding:
    """Reads the topics from their beginning, without any group, and tells the handlers.

    Handlers meet records that they know, in another order than before: what they keep is the
    highest version. Those who consume the topics go on meanwhile.
    """

    def __init__(
        self,
        log: Log,
        model: ReadModel,
        handlers: Mapping[Topic[Any], Handle],
        tenants: TenantDirectory,
    ) -> None:
        self._source = log
        self._intake = Intake(handlers, tenants)
        self._model = model
        self._handlers = handlers

    def periodic(self) -> Periodic:
        """A component that looks every second."""
        return Periodic("read model rebuilding", LOOK_SECONDS, self.turn, (BusError,))

    async def turn(self) -> None:
        """Rebuild if that is needed and no other replica is at it."""
        ready = gauge(READ_MODEL_READY).labels(NAME)
        condition = Condition.EMPTY
        try:
            condition = await self._model.condition()
        finally:
            ready.set(condition is not Condition.EMPTY)
        if condition is not Condition.READY and await self._rebuilt(condition):
            ready.set(1)

    async def _rebuilt(self, condition: Condition) -> bool:
        lease = await self._model.begin()
        if lease is None:
            return False
        _log.info("read model rebuilding", condition=condition.value)
        records = 0
        for topic, handle in self._handlers.items():
            for partition, end in (await self._source.end_offsets(topic.name)).items():
                read = await self._replayed(handle, partition, end, lease)
                if read is None:
                    return False
                records += read
        done = await self._model.finish(lease)
        _log.info("read model rebuilt", records=records, complete=done)
        return done

    async def _replayed(
        self, handle: Handle, partition: TopicPartition, end: int, lease: str
    ) -> int | None:
        """How many records a partition has up to ``end``; None once the lease is lost."""
        offset = count = 0
        while offset < end:
            records = await self._source.read(partition, offset, READ_AT_ONCE)
            if not records:
                break  # the last ones are gone: of a compacted topic, or too old
            for start in range(0, len(records), APPLIED_AT_ONCE):
                if not await self._model.keep(lease):
                    return None
                await handle(await self._decoded(records[start : start + APPLIED_AT_ONCE]))
            offset, count = records[-1].offset + 1, count + len(records)
        return count

    async def _decoded(self, records: Sequence[Record]) -> list[Delivered[Any]]:
        """What cannot be taken is in a DLQ since it was first met."""
        found, rejected = await self._intake.read(records)
        for item in rejected:
            _log.warning("record skipped", record=str(item.record), reason=item.reason)
        return found
