"""The whole service on a local log and a file: what goes in, and what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from bus.codec import decode
from bus.host import Service, connect
from bus.port import Log
from bus.provision import provision
from bus.record import OutRecord
from contracts.envelope import from_headers
from contracts.events.marketing import AffinityChanged
from contracts.examples import Example, examples
from contracts.topics import AFFINITY_CHANGED
from devkit.embedded import EmbeddedPostgres
from devkit.tenants import announce
from graph_loader.app import SERVICE
from graph_loader.settings import Settings
from runtime.deadline import Deadline

pytestmark = pytest.mark.asyncio
SECONDS = 120.0


async def started(dsn: str, log: Log) -> Service:
    settings = Settings(log_url="unused", graph_url=dsn)
    service = await SERVICE.build(settings, log)
    await service.start()
    return service


async def send(log: Log, some: Sequence[Example]) -> None:
    await announce(log, *{from_headers(one.headers).tenant_id for one in some})
    producer = await log.producer()
    await producer.send([OutRecord(one.topic, one.key, one.value, one.headers) for one in some])
    await producer.close()


async def told(log: Log) -> dict[tuple[str, str], AffinityChanged]:
    topics = {AFFINITY_CHANGED.name: AFFINITY_CHANGED}
    found = {}
    for partition in await log.end_offsets(AFFINITY_CHANGED.name):
        for record in await log.read(partition, 0, 1000):
            item = decode(topics, record)  # type: ignore[arg-type]
            assert isinstance(item.event, AffinityChanged)
            found[item.tenant_id, item.event.user_id] = item.event
    return found


async def test_events_of_all_topics_become_candidates(
    tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    dsn = await postgres.database("graph_of_all_topics")
    log = await connect(Settings(log_url=f"local:{tmp_path / 'log'}"))
    await provision(log)
    service = await started(dsn, log)
    ada, ben = ("tenant-kaffeehaus", "u-ada"), ("tenant-kaffeehaus", "u-ben")
    for topic in SERVICE.subscriptions:
        wanted = [one for one in examples(topic.name) if one.case not in ("first-of-all", "one")]
        await send(log, wanted)
    async with asyncio.timeout(SECONDS):
        while not (found := await told(log)).keys() >= {ada, ben} or not found[ada].candidates:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.1)
    assert "espresso-week" in {one.campaign_id for one in found[ada].candidates}
    assert all([await check() for check in service.checks.values()])
    await service.stop(Deadline(10))
    again = await started(dsn, log)
    await again.stop(Deadline(10))
    await log.close()
