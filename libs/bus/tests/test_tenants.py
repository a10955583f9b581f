"""Records of public topics belong to tenants that there are, whoever wrote them and when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from bus.apply import Batch
from bus.compose import Lane, listening, publishing
from bus.dead_letter import dlq_fields
from bus.errors import Permanent
from bus.host import Service
from bus.intake import Intake
from bus.lag import lag
from bus.local import LocalLog
from bus.outbox import OutboxRow, originate
from bus.port import TopicSpec
from bus.provision import specs
from bus.publishing import Publisher, Reaction
from bus.record import OutRecord, Record, TopicPartition
from bus.relay import Relay
from bus.replay import Replayed
from bus.tenants import TenantDirectory
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.events.marketing import EngagementRecorded
from contracts.events.tenancy import TenantChanged
from contracts.topics import ENGAGEMENT_RECORDED, TENANT_CHANGED, Topic, dlq_name
from devkit.conformance.polling import read_all
from devkit.fake_log import FakeLog, FakeProducer
from devkit.tenants import announce
from libs.bus.tests.toy_delivery import PLACED, order, quick, send, until
from libs.bus.tests.toy_stores import MemoryKit
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from runtime.ids import new_id

pytestmark = [pytest.mark.usefixtures("quick_loops"), pytest.mark.asyncio]
E = TypeVar("E", bound=Event)
GROUP = "recommender"
DLQ = dlq_name(ENGAGEMENT_RECORDED.name, GROUP)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log.db", sync="normal")
    await opened.create_topics(specs())
    yield opened
    await opened.close()


def click(tenant_id: str, number: int) -> OutRecord:
    event = EngagementRecorded(
        engagement_id=f"e-{number}",
        user_id="ada",
        campaign_id="summer",
        kind="click",
        happened_at=NOW,
        tenant_id=tenant_id,
    )
    return OutRecord(ENGAGEMENT_RECORDED.name, b"ada", event.model_dump_json().encode())


def changed(tenant_id: str, at: datetime, *, deleted: bool = False) -> OutRecord:
    event = TenantChanged(tenant_id=tenant_id, deleted=deleted, changed_at=at)
    envelope = Envelope("e", "gateway", TENANT_CHANGED.name, at, tenant_id, tenant_id, "c")
    return originate(TENANT_CHANGED, event, envelope).record(None)


class Ear:
    """Remembers which engagements reached the handlers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def hear(self, batch: Batch[EngagementRecorded]) -> Sequence[object]:
        self.heard += [item.event.engagement_id for item in batch]
        return ()


class Deaf(Ear):
    """A release that cannot take any."""

    async def hear(self, batch: Batch[EngagementRecorded]) -> Sequence[object]:
        raise Permanent("wrong release")


async def made(log: LocalLog | FakeLog, ear: Ear) -> Service:
    clock = SystemClock()
    lane = Lane("users", [Reaction(ENGAGEMENT_RECORDED, ear.hear)])  # type: ignore[arg-type]
    return await publishing(GROUP, log, Publisher(GROUP, log, clock), [lane], policy=quick())


async def no_lag(log: LocalLog | FakeLog) -> None:
    async def done() -> bool:
        return await lag(log, ENGAGEMENT_RECORDED.name, GROUP) == 0

    await until(done, "no lag")


async def test_only_tenants_that_there_are_reach_a_handler(log: LocalLog) -> None:
    ear = Ear()
    await announce(log, "acme")
    service = await made(log, ear)
    await service.start()
    await send(log, [click("acme", 1), click("nobody", 2), click("acme", 3)])
    await no_lag(log)
    assert ear.heard == ["e-1", "e-3"]
    (letter,) = await read_all(log, DLQ)
    assert dlq_fields(letter)["reason"] == "unknown-tenant"
    said = dlq_fields(letter)["message"]
    assert "'nobody' does not exist" in said
    assert "tenant_id" in said
    assert "limelight tenants create" in said

    # Made while the service runs: what is sent from then on is taken at once.
    await announce(log, "nobody")
    await send(log, [click("nobody", 4)])
    await no_lag(log)
    assert ear.heard == ["e-1", "e-3", "e-4"]
    assert service.replays is not None
    assert await service.replays.all(ENGAGEMENT_RECORDED.name) == Replayed(applied=1, rejected=0)
    assert ear.heard[-1] == "e-2"
    await service.stop(Deadline(5))


def nonsense(number: int) -> OutRecord:
    body = json.dumps({"kind": "hug", "number": number, "tenant_id": "acme"})
    return OutRecord(ENGAGEMENT_RECORDED.name, b"ada", body.encode())


@pytest.mark.parametrize("bad", [lambda number: click("nobody", number), nonsense])
async def test_a_flood_from_outside_halts_nothing(
    log: LocalLog, bad: Callable[[int], OutRecord]
) -> None:
    ear = Ear()
    await announce(log, "acme")
    service = await made(log, ear)
    await service.start()
    await send(log, [*map(bad, range(300)), click("acme", 1)])
    await no_lag(log)
    assert ear.heard == ["e-1"]
    assert await service.checks["consumer-users"]()
    assert len(await read_all(log, DLQ)) == 300
    await service.stop(Deadline(5))


async def test_what_its_own_handler_refuses_halts_it_on_a_public_topic_too(log: LocalLog) -> None:
    await announce(log, "acme")
    service = await made(log, Deaf())
    await service.start()
    await send(log, [click("acme", n) for n in range(60)])

    async def halted() -> bool:
        return not await service.checks["consumer-users"]()

    await until(halted, "halted")
    await service.stop(Deadline(5))


