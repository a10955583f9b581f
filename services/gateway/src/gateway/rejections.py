"""Reads the DLQs of topics open to producers outside, so that tenants see what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bus.errors import BusError
from bus.port import Log
from bus.record import Record, TopicPartition
from bus.tenants import TenantDirectory
from contracts.topics import TOPICS, dlq_name
from runtime.logging import logger
from runtime.tasks import Periodic

from gateway import translation
from gateway.domain.ports import RejectionStore
from gateway.domain.rejections import Rejection

_log = logger(__name__)
LOOK_SECONDS = 5.0
READ_AT_ONCE = 25
"""A letter may hold 4 MiB, and more once it is decompressed."""
PUBLIC = tuple(topic for topic in TOPICS if topic.public)
DLQS = tuple(dlq_name(topic.name, group) for topic in PUBLIC for group in topic.consumers)


class RejectionReading:
    """Follows the DLQs of all services, without a group: where it stands is stored with the rest.

    Replicas may do so side by side.
    """

    def __init__(self, log: Log, store: RejectionStore, tenants: TenantDirectory) -> None:
        self._source = log
        self._store = store
        self._tenants = tenants

    def periodic(self) -> Periodic:
        """A component that looks every few seconds."""
        return Periodic("rejected events", LOOK_SECONDS, self.turn, (BusError,))

    async def turn(self) -> None:
        """Take in all there is now. Raises LogUnavailable, Unavailable."""
        known = await self._store.read_to()
        for name in DLQS:
            for partition, end in (await self._source.end_offsets(name)).items():
                await self._read(partition, known.get((name, partition.partition), 0), end)

    async def _read(self, partition: TopicPartition, start: int, end: int) -> None:
        """Up to ``end``. A log that was made anew, and ends sooner, is read from its beginning."""
        offset = start if start <= end else 0
        while offset < end:
            records = await self._source.read(partition, offset, READ_AT_ONCE)
            # Without records the last ones are gone: they were too old.
            after = records[-1].offset + 1 if records else end
            place, found = (partition.topic, partition.partition), await self._told(records)
            if not await self._store.take_in(place, start, after, found):
                return
            start = offset = after

    async def _told(self, records: Sequence[Record]) -> list[Rejection]:
        found: list[Rejection] = []
        for record in records:
            rejection = _rejection(record)
            found += [] if rejection is None else [rejection]
            await asyncio.sleep(0)  # to look into a large body holds the loop
        if any(one.tenant_id not in self._tenants for one in found):
            await self._tenants.catch_up()
        return [one for one in found if one.tenant_id in self._tenants]


def _rejection(letter: Record) -> Rejection | None:
    try:
        return translation.rejection(letter)
    except (KeyError, ValueError, OverflowError) as error:
        _log.warning("dead letter skipped", record=str(letter), error=repr(error))
        return None
