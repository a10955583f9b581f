"""The full pipeline of one transactional service, as ``bus.compose.transactional`` builds it.

Without its lag meter and pruner, which work by the clock and not by the record, and with the size
of a batch to be chosen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bus.apply import TransactionalApply
from bus.batch_consumer import BatchConsumer
from bus.dead_letter import DeadLetters
from bus.host import Service
from bus.intake import Intake
from bus.port import Log
from bus.relay import Relay
from contracts.topics import Topic
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from tests.load.stores import Kit
from tests.load.workload import Route


@asynccontextmanager
async def pipeline(log: Log, route: Route, kit: Kit, max_records: int) -> AsyncIterator[None]:
    """Consumer and relay, running inside the block."""
    service = await _built(log, route, kit, max_records)
    await service.start()
    try:
        yield
    finally:
        await service.stop(Deadline(10))
        await kit.close()


async def _built(log: Log, route: Route, kit: Kit, max_records: int) -> Service:
    clock, source = SystemClock(), route.source
    topics: list[Topic[Any]] = [source]
    consumer = BatchConsumer(
        log=log,
        group=route.name,
        intake=Intake(topics),
        apply=TransactionalApply(route.name, kit.store, kit.bind, [route.subscription()], clock),
        dead_letters=DeadLetters(await log.producer(), route.name, clock),
        max_records=max_records,
    )
    return Service([Relay(route.name, kit.outbox, log), consumer])
