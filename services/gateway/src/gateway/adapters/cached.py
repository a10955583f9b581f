"""Keys as they were looked up a few seconds ago: a request then needs no store to be let in.

What this process does to a key or its user counts at once. What another process does, or someone
in the database, counts when the look-up is too old. Keys that are not there are not remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from runtime.clock import Clock, SystemClock

from gateway.domain.access import Role, Tier
from gateway.domain.models import ApiKey
from gateway.domain.ports import KeyRepository, UserRepository
from gateway.domain.tenants import Tenant, User

SECONDS = 3.0
MOST = 10_000
"""Keys remembered; of more the one that was looked up first is forgotten."""


class KeyCache:
    """Keys by their hashes, each for ``seconds``."""

    def __init__(self, seconds: float = SECONDS, clock: Clock | None = None) -> None:
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._keys: dict[bytes, tuple[float, ApiKey]] = {}
        self.changes = 0

    def get(self, secret_hash: bytes) -> ApiKey | None:
        """A key that was looked up not too long ago."""
        until, key = self._keys.get(secret_hash, (0.0, None))
        return key if key is not None and self._clock.monotonic() < until else None

    def put(self, secret_hash: bytes, key: ApiKey, changes: int) -> None:
        """Remember a key, unless something changed since the look-up began (``changes`` then)."""
        if changes != self.changes:
            return
        self._keys.pop(secret_hash, None)
        if len(self._keys) >= MOST:
            del self._keys[next(iter(self._keys))]
        self._keys[secret_hash] = (self._clock.monotonic() + self._seconds, key)

    def clear(self) -> None:
        """Something changed: changes are rare, and looking up anew is cheap."""
        self.changes += 1
        self._keys.clear()


class CachedKeys:
    """A ``KeyRepository`` that looks each hash up once in a while."""

    def __init__(self, keys: KeyRepository, cache: KeyCache) -> None:
        self._keys = keys
        self._cache = cache

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        await self._keys.add(key, secret_hash)

    async def add_bootstrap(self, key: ApiKey, secret_hash: bytes) -> None:
        try:
            await self._keys.add_bootstrap(key, secret_hash)
        finally:
            self._cache.clear()

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """As it was within the last seconds, if anybody asked then."""
        found = self._cache.get(secret_hash)
        if found is not None:
            return found
        changes = self._cache.changes
        key = await self._keys.by_hash(secret_hash)
        if key is not None:
            self._cache.put(secret_hash, key, changes)
        return key

    async def find(self, tenant_id: str, key_id: UUID) -> ApiKey | None:
        return await self._keys.find(tenant_id, key_id)

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        return await self._keys.of_tenant(tenant_id)

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """Also if the store did not answer: it may have revoked the key all the same."""
        try:
            return await self._keys.revoke(tenant_id, key_id, now)
        finally:
            self._cache.clear()


class CacheClearingUsers:
    """A ``UserRepository`` after whose changes keys are looked up anew."""

    def __init__(self, users: UserRepository, cache: KeyCache) -> None:
        self._users = users
        self._cache = cache

    async def add_tenant(self, tenant: Tenant, owner: User, key: ApiKey, secret: bytes) -> None:
        await self._users.add_tenant(tenant, owner, key, secret)

    async def ensure_tenant(self, tenant_id: str, tier: Tier) -> None:
        await self._users.ensure_tenant(tenant_id, tier)

    async def tenant_ids(self) -> Sequence[str]:
        return await self._users.tenant_ids()

    async def tenant(self, tenant_id: str) -> Tenant | None:
        return await self._users.tenant(tenant_id)

    async def add(self, user: User) -> None:
        await self._users.add(user)

    async def find(self, tenant_id: str, user_id: UUID) -> User | None:
        return await self._users.find(tenant_id, user_id)

    async def of_tenant(self, tenant_id: str, limit: int, after: UUID | None) -> Sequence[User]:
        return await self._users.of_tenant(tenant_id, limit, after)

    async def set_role(self, tenant_id: str, user_id: UUID, role: Role) -> User | None:
        try:
            return await self._users.set_role(tenant_id, user_id, role)
        finally:
            self._cache.clear()

    async def set_disabled(
        self, tenant_id: str, user_id: UUID, disabled_at: datetime | None
    ) -> User | None:
        try:
            return await self._users.set_disabled(tenant_id, user_id, disabled_at)
        finally:
            self._cache.clear()
