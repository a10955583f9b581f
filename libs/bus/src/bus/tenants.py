"""Which tenants there are, as this process knows it from the log."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from contracts.events.base import Event
from contracts.events.tenancy import TenantChanged
from contracts.topics import TENANT_CHANGED, Topic
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.tasks import Periodic

from bus.codec import decode
from bus.errors import BusError, LogUnavailable, Permanent, Poison
from bus.port import Log
from bus.record import Record, TopicPartition

_log = logger(__name__)
FOLLOW_SECONDS = 10.0
READ_AT_ONCE = 5000
_TOPICS: dict[str, Topic[Event]] = {TENANT_CHANGED.name: TENANT_CHANGED}  # type: ignore[dict-item]


class TenantDirectory:
    """Reads ``tenant.changed.v1`` whole into memory, without a group, and follows it.

    To ask is to look into a dict. Who is told that a tenant does not exist calls ``catch_up``
    and asks once more before it refuses anything: the topic may have moved on.
    """

    def __init__(self, log: Log) -> None:
        self._source = log
        self._states: dict[str, tuple[datetime, bool]] = {}
        self._read: dict[TopicPartition, int] = {}
        self._reading = asyncio.Lock()
        # A log that is not there yet keeps no service from starting: records wait for it anyway.
        self._follow = Periodic("tenant directory", FOLLOW_SECONDS, self.catch_up, (BusError,))

    async def start(self) -> None:
        """Begin to read."""
        await self._follow.start()

    async def stop(self, deadline: Deadline) -> None:
        """Stop following; nothing is open."""
        await self._follow.stop(deadline)

    def __contains__(self, tenant_id: str) -> bool:
        _, exists = self._states.get(tenant_id, (None, False))
        return exists

    async def catch_up(self) -> None:
        """Read all that was on the topic when this was called.

        Raises:
            LogUnavailable: the log does not answer, or has no such topic yet.
        """
        async with self._reading:
            try:
                for partition, end in (await self._source.end_offsets(TENANT_CHANGED.name)).items():
                    await self._read_to(partition, end)
            except Permanent as error:
                raise LogUnavailable(f"{error} (limelight topics apply)") from error

    async def _read_to(self, partition: TopicPartition, end: int) -> None:
        if self._read.get(partition, 0) > end:
            self._read[partition] = 0  # another log than before, or one that was made anew
        while (offset := self._read.get(partition, 0)) < end:
            records = await self._source.read(partition, offset, READ_AT_ONCE)
            for record in records:
                self._take(record)
            # Without records the last ones were compacted away: there is nothing up to the end.
            self._read[partition] = records[-1].offset + 1 if records else end

    def _take(self, record: Record) -> None:
        try:
            event: Any = decode(_TOPICS, record).event
        except Poison as poison:
            _log.warning("record skipped", record=str(record), reason=str(poison))
            return
        self._learn(event)

    def _learn(self, event: TenantChanged) -> None:
        """An older state that arrives later changes nothing."""
        known = self._states.get(event.tenant_id)
        if known is None or known[0] <= event.changed_at:
            self._states[event.tenant_id] = (event.changed_at, not event.deleted)
