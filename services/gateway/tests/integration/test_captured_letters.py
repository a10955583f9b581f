"""Answers of producers outside on the log: the good ones are taken, the others set aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.compose import transactional
from bus.lag import lag
from bus.local import LocalLog
from bus.provision import specs
from bus.record import OutRecord, Record
from bus.retry import RetryPolicy
from bus.stores.postgres import PostgresOutbox
from contracts.ids import captured_run_id
from contracts.topics import ANSWER_CAPTURED, TOPICS, dlq_name
from devkit.conformance.polling import read_all
from devkit.tenants import announce
from runtime.deadline import Deadline
from services.gateway.tests.calling_api import RUNS, Api
from services.gateway.tests.feeding import AT, SUBSCRIPTIONS, a_capture, record_of
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
DLQ = dlq_name(ANSWER_CAPTURED.name, "gateway")


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log.db", sync="normal")
    await opened.create_topics(specs(TOPICS))
    yield opened
    await opened.close()


def out(record: Record) -> OutRecord:
    return OutRecord(record.topic, record.key, record.value, record.headers)


async def consumed(log: LocalLog, kit: Kit) -> None:
    """Let the gateway's consumer read all there is."""
    service = await transactional(
        "gateway",
        log,
        kit.store,
        PostgresOutbox(kit.dsn, "gateway"),
        kit.bind,
        SUBSCRIPTIONS,
        policy=RetryPolicy(attempts=2, base=0.01, cap=0.02),
    )
    await service.start()
    async with asyncio.timeout(60):
        while await lag(log, ANSWER_CAPTURED.name, "gateway"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # nobody announces it
    await service.stop(Deadline(5))


async def test_what_cannot_be_taken_is_set_aside_and_costs_no_other(
    api: Api, log: LocalLog
) -> None:
    other = await api.another_tenant()
    theirs = (await other.start()).json()["run_id"]
    good = [a_capture(tenant_id=api.tenant_id) for _ in range(3)]
    foreign = a_capture(run_id=UUID(theirs))
    nobody = a_capture(run_id=uuid4())
    stolen = a_capture(answer_id=good[0].answer_id)
    records = [
        out(record_of(api.tenant_id, good[0], headers=())),
        out(record_of(api.tenant_id, foreign)),
        out(record_of(api.tenant_id, good[1])),
        out(record_of(api.tenant_id, nobody)),
        out(record_of(api.tenant_id, a_capture(), headers=())),  # of nobody
        out(record_of(other.tenant_id, stolen)),
        out(record_of(api.tenant_id, good[2], headers=())),
        out(record_of(api.tenant_id, good[2], headers=())),
    ]
    await announce(log, api.tenant_id, other.tenant_id)
    producer = await log.producer()
    for record in records:
        await producer.send([record])
    await consumed(log, api.kit)

    letters = {letter.key: dict(letter.headers) for letter in await read_all(log, DLQ)}
    set_aside = [records[at].key for at in (1, 3, 4, 5)]
    assert sorted(letters, key=str) == sorted(set_aside, key=str)
    assert letters[records[1].key]["dlq-reason"] == b"permanent"
    assert letters[records[4].key]["dlq-reason"] == b"bad-header"
    run = (await api.call("GET", f"{RUNS}/{captured_run_id(api.tenant_id, AT)}")).json()
    assert run["progress"]["expected"] == 3
    untouched = (await other.call("GET", f"{RUNS}/{theirs}")).json()
    assert (untouched["kind"], untouched["progress"]["expected"]) == ("asked", 12)
    assert len((await other.call("GET", RUNS)).json()["items"]) == 1
