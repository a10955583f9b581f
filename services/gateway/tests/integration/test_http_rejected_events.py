"""What services refused of a tenant's events is read from their DLQs and shown to the tenant."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from bus.dead_letter import DeadLetters, Rejected
from bus.errors import LogUnavailable
from bus.provision import DLQ_RETENTION, specs
from bus.record import Headers, OutRecord, Record, TopicPartition
from bus.tenants import TenantDirectory
from contracts.topics import (
    ANSWER_CAPTURED,
    CAMPAIGN_CHANGED,
    ENGAGEMENT_RECORDED,
    TOPICS,
    Topic,
    dlq_name,
)
from devkit.fake_log import FakeLog
from devkit.tenants import announce
from gateway.adapters.postgres import PostgresPruning
from gateway.domain.rejections import EXPLAINED, OURS
from gateway.rejections import RejectionReading
from runtime.clock import SystemClock
from services.gateway.tests.accounts import WRITE, holder
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
PATH = "/v1/rejected-events"
DOCUMENT = Path(__file__).parents[4] / "docs" / "producing-events.md"
COMPLAINT = "prompt: Field required"


@dataclass
class Refusing:
    """A log of its own with services that refuse, a tenant, and the gateway that reads of it."""

    api: Api
    log: FakeLog
    places: int = 0

    def reading(self, log: FakeLog | None = None) -> RejectionReading:
        source = log or self.log
        return RejectionReading(source, self.api.kit.rejections, TenantDirectory(source))

    def record(
        self, topic: Topic[Any] = ANSWER_CAPTURED, tenant_id: str | None = None, **changes: Any
    ) -> Record:
        """A record without headers, at a place of its own."""
        self.places += 1
        body = {"tenant_id": tenant_id or self.api.tenant_id}
        made = Record(topic.name, 2, self.places, b"k", json.dumps(body).encode(), (), 0)
        return replace(made, **changes)

    async def refuse(
        self,
        record: Record | None = None,
        service: str = "gateway",
        reason: str = "wrong-model",
        message: str = COMPLAINT,
    ) -> Record:
        found = record or self.record()
        letters = DeadLetters(await self.log.producer(), service, SystemClock())
        await letters.bury([Rejected(found, reason, message, 1, from_outside=True)])
        return found

    async def shown(self, api: Api | None = None, **params: Any) -> list[dict[str, Any]]:
        await self.reading().turn()
        response = await (api or self.api).call("GET", PATH, params=params)
        assert response.status_code == 200, response.text
        return list(response.json()["items"])

    async def offsets(self) -> list[int]:
        return [item["offset"] for item in await self.shown()]


@pytest_asyncio.fixture
async def refusing(kit: Kit) -> AsyncIterator[Refusing]:
    await kit.pool.execute("TRUNCATE dead_letters_read, rejected_events")  # of other tests' logs
    api, log = await Api.over(kit), FakeLog()
    await log.create_topics(specs())
    await announce(log, api.tenant_id)
    yield Refusing(api, log)
    await api.http.aclose()


def headers(**given: str) -> Headers:
    return tuple((f"ce_{name}", value.encode()) for name, value in given.items())


async def test_what_was_refused_is_shown_with_its_place_and_what_to_change(
    refusing: Refusing,
) -> None:
    before = datetime.now(UTC)
    bare = await refusing.refuse()
    event_id = str(uuid4())
    given = headers(id=event_id, tenantid=refusing.api.tenant_id)
    full = refusing.record(ENGAGEMENT_RECORDED, headers=given, value=b"{not json")
    await refusing.refuse(full, "recommender", "bad-json", "send one JSON object")
    second, first = sorted(await refusing.shown(), key=lambda item: -item["offset"])
    for item in (first, second):
        assert before <= datetime.fromisoformat(item.pop("rejected_at")) <= datetime.now(UTC)
    assert first == {
        "topic": "answer.captured.v1",
        "partition": 2,
        "offset": bare.offset,
        "event_id": None,
        "service": "gateway",
        "reason": "wrong-model",
        "message": COMPLAINT,
        "attempts": 1,
    }
    assert second == first | {
        "topic": "engagement.recorded.v1",
        "offset": full.offset,
        "event_id": event_id,
        "service": "recommender",
        "reason": "bad-json",
        "message": "send one JSON object",
    }


async def test_every_service_that_reads_a_public_topic_is_heard(refusing: Refusing) -> None:
    wanted = {
        (topic.name, service) for topic in TOPICS if topic.public for service in topic.consumers
    }
    for topic in TOPICS:
        if topic.public:
            record = refusing.record(topic)
            for service in topic.consumers:
                await refusing.refuse(record, service)
    found = [(item["topic"], item["service"]) for item in await refusing.shown()]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(
    "record",
    [
        {"value": b"{not json"},
        {"value": b'["tenant_id"]'},
        {"value": b'{"tenant_id": 7}'},
        {"value": b"[" * 100_000},
        {"value": b'{"tenant_id": "\\ud800"}'},
        {"value": None},
        {"headers": headers(id="x")},
        {"headers": (("ce_tenantid", b"\xff"),)},
        {"headers": headers(tenantid="a-tenant-that-does-not-exist")},
    ],
    ids=str,
)
async def test_what_is_nobodys_is_shown_to_nobody_and_keeps_nothing_waiting(
    refusing: Refusing, record: dict[str, Any]
) -> None:
    await refusing.refuse(refusing.record(**record))
    good = await refusing.refuse()
    assert await refusing.offsets() == [good.offset]
    rows = await refusing.api.kit.pool.fetch("SELECT tenant_id FROM rejected_events")
    assert [row["tenant_id"] for row in rows] == [refusing.api.tenant_id]


async def test_another_tenants_are_not_there(refusing: Refusing) -> None:
    other = await refusing.api.another_tenant()
    await announce(refusing.log, other.tenant_id)
    mine = await refusing.refuse()
    theirs = await refusing.refuse(refusing.record(tenant_id=other.tenant_id))
    # Headers and body that contradict each other are of whom the headers name.
    both = refusing.record(
        tenant_id=other.tenant_id, headers=headers(tenantid=refusing.api.tenant_id)
    )
    await refusing.refuse(both, reason="wrong-tenant")
    assert await refusing.offsets() == [both.offset, mine.offset]
    assert [item["offset"] for item in await refusing.shown(other)] == [theirs.offset]


async def test_a_tenant_is_shown_what_was_refused_as_soon_as_it_is_known(
    refusing: Refusing,
) -> None:
    reading, other = refusing.reading(), await refusing.api.another_tenant()
    await refusing.refuse()
    await reading.turn()
    await announce(refusing.log, other.tenant_id)
    await refusing.refuse(refusing.record(tenant_id=other.tenant_id))
    await reading.turn()
    assert len((await other.call("GET", PATH)).json()["items"]) == 1


async def test_pages_begin_with_the_newest(refusing: Refusing) -> None:
    made = [(await refusing.refuse()).offset for _ in range(5)]
    await refusing.reading().turn()
    found: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await refusing.api.call("GET", PATH, params=params)).json()
        found += [item["offset"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made[::-1]


async def test_one_topic_is_shown_alone(refusing: Refusing) -> None:
    await refusing.refuse()
    campaign = await refusing.refuse(refusing.record(CAMPAIGN_CHANGED))
    (item,) = await refusing.shown(topic=CAMPAIGN_CHANGED.name)
    assert item["offset"] == campaign.offset


@pytest.mark.parametrize("topic", ["completion.finished.v1", "", "answer.captured.v1 "])
async def test_a_topic_that_is_not_open_is_refused(refusing: Refusing, topic: str) -> None:
    response = await refusing.api.call("GET", PATH, params={"topic": topic})
    assert "campaign.changed.v1" in json.dumps(problem(response, 422, "invalid-request"))


@pytest.mark.parametrize("cursor", ["x", "WyIwIl0", "WyI5MjIzMzcyMDM2ODU0Nzc1ODA4Il0", "WyJhIl0"])
async def test_a_cursor_of_nothing_is_refused(refusing: Refusing, cursor: str) -> None:
    problem(await refusing.api.call("GET", PATH, params={"cursor": cursor}), 422, "invalid-cursor")


async def test_it_needs_the_scope_read(refusing: Refusing) -> None:
    writer = await holder(refusing.api, scopes=WRITE)
    problem(await writer.call("GET", PATH), 403, "forbidden")


async def test_what_is_refused_again_is_shown_once_with_what_is_said_last(
    refusing: Refusing,
) -> None:
    record = await refusing.refuse()
    await refusing.refuse(record, message="first")
    await refusing.reading().turn()
    await refusing.refuse(record, message="last")
    await refusing.refuse(record, "mention-analyzer")
    found = {item["service"]: item["message"] for item in await refusing.shown()}
    assert found == {"gateway": "last", "mention-analyzer": COMPLAINT}
    assert len(await refusing.shown()) == 2


@pytest.mark.parametrize("reason", ["unexpected", "attempts-exhausted", "replay-failed"])
async def test_of_a_failure_inside_no_more_is_told_than_that_it_was_one(
    refusing: Refusing, reason: str
) -> None:
    await refusing.refuse(reason=reason, message="KeyError: 'secret of the house'")
    (item,) = await refusing.shown()
    assert (item["reason"], item["message"]) == (reason, OURS)


async def test_the_reasons_that_are_explained_are_those_that_the_document_lists() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    words = {word for row in rows for word in re.findall("`([a-z0-9-]+)`", row.split("|")[1])}
    assert words == EXPLAINED


async def test_two_replicas_show_each_event_once(refusing: Refusing) -> None:
    for _ in range(30):
        await refusing.refuse()
    await asyncio.gather(*(refusing.reading().turn() for _ in range(4)))
    numbers = await refusing.api.kit.pool.fetch(
        "SELECT number FROM rejected_events WHERE tenant_id = $1", refusing.api.tenant_id
    )
    assert len(numbers) == 30
    assert sorted(await refusing.offsets()) == list(range(1, 31))


async def test_the_next_process_goes_on_where_the_last_one_was(refusing: Refusing) -> None:
    await refusing.refuse()
    await refusing.reading().turn()
    read: list[tuple[str, int]] = []

    class Watched(FakeLog):
        async def read(
            self, partition: TopicPartition, offset: int, limit: int
        ) -> Sequence[Record]:
            read.append((partition.topic, offset))
            return await super().read(partition, offset, limit)

    watched = Watched()
    watched.records, watched._specs = refusing.log.records, refusing.log._specs
    await refusing.refuse()
    await refusing.reading(watched).turn()
    dlq = dlq_name(ANSWER_CAPTURED.name, "gateway")
    assert [place for place in read if place[0] == dlq] == [(dlq, 1)]
    await refusing.reading(watched).turn()
    assert len([place for place in read if place[0] == dlq]) == 1


async def test_more_than_are_read_at_once(
    refusing: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rejections.READ_AT_ONCE", 2)
    made = [(await refusing.refuse()).offset for _ in range(5)]
    assert await refusing.offsets() == made[::-1]


@pytest.mark.parametrize("left", [0, 1])
async def test_letters_that_were_too_old_when_they_were_read_are_not_waited_for(
    refusing: Refusing, left: int
) -> None:
    class Pruned(FakeLog):
        async def read(
            self, partition: TopicPartition, offset: int, limit: int
        ) -> Sequence[Record]:
            found = await super().read(partition, offset, 1000)
            return found[-left:] if left and partition.topic.endswith(".dlq") else found[:0]

    pruned = Pruned()
    pruned.records, pruned._specs = refusing.log.records, refusing.log._specs
    made = [(await refusing.refuse()).offset for _ in range(3)]
    reading = RejectionReading(pruned, refusing.api.kit.rejections, TenantDirectory(refusing.log))
    await reading.turn()
    found = (await refusing.api.call("GET", PATH)).json()["items"]
    assert [item["offset"] for item in found] == made[3 - left :]
    made.append((await refusing.refuse()).offset)
    assert (await refusing.offsets())[0] == made[-1]


async def test_a_log_that_was_made_anew_is_read_from_its_beginning(refusing: Refusing) -> None:
    for _ in range(3):
        await refusing.refuse()
    await refusing.reading().turn()
    anew = FakeLog()
    await anew.create_topics(specs())
    await announce(anew, refusing.api.tenant_id)
    refusing.log = anew
    latest = await refusing.refuse()
    assert (await refusing.offsets())[0] == latest.offset


@pytest.mark.parametrize(
    "change",
    [
        {"offset": None},
        {"offset": b"-1"},
        {"offset": b"9223372036854775808"},
        {"partition": b"x"},
        {"attempts": b"4294967296"},
        {"topic": b"completion.finished.v1"},
        {"group": b"recommender"},
        {"at": b"yesterday"},
        {"at": b"0001-01-01T00:00:00+14:00"},
        {"reason": None},
    ],
    ids=str,
)
async def test_what_is_no_letter_of_ours_is_passed_over(
    refusing: Refusing, change: dict[str, bytes | None]
) -> None:
    record = await refusing.refuse()
    dlq = dlq_name(record.topic, "gateway")
    (letter,) = await refusing.log.read(TopicPartition(dlq, 0), 0, 10)
    ours = dict(letter.headers) | {f"dlq-{name}": value for name, value in change.items()}
    forged = tuple((name, value) for name, value in ours.items() if value is not None)
    await (await refusing.log.producer()).send([OutRecord(dlq, b"k", letter.value, forged)])
    good = await refusing.refuse()
    assert await refusing.offsets() == [good.offset, record.offset]


async def test_what_no_store_can_hold_is_shown_without_it(refusing: Refusing) -> None:
    given = headers(id="a\x00b", tenantid=refusing.api.tenant_id)
    await refusing.refuse(refusing.record(headers=given), message="c\x00d")
    (item,) = await refusing.shown()
    assert (item["event_id"], item["message"]) == ("a\ufffdb", "c\ufffdd")


async def test_they_are_kept_as_long_as_the_dlq_is(refusing: Refusing) -> None:
    await refusing.refuse()
    assert len(await refusing.shown()) == 1
    pruning, now = PostgresPruning(refusing.api.kit.pool), datetime.now(UTC)
    await pruning.rejections(now - DLQ_RETENTION)
    assert len(await refusing.shown()) == 1
    await pruning.rejections(now + timedelta(seconds=1))
    assert await refusing.shown() == []


async def test_a_log_without_the_topics_is_waited_for(refusing: Refusing) -> None:
    await refusing.refuse()
    await refusing.log.close()
    with pytest.raises(LogUnavailable):
        await refusing.reading().turn()
