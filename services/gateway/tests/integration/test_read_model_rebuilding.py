"""A Redis that lost everything is filled from the log, and says so meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus.errors import LogUnavailable, Unavailable
from bus.local import LocalLog
from bus.port import Log
from bus.provision import specs
from bus.publishing import Publisher
from bus.record import OutRecord, Record, TopicPartition
from bus.tenants import TenantDirectory
from contracts.events.base import Event
from contracts.telemetry import READ_MODEL_READY
from contracts.topics import RECOMMENDATION_CHANGED, TOPICS, Topic
from devkit.embedded import EmbeddedRedis
from devkit.fake_log import FakeLog
from devkit.tenants import announce
from gateway import rebuilding
from gateway.domain.recommendations import Condition
from gateway.rebuilding import Handle, Rebuilding
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from runtime.metrics import value
from services.gateway.tests.calling_api import problem
from services.gateway.tests.kits import Kit, redis_on
from services.gateway.tests.marketing import (
    AS_OF,
    Replica,
    a_campaign,
    forgotten,
    forgotten_list,
    ids,
    own_list,
    popular_list,
    replica,
    version_at,
)

pytestmark = pytest.mark.asyncio
USERS = 60
_TOPIC_OF: dict[type[Event], Topic[Event]] = {topic.event: topic for topic in TOPICS}


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        yield made


def rebuilder(one: Replica, log: Log | None = None) -> Rebuilding:
    return rebuilding_of(one, log or one.log, one.listeners.rebuilding())


def rebuilding_of(one: Replica, log: Log, handlers: Mapping[Topic[Any], Handle]) -> Rebuilding:
    return Rebuilding(log, one.lists, handlers, TenantDirectory(log))


async def publish(log: Log, tenant_id: str, *events: Event) -> None:
    """Told on the log, where nobody has read it yet."""
    await announce(log, tenant_id)
    publisher = Publisher("recommender", log, SystemClock())
    await publisher.start()
    for event in events:
        await publisher.originate(_TOPIC_OF[type(event)], [(tenant_id, event)])
    await publisher.stop(Deadline(1))


def everything(users: int = USERS) -> list[Event]:
    return [
        *(own_list(f"u{n}", version, f"c{version}") for version in (1, 2) for n in range(users)),
        forgotten_list("u0", 3),
        popular_list(1, "p", "q"),
        a_campaign("q", budget="paused", excluded_users=("u1",)),
        a_campaign("c2", excluded_users=("u2",)),
    ]


def ready() -> float:
    return value(READ_MODEL_READY, service="gateway")


async def assert_complete(one: Replica, users: int = USERS) -> None:
    for n in range(3, users):
        assert ids(await one.shown(f"u{n}")) == ["c2"]
    assert ids(await one.shown("u0")) == ids(await one.shown("unknown")) == ["p"]
    assert ids(await one.shown("u2")) == []


async def test_a_new_store_is_filled_and_then_read(one: Replica) -> None:
    await publish(one.log, one.api.tenant_id, *everything())
    refused = await one.api.call("GET", "/v1/recommendations/u1")
    assert "rebuilt" in problem(refused, 503, "read-model-unready")["title"]
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["limelight-source"] == "unready"
    await rebuilder(one).turn()
    await assert_complete(one)
    assert ready() == 1


async def test_a_flushed_store_is_filled_within_seconds(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "LOOK_SECONDS", 3.0)  # until then it stays as it is
    await publish(one.log, one.api.tenant_id, *everything())
    periodic = rebuilder(one).periodic()
    await periodic.start()
    async with asyncio.timeout(60):
        while await one.lists.condition() is not Condition.READY or not ready():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await one.raw.flushall()
    problem(await one.api.call("GET", "/v1/recommendations/u1"), 503, "read-model-unready")
    async with asyncio.timeout(60):
        while (await one.api.call("GET", "/v1/recommendations/u1")).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await assert_complete(one)
    await periodic.stop(Deadline(2))


async def test_what_is_told_during_the_rebuilding_is_kept(one: Replica) -> None:
    await publish(one.log, one.api.tenant_id, *everything())
    handlers = one.listeners.rebuilding()
    handle, told = handlers[RECOMMENDATION_CHANGED], False

    async def interrupted(batch: Sequence[object]) -> None:
        nonlocal told
        if not told:
            told = True
            await one.tell(own_list("u5", 9, "newest"))
        await handle(batch)  # type: ignore[arg-type]

    await rebuilding_of(one, one.log, {**handlers, RECOMMENDATION_CHANGED: interrupted}).turn()
    assert ids(await one.shown("u5")) == ["newest"]
    assert ids(await one.shown("u6")) == ["c2"]


async def test_a_store_that_is_flushed_while_it_is_filled_is_not_called_complete(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "APPLIED_AT_ONCE", 5)
    await publish(one.log, one.api.tenant_id, *everything())
    handlers, calls = one.listeners.rebuilding(), 0
    handle = handlers[RECOMMENDATION_CHANGED]

    async def flushing(batch: Sequence[object]) -> None:
        nonlocal calls
        calls += 1
        await handle(batch)  # type: ignore[arg-type]
        if calls == 3:
            await one.raw.flushall()

    flushed = rebuilding_of(one, one.log, {**handlers, RECOMMENDATION_CHANGED: flushing})
    await flushed.turn()
    assert calls == 3
    assert await one.lists.condition() is Condition.EMPTY
    assert ready() == 0
    await flushed.turn()
    await assert_complete(one)


async def test_a_flush_after_the_last_record_is_not_called_complete_either(one: Replica) -> None:
    lease = await one.lists.begin()
    assert lease is not None
    assert await one.lists.keep(lease)
    await one.raw.flushall()
    assert not await one.lists.finish(lease)
    assert not await one.lists.keep(lease)
    assert await one.lists.condition() is Condition.EMPTY


async def test_one_replica_fills_the_store_and_the_others_wait(
    kit: Kit, one: Replica, redis: EmbeddedRedis
) -> None:
    await publish(one.log, one.api.tenant_id, *everything())
    async with replica(kit, redis, one.log) as other:
        lease = await other.lists.begin()
        assert lease is not None
        await rebuilder(one).turn()
        assert await one.lists.condition() is Condition.EMPTY
        assert await other.lists.finish(lease)
        await rebuilder(one).turn()
        assert ready() == 1
        assert await one.lists.condition() is Condition.READY


async def test_the_lease_of_a_replica_that_died_runs_out(one: Replica) -> None:
    assert await one.lists.begin() is not None
    assert await one.lists.begin() is None
    assert 0 < await one.raw.pttl("rec-rebuild") <= 30_000
    await one.raw.delete("rec-rebuild")
    assert await one.lists.begin() is not None


async def test_a_server_that_begins_anew_is_told_again_and_read_meanwhile(
    kit: Kit, tmp_path: Path
) -> None:
    redis = await redis_on(tmp_path / "redis")
    log = FakeLog()
    await log.create_topics(specs())
    async with replica(kit, redis, log) as one:
        tenant_id = one.api.tenant_id
        await publish(log, tenant_id, own_list("u", 1, "a"))
        await rebuilder(one).turn()
        await redis.stop()
        problem(await one.api.call("GET", "/v1/recommendations/u"), 503, "read-model-unready")
        with pytest.raises(Unavailable):
            await rebuilder(one).turn()
        assert ready() == 0
        # What it had not written to its disk when it died:
        await publish(log, tenant_id, own_list("u", 2, "b"))
        redis = await redis_on(tmp_path / "redis")
        assert ids(await one.shown("u")) == ["a"]
        assert await one.lists.condition() is Condition.BEHIND
        await rebuilder(one).turn()
        assert await one.lists.condition() is Condition.READY
        assert ids(await one.shown("u")) == ["b"]
    await redis.stop()


async def test_the_forgotten_do_not_come_back(one: Replica) -> None:
    """The recommender has not read yet that they are to be forgotten."""
    await publish(
        one.log,
        one.api.tenant_id,
        own_list("u", version_at(AS_OF), "a"),
        forgotten("u", AS_OF + timedelta(seconds=1)),
        popular_list(1, "p"),
    )
    await rebuilder(one).turn()
    shown = await one.shown("u")
    assert (ids(shown), shown["cold"]) == (["p"], True)


async def test_what_cannot_be_read_is_skipped(one: Replica) -> None:
    producer = await one.log.producer()
    key = f"{one.api.tenant_id}/u".encode()
    await producer.send([OutRecord(RECOMMENDATION_CHANGED.name, key, b"{", ())])
    await publish(one.log, one.api.tenant_id, own_list("u", 1, "a"))
    await rebuilder(one).turn()
    assert ids(await one.shown("u")) == ["a"]


class _Compacted(FakeLog):
    """Keeps the last record of each key only, as a compacted topic may."""

    async def read(self, partition: TopicPartition, offset: int, limit: int) -> Sequence[Record]:
        kept = {record.key: record for record in self.records[partition]}
        left = sorted(kept.values(), key=lambda record: record.offset)
        return [record for record in left if record.offset >= offset][:limit]


async def test_offsets_may_have_gaps(
    kit: Kit, redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "READ_AT_ONCE", 3)
    log = _Compacted()
    await log.create_topics(specs())
    async with replica(kit, redis, log) as one:
        await publish(log, one.api.tenant_id, *everything())
        await rebuilder(one).turn()
        await assert_complete(one)


async def test_it_reads_a_real_log(kit: Kit, redis: EmbeddedRedis, tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path / "log.db")
    await log.create_topics(specs())
    async with replica(kit, redis) as one:
        await publish(log, one.api.tenant_id, *everything())
        await log.prune(int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000))
        await rebuilder(one, log).turn()
        await assert_complete(one)
        await log.close()
        await one.raw.flushall()
        with pytest.raises(LogUnavailable):
            await rebuilder(one, log).turn()
        assert await one.lists.condition() is Condition.EMPTY
