"""What every backend of the key repository promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from gateway.domain.rules import new_secret, secret_hash
from services.gateway.tests.kits import ENDED, Kit, a_tenant, an_api_key

pytestmark = pytest.mark.asyncio


async def test_a_key_is_found_by_the_hash_of_its_secret(kit: Kit) -> None:
    secret = new_secret()
    key = an_api_key(f"tenant-{uuid4()}", secret)
    await kit.keys.add(key, secret_hash(secret))
    assert await kit.keys.by_hash(secret_hash(secret)) == key
    assert await kit.keys.by_hash(secret_hash(new_secret())) is None


async def test_the_same_secret_again_changes_nothing(kit: Kit) -> None:
    secret = new_secret()
    key = an_api_key(f"tenant-{uuid4()}", secret)
    await kit.keys.add(key, secret_hash(secret))
    await kit.keys.add(an_api_key("another", secret), secret_hash(secret))
    assert await kit.keys.by_hash(secret_hash(secret)) == key


async def test_keys_of_a_tenant_are_its_own_oldest_first(kit: Kit) -> None:
    tenant_id = f"tenant-{uuid4()}"
    await a_tenant(kit.keys)
    made = []
    for days in (2, 0, 1):
        secret = new_secret()
        key = replace(an_api_key(tenant_id, secret), created_at=ENDED + timedelta(days=days))
        await kit.keys.add(key, secret_hash(secret))
        made.append(key)
    two, zero, one = made
    assert list(await kit.keys.of_tenant(tenant_id)) == [zero, one, two]


async def test_a_key_is_revoked_once_and_stays_known(kit: Kit) -> None:
    secret = new_secret()
    key = an_api_key(f"tenant-{uuid4()}", secret)
    await kit.keys.add(key, secret_hash(secret))
    revoked = await kit.keys.revoke(key.tenant_id, key.key_id, ENDED)
    assert revoked == replace(key, revoked_at=ENDED)
    again = await kit.keys.revoke(key.tenant_id, key.key_id, ENDED + timedelta(days=1))
    assert again == revoked
    assert await kit.keys.by_hash(secret_hash(secret)) == revoked


async def test_another_tenants_key_cannot_be_revoked(kit: Kit) -> None:
    secret = new_secret()
    key = an_api_key(f"tenant-{uuid4()}", secret)
    await kit.keys.add(key, secret_hash(secret))
    assert await kit.keys.revoke(await a_tenant(kit.keys), key.key_id, ENDED) is None
    assert await kit.keys.revoke(key.tenant_id, uuid4(), ENDED) is None
    assert await kit.keys.by_hash(secret_hash(secret)) == key
