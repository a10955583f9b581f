"""Forgetting an end user: told to all who know them, and nothing kept here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from bus.stores.postgres import PostgresOutbox
from contracts.topics import (
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    USER_FORGOTTEN,
)
from devkit.embedded import EmbeddedRedis
from gateway.domain.access import Role
from httpx2 import Response
from services.gateway.tests.accounts import ADMIN, READ, WRITE, holder, user
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import (
    Replica,
    ids,
    owed,
    own_list,
    popular_list,
    replica,
    version_at,
)

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        await made.complete()
        yield made


async def forget(api: Api, user_id: str) -> Response:
    return await api.call("DELETE", f"/v1/users/{quote(user_id, safe='')}")


async def say(api: Api, user_id: str, text: str = "secret") -> None:
    body = {"conversation_id": "c", "user_id": user_id, "text": text}
    assert (await api.call("POST", "/v1/conversations", json=body)).status_code == 202
    body = {"user_id": user_id, "campaign_id": "k", "kind": "click"}
    assert (await api.call("POST", "/v1/engagements", json=body)).status_code == 202


async def publish(api: Api) -> None:
    """As the relay does, without telling anybody."""
    outbox = PostgresOutbox(api.kit.dsn, "gateway tests")
    await outbox.mark_published(await outbox.pending(100_000))
    await outbox.release()


async def kept(api: Api) -> list[tuple[str, str]]:
    rows = await api.kit.pool.fetch(
        "SELECT aggregatetype, aggregateid FROM outbox WHERE headers->>'ce_tenantid' = $1 "
        "AND aggregatetype <> 'tenant.changed.v1' ORDER BY position",
        api.tenant_id,
    )
    return [(row["aggregatetype"], row["aggregateid"]) for row in rows]


async def test_it_is_told_to_all_who_know_the_user(one: Replica) -> None:
    before = datetime.now(UTC)
    answer = await forget(one.api, "u-ada")
    (event,) = await owed(one.api, USER_FORGOTTEN)
    (row,) = await one.kit.owed(one.api.tenant_id)
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "user_id": "u-ada",
            "forgotten_at": event.model_dump(mode="json")["forgotten_at"],
            "event_id": row.envelope.id,
        },
    )
    assert before <= event.forgotten_at <= datetime.now(UTC)
    assert (row.key, event.user_id) == ("u-ada", "u-ada")


@pytest.mark.parametrize("published", [True, False])
async def test_what_was_told_of_the_user_is_kept_no_longer(one: Replica, published: bool) -> None:
    other = await one.api.another_tenant()
    for api in (one.api, other):
        for user_id in ("u-ada", "u-ben"):
            await say(api, user_id)
    if published:
        await publish(one.api)
    await forget(one.api, "u-ada")
    both = [CONVERSATION_RECORDED.name, ENGAGEMENT_RECORDED.name]
    assert await kept(one.api) == [
        *((name, "u-ben") for name in both),
        (USER_FORGOTTEN.name, "u-ada"),
    ]
    assert len(await kept(other)) == 4
    await say(one.api, "u-ada", "back again")
    assert (await kept(one.api))[-2:] == [(name, "u-ada") for name in both]


async def test_nothing_is_recommended_to_the_forgotten(one: Replica) -> None:
    other = await one.api.another_tenant()
    for api in (one.api, other):
        await one.tell(
            own_list("u", version_at(datetime.now(UTC)), "a"),
            popular_list(1, "p"),
            tenant_id=api.tenant_id,
        )
    await forget(one.api, "u")
    await one.tell(*await owed(one.api, USER_FORGOTTEN))
    assert ids(await one.shown("u")) == ["p"]
    assert ids(await one.shown("u", other)) == ["a"]


@pytest.mark.parametrize("user_id", ["never heard of", "a/b/disable", "梅", "x" * 200])
async def test_who_is_not_known_is_forgotten_all_the_same(one: Replica, user_id: str) -> None:
    assert (await forget(one.api, user_id)).json()["user_id"] == user_id
    (event,) = await owed(one.api, USER_FORGOTTEN)
    assert event.user_id == user_id


@pytest.mark.parametrize("user_id", [" u", "u\n", "\x00", "x" * 201])
async def test_an_id_that_cannot_be_is_refused(one: Replica, user_id: str) -> None:
    problem(await forget(one.api, user_id), 422, "invalid-request")
    assert await kept(one.api) == []


async def test_an_exclusion_stays_the_tenants_wish(one: Replica) -> None:
    body: dict[str, Any] = {"title": "T", "excluded_users": ["u-ada"]}
    await one.api.call("PUT", "/v1/campaigns/c", json=body)
    await forget(one.api, "u-ada")
    view = (await one.api.call("GET", "/v1/campaigns/c")).json()
    assert view["excluded_users"] == ["u-ada"]


async def test_accounts_are_other_users(one: Replica) -> None:
    account, admin = await user(one.api, Role.ANALYST), await holder(one.api, scopes=ADMIN)
    assert (await forget(one.api, str(account.user_id))).status_code == 202
    shown = await admin.call("GET", f"/v1/users/{account.user_id}")
    assert (shown.status_code, shown.json()["disabled_at"]) == (200, None)


async def test_forgetting_needs_a_key_that_writes(one: Replica) -> None:
    for scopes, status in ((READ, 403), (ADMIN, 403), (WRITE, 202)):
        it = await holder(one.api, scopes=scopes)
        assert (await it.call("DELETE", "/v1/users/u")).status_code == status
    assert (await one.api.http.delete("/v1/users/u")).status_code == 401


async def test_forgetting_looks_at_the_users_events_only(one: Replica) -> None:
    async with one.kit.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN DELETE FROM outbox WHERE aggregateid = 'u' AND aggregatetype IN "
            "('conversation.recorded.v1', 'engagement.recorded.v1')"
        )
    assert any("outbox_of_user" in row[0] for row in plan)
