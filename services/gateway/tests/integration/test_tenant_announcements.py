"""Every tenant is on the log: with its making, before its maker knows it, and those of before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from bus.errors import LogUnavailable
from bus.outbox import OutboxRow
from bus.provision import specs
from bus.publishing import Publisher
from bus.tenants import TenantDirectory
from contracts.events.tenancy import TenantChanged
from contracts.topics import TENANT_CHANGED
from devkit.conformance.polling import read_all
from devkit.fake_log import FakeLog
from gateway.announcing import Announcing
from gateway.domain.access import Scope, Tier
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from services.gateway.tests.accounts import holder
from services.gateway.tests.calling_api import Api, ports_of
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
BODY = {"name": "Rival", "tier": "free", "owner": {"email": "ruth@rival.example", "name": "Ruth"}}


async def log_and_publisher() -> tuple[FakeLog, Publisher]:
    log = FakeLog()
    await log.create_topics(specs())
    publisher = Publisher("gateway", log, SystemClock())
    await publisher.start()
    return log, publisher


def events(rows: Sequence[OutboxRow]) -> list[TenantChanged]:
    return [TenantChanged.model_validate_json(row.payload) for row in rows]


async def test_a_tenant_is_owed_to_the_log_by_the_transaction_that_makes_it(kit: Kit) -> None:
    tenant_id = f"shop-{uuid4().hex}"
    for _ in range(2):
        await kit.users.ensure_tenant(tenant_id, Tier.FREE)
    rows = await kit.unpublished(tenant_id)
    assert [(row.topic, row.key) for row in rows] == [
        (TENANT_CHANGED.name, f"{tenant_id}/{tenant_id}")
    ]
    (event,) = events(rows)
    assert (event.tenant_id, event.deleted) == (tenant_id, False)


@pytest.mark.parametrize("down", [False, True])
async def test_who_makes_a_tenant_may_publish_for_it_at_once(kit: Kit, down: bool) -> None:
    """Unless the log does not answer: then the tenant is made all the same, and told of later."""
    log, publisher = await log_and_publisher()
    log.down = down
    api = await Api.over(kit, replace(ports_of(kit), publish=publisher.send))
    operator = await holder(api, scopes=frozenset(Scope))
    body = BODY | {"name": f"Rival {uuid4().hex}"}
    made = await operator.call("POST", "/v1/tenants", json=body)
    assert made.status_code == 201
    tenant_id = made.json()["tenant"]["tenant_id"]
    directory = TenantDirectory(log)
    log.down = False
    await directory.catch_up()
    assert (tenant_id in directory) is not down
    (event,) = events(await kit.unpublished(tenant_id))
    assert event.tenant_id == tenant_id
    await api.http.aclose()
    await publisher.stop(Deadline(1))


async def test_those_that_the_log_lacks_are_told_once(kit: Kit) -> None:
    log, publisher = await log_and_publisher()
    old = {f"old-{uuid4().hex}" for _ in range(3)}
    for tenant_id in old:
        await kit.users.ensure_tenant(tenant_id, Tier.FREE)
    directory = TenantDirectory(log)
    announcing = Announcing(kit.users, directory, publisher.send)
    await announcing.turn()
    found = {record.key for record in await read_all(log, TENANT_CHANGED.name)}
    assert found >= {f"{tenant_id}/{tenant_id}".encode() for tenant_id in old}
    await Announcing(kit.users, TenantDirectory(log), publisher.send).turn()
    assert len(await read_all(log, TENANT_CHANGED.name)) == len(found)
    await directory.catch_up()
    assert all(tenant_id in directory for tenant_id in old)
    await publisher.stop(Deadline(1))


async def test_a_log_that_is_down_is_asked_again(kit: Kit) -> None:
    log, publisher = await log_and_publisher()
    await kit.users.ensure_tenant("somebody", Tier.FREE)
    log.down = True
    announcing = Announcing(kit.users, TenantDirectory(log), publisher.send)
    with pytest.raises(LogUnavailable):
        await announcing.turn()
    log.down = False
    await announcing.turn()
    assert b"somebody/somebody" in {one.key for one in await read_all(log, TENANT_CHANGED.name)}
    await publisher.stop(Deadline(1))
