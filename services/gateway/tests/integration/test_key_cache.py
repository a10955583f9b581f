"""Keys that are remembered for a few seconds: what this process does to them counts at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from bus.errors import Unavailable
from gateway.adapters import cached
from gateway.adapters.cached import CacheClearingUsers, CachedKeys, KeyCache
from gateway.adapters.postgres import PostgresKeyRepository
from gateway.api import access
from gateway.domain.access import Role
from gateway.domain.models import ApiKey
from gateway.domain.rules import new_secret, secret_hash
from runtime.clock import HeldClock
from services.gateway.tests.accounts import holder, holder_of_role, user
from services.gateway.tests.calling_api import Api, ports_of, problem
from services.gateway.tests.kits import Kit, a_tenant, an_api_key, hold_now

pytestmark = pytest.mark.asyncio
KEYS = "/v1/keys"
SECONDS = 3.0


class _Counted(PostgresKeyRepository):
    """Counts look-ups, and can be told to wait or to fail."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit.pool)
        self.lookups = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.answered = asyncio.Event()
        self.down = False

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        self.lookups += 1
        found = await super().by_hash(secret_hash)
        self.answered.set()
        await self.go_on.wait()
        if self.down:
            raise Unavailable("PostgreSQL is away")
        return found


@dataclass
class Cached:
    """The API over a cache, and what it asks the store."""

    api: Api
    store: _Counted
    keys: CachedKeys
    clock: HeldClock


@pytest_asyncio.fixture
async def it(kit: Kit) -> AsyncIterator[Cached]:
    clock = HeldClock(datetime.now(UTC))
    cache, store = KeyCache(SECONDS, clock), _Counted(kit)
    keys = CachedKeys(store, cache)
    ports = replace(ports_of(kit), keys=keys, users=CacheClearingUsers(kit.users, cache))
    api = await Api.over(kit, ports)
    yield Cached(api, store, keys, clock)
    await api.http.aclose()


async def test_a_key_is_looked_up_once_in_a_while(it: Cached) -> None:
    for _ in range(5):
        assert (await it.api.call("GET", KEYS)).status_code == 200
    assert it.store.lookups == 1
    it.clock.advance(SECONDS)
    assert (await it.api.call("GET", KEYS)).status_code == 200
    assert it.store.lookups == 2


async def test_a_key_that_is_not_there_is_not_remembered(it: Cached) -> None:
    secret = new_secret()
    headers = {"Authorization": f"Bearer {secret}"}
    for _ in range(2):
        problem(await it.api.http.get(KEYS, headers=headers), 401, "unauthorized")
    await it.api.kit.keys.add(an_api_key(it.api.tenant_id, secret), secret_hash(secret))
    assert (await it.api.http.get(KEYS, headers=headers)).status_code == 200


async def test_a_key_that_is_revoked_here_ends_at_once(it: Cached) -> None:
    gone, admin = await holder(it.api), await holder(it.api)
    assert (await gone.call("GET", KEYS)).status_code == 200
    assert (await admin.call("DELETE", f"{KEYS}/{gone.key.key_id}")).status_code == 200
    assert "revoked" in problem(await gone.call("GET", KEYS), 401, "unauthorized")["title"]


async def test_a_key_that_is_revoked_elsewhere_ends_within_seconds(it: Cached) -> None:
    gone = await holder(it.api)
    assert (await gone.call("GET", KEYS)).status_code == 200
    await it.api.kit.keys.revoke(it.api.tenant_id, gone.key.key_id, datetime.now(UTC))
    assert (await gone.call("GET", KEYS)).status_code == 200
    it.clock.advance(SECONDS)
    problem(await gone.call("GET", KEYS), 401, "unauthorized")


async def test_who_is_disabled_or_demoted_here_is_so_at_once(it: Cached) -> None:
    await user(it.api, Role.OWNER)
    owner, admin = await holder_of_role(it.api, Role.OWNER), await holder(it.api)
    path = f"/v1/users/{owner.key.user_id}"
    assert (await owner.call("GET", "/v1/users")).status_code == 200
    assert (await admin.call("PATCH", path, json={"role": "viewer"})).status_code == 200
    problem(await owner.call("GET", "/v1/users"), 403, "forbidden")
    assert (await owner.call("GET", KEYS)).status_code == 200
    assert (await admin.call("POST", f"{path}/disable")).status_code == 200
    problem(await owner.call("GET", KEYS), 401, "unauthorized")
    assert (await admin.call("POST", f"{path}/enable")).status_code == 200
    assert (await owner.call("GET", KEYS)).status_code == 200


async def test_a_key_ends_at_its_time_remembered_or_not(
    it: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    short = await holder(it.api, expires_at=ends)
    assert (await short.call("GET", KEYS)).status_code == 200
    hold_now(monkeypatch, access, ends)
    problem(await short.call("GET", KEYS), 401, "unauthorized")
    assert it.store.lookups == 1


async def test_a_look_up_that_began_before_a_change_is_not_remembered(it: Cached) -> None:
    gone, admin = await holder(it.api), await holder(it.api)
    it.store.go_on.clear()
    slow = asyncio.create_task(gone.call("GET", KEYS))
    await it.store.answered.wait()  # with the key as it was before
    await it.keys.revoke(it.api.tenant_id, gone.key.key_id, datetime.now(UTC))
    it.store.go_on.set()
    assert (await slow).status_code == 200
    problem(await gone.call("GET", KEYS), 401, "unauthorized")
    assert (await admin.call("GET", KEYS)).status_code == 200


async def test_a_failed_look_up_is_not_remembered(it: Cached) -> None:
    it.store.down = True
    problem(await it.api.call("GET", KEYS), 503, "unavailable")
    it.store.down = False
    assert (await it.api.call("GET", KEYS)).status_code == 200


async def test_so_many_keys_are_remembered_and_no_more(
    it: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "MOST", 2)
    holders = [await holder(it.api) for _ in range(3)]
    for each in holders:
        await each.call("GET", KEYS)
    assert it.store.lookups == 3
    for each in reversed(holders):
        await each.call("GET", KEYS)
    assert it.store.lookups == 4


async def test_without_a_lifetime_each_request_looks_up(kit: Kit) -> None:
    store, tenant_id, secret = _Counted(kit), await a_tenant(kit.keys), new_secret()
    keys = CachedKeys(store, KeyCache(0.0))
    await keys.add(an_api_key(tenant_id, secret), secret_hash(secret))
    for _ in range(3):
        assert await keys.by_hash(secret_hash(secret)) is not None
    assert store.lookups == 3