async def test_what_is_replayed_too_early_goes_back(log: LocalLog) -> None:
    ear = Ear()
    service = await made(log, ear)
    await service.start()
    await send(log, [click("nobody", 1)])
    await no_lag(log)
    assert service.replays is not None
    assert await service.replays.all(ENGAGEMENT_RECORDED.name) == Replayed(applied=0, rejected=1)
    found = [dlq_fields(letter) for letter in await read_all(log, DLQ)]
    assert [item["reason"] for item in found] == ["unknown-tenant"] * 2
    assert [item["attempts"] for item in found] == ["1", "2"]
    assert ear.heard == []
    await service.stop(Deadline(5))


class _Asked(FakeLog):
    """A log that counts how often it was asked about tenants."""

    asked = 0

    async def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        self.asked += topic == TENANT_CHANGED.name
        return await super().end_offsets(topic)


async def test_without_the_list_of_tenants_records_wait() -> None:
    """A log that was not provisioned anew, or does not answer: nobody is refused for that."""
    bare = _Asked()
    await bare.create_topics([spec for spec in specs() if spec.name != TENANT_CHANGED.name])
    ear = Ear()
    service = await made(bare, ear)
    await service.start()
    producer = await bare.producer()
    await producer.send([click("acme", 1)])

    async def waits() -> bool:
        return bare.asked >= 3

    await until(waits, "the directory has asked, and the consumer more than once")
    assert ear.heard == []
    await bare.create_topics([TopicSpec(TENANT_CHANGED.name, 1, None)])
    await announce(bare, "acme")
    await no_lag(bare)
    assert ear.heard == ["e-1"]
    assert await read_all(bare, DLQ) == []
    await service.stop(Deadline(5))


async def test_the_later_state_holds_in_whatever_order_they_come(log: LocalLog) -> None:
    directory, later = TenantDirectory(log), NOW + timedelta(seconds=1)
    await send(log, [changed("a", NOW), changed("b", later, deleted=True), changed("b", NOW)])
    await directory.catch_up()
    assert "a" in directory
    assert "b" not in directory
    await send(log, [changed("a", later, deleted=True), changed("b", later)])
    assert "a" in directory
    await directory.catch_up()
    assert "a" not in directory
    assert "b" in directory


async def test_what_is_no_tenant_on_its_topic_is_skipped(log: LocalLog) -> None:
    good = changed("a", NOW)
    junk = [replace(good, value=b"{"), replace(good, key=b"a"), replace(good, headers=())]
    await send(log, [*junk, changed("b", NOW)])
    directory = TenantDirectory(log)
    await directory.catch_up()
    assert ("a" in directory, "b" in directory) == (False, True)


async def test_a_log_that_was_made_anew_is_read_from_its_beginning() -> None:
    log = FakeLog()
    await log.create_topics(specs())
    await announce(log, "a", "b", "c")
    directory = TenantDirectory(log)
    await directory.catch_up()
    for records in log.records.values():
        records.clear()
    await announce(log, "d")
    await directory.catch_up()
    assert "d" in directory


async def test_no_directory_is_needed_where_no_topic_is_public() -> None:
    intake = Intake([PLACED])  # type: ignore[list-item]
    sent = order("a", 1)
    record = Record(sent.topic, 0, 0, sent.key, sent.value, sent.headers, 0)
    decoded, rejected = await intake.read([record])
    assert ([item.tenant_id for item in decoded], rejected) == (["tenant-a"], [])


async def test_nobody_reads_a_public_topic_without_a_directory(log: LocalLog) -> None:
    topics: list[Topic[Event]] = [ENGAGEMENT_RECORDED]  # type: ignore[list-item]
    with pytest.raises(ValueError, match="public topics need a directory"):
        Intake(topics)
    ear = Ear()
    service = await listening(GROUP, log, topics, ear.hear)  # type: ignore[arg-type]
    assert any(isinstance(part, TenantDirectory) for part in service.components)
    given = TenantDirectory(log)
    service = await listening(GROUP, log, topics, ear.hear, tenants=given)  # type: ignore[arg-type]
    assert given not in service.components


class _Calls(FakeLog):
    """A log that remembers which topics each call of a producer wrote to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []

    async def producer(self) -> FakeProducer:
        producer, calls = await super().producer(), self.calls
        send = producer.send

        async def told(records: Sequence[OutRecord]) -> None:
            calls.append([record.topic for record in records])
            await send(records)

        producer.send = told  # type: ignore[method-assign]
        return producer


async def test_the_relay_puts_a_tenant_on_the_log_before_what_follows() -> None:
    """Acknowledged before: who has seen the later records finds the tenant on the log."""
    kit, log = MemoryKit(), _Calls()
    await log.create_topics(specs())
    event = EngagementRecorded.model_validate_json(click("acme", 1).value or b"")
    rows = [_row(ENGAGEMENT_RECORDED, event, "old"), _row(TENANT_CHANGED, _tenant(), "acme")]
    rows += [_row(ENGAGEMENT_RECORDED, event, "acme"), _row(ENGAGEMENT_RECORDED, event, "acme")]
    async with kit.store.transaction() as transaction:
        await transaction.add(rows)
    relay = Relay("gateway", kit.outbox, log)
    await relay.start()

    async def published() -> bool:
        return await kit.unpublished() == 0

    await until(published, "all is published")
    await relay.stop(Deadline(5))
    told, tenants = ENGAGEMENT_RECORDED.name, TENANT_CHANGED.name
    assert log.calls == [[told], [tenants], [told, told]]


def _tenant() -> TenantChanged:
    return TenantChanged(tenant_id="acme", changed_at=NOW)


def _row(topic: Topic[E], event: E, tenant_id: str) -> OutboxRow:
    event_id = str(new_id())
    subject = topic.key_of(event)
    return originate(
        topic, event, Envelope(event_id, "gateway", topic.name, NOW, subject, tenant_id, event_id)
    )
