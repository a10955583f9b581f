"""Tenants with users and keys of every kind, stored without asking the API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
from gateway.domain.access import Role, Scope
from gateway.domain.models import ApiKey
from gateway.domain.rules import new_secret, secret_hash, shown_prefix
from gateway.domain.tenants import User
from runtime.ids import new_id
from services.gateway.tests.calling_api import Api
from services.gateway.tests.kits import an_api_key

READ, WRITE, ADMIN = frozenset({Scope.READ}), frozenset({Scope.WRITE}), frozenset({Scope.ADMIN})
ALL = READ | WRITE | ADMIN


@dataclass
class Holder:
    """Someone who has a key and calls the API with it."""

    api: Api
    key: ApiKey
    secret: str

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any
    ) -> httpx2.Response:
        mine = {"Authorization": f"Bearer {self.secret}"}
        return await self.api.http.request(method, path, headers=mine | (headers or {}), **given)


async def holder(api: Api, **changes: Any) -> Holder:
    """A key of the API's tenant, by default of tier pro, with all scopes but operator."""
    secret = new_secret()
    made = an_api_key(api.tenant_id, secret)
    key = replace(made, key_id=new_id(), prefix=shown_prefix(secret), **changes)
    await api.kit.keys.add(key, secret_hash(secret))
    return Holder(api, key, secret)


async def user(api: Api, role: Role, email: str | None = None) -> User:
    """A user of the API's tenant."""
    made = User(
        user_id=new_id(),
        tenant_id=api.tenant_id,
        email=email or f"{uuid4().hex}@example.com",
        name=role.value,
        role=role,
        created_at=datetime.now(UTC),
    )
    await api.kit.users.add(made)
    return made


async def holder_of_role(api: Api, role: Role) -> Holder:
    """A new user with a key that was given everything; the role bounds it."""
    return await holder(api, user_id=(await user(api, role)).user_id)


NOBODY = UUID(int=1)
