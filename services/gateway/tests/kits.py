"""The gateway's ports on a real server, and runs to put into them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from uuid import uuid4

import pytest
from bus.outbox import OutboxRow
from bus.store import TransactionalStore
from bus.stores.postgres import Pool, PostgresOutbox, PostgresStore, connect
from contracts.topics import TENANT_CHANGED
from devkit.embedded import EmbeddedRedis
from gateway.adapters.postgres import (
    PostgresBrandRepository,
    PostgresCampaignRepository,
    PostgresKeyRepository,
    PostgresRejectionStore,
    PostgresRunReader,
    PostgresRunRepository,
    PostgresUsageStore,
    PostgresUserRepository,
)
from gateway.adapters.redis import RedisRateLimiter
from gateway.domain.access import TENANT_SCOPES, Tier
from gateway.domain.models import ApiKey, Brand, Prompt, Run, RunState
from gateway.domain.ports import (
    BrandRepository,
    CampaignRepository,
    KeyRepository,
    RejectionStore,
    RunReader,
    RunRepository,
    UsageStore,
    UserRepository,
)
from gateway.domain.rules import secret_hash, shown_prefix

STARTED = datetime(2026, 11, 3, 9, 15, tzinfo=UTC)
ENDED = datetime(2026, 11, 3, 9, 20, tzinfo=UTC)
MODELS = ("openai/gpt-5", "simulator/sim-large")


class Kit:
    """All ports on a real server."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.dsn = dsn
        self.pool = pool
        self.store: TransactionalStore[Any] = PostgresStore(pool)
        self.bind: Callable[[Any], RunRepository] = PostgresRunRepository
        self.runs: RunReader = PostgresRunReader(pool)
        self.brands: BrandRepository = PostgresBrandRepository(pool)
        self.campaigns: CampaignRepository = PostgresCampaignRepository(pool)
        self.keys: KeyRepository = PostgresKeyRepository(pool)
        self.users: UserRepository = PostgresUserRepository(pool)
        self.usage: UsageStore = PostgresUsageStore(pool)
        self.rejections: RejectionStore = PostgresRejectionStore(pool)

    @classmethod
    async def create(cls, dsn: str) -> Kit:
        return cls(dsn, await connect(dsn, "gateway tests", size=4))

    async def owed(self, tenant_id: str) -> Sequence[OutboxRow]:
        """What is not published yet of a tenant, besides that there is the tenant."""
        rows = await self.unpublished(tenant_id)
        return [row for row in rows if row.topic != TENANT_CHANGED.name]

    async def unpublished(self, tenant_id: str) -> Sequence[OutboxRow]:
        """All that is not published yet of a tenant."""
        outbox = PostgresOutbox(self.dsn, "gateway tests")
        rows = await outbox.pending(100_000)
        await outbox.release()
        return [row for row in rows if row.envelope.tenant_id == tenant_id]

    async def close(self) -> None:
        await self.pool.close()


async def redis_on(data_dir: Path) -> EmbeddedRedis:
    """A Redis that answers: its socket is there a moment before it listens."""
    server = await EmbeddedRedis.start(data_dir)
    probe = RedisRateLimiter(server.url)
    async with asyncio.timeout(60):
        while not await probe.healthy():
            pass
    return server


def hold_now(monkeypatch: pytest.MonkeyPatch, module: ModuleType, moment: datetime) -> None:
    """Let ``module`` take ``moment`` for now, so that nobody has to wait until then."""

    class Held(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(moment.timestamp(), tz)

    monkeypatch.setattr(module, "datetime", Held)


def an_api_key(tenant_id: str, secret: str, name: str = "test") -> ApiKey:
    """A key of no user, that may do all that is done inside a tenant."""
    return ApiKey(
        key_id=uuid4(),
        tenant_id=tenant_id,
        name=name,
        prefix=shown_prefix(secret),
        created_at=datetime.now(UTC),
        scopes=TENANT_SCOPES,
        tier=Tier.PRO,
    )


async def a_tenant(keys: KeyRepository) -> str:
    """A tenant that nobody else uses; it exists once it has a key."""
    tenant_id, secret = f"tenant-{uuid4().hex}", f"lk_{uuid4().hex}"
    await keys.add(an_api_key(tenant_id, secret), secret_hash(secret))
    return tenant_id


def planned_run(tenant_id: str, *, samples: int = 2, models: Sequence[str] = MODELS) -> Run:
    """A run about two brands with one prompt."""
    return Run(
        run_id=uuid4(),
        tenant_id=tenant_id,
        brands=(Brand(uuid4(), "Notion", ("Notion.so",)), Brand(uuid4(), "光珈琲")),
        prompts=(Prompt(uuid4(), "Which app? 🫘"),),
        models=tuple(models),
        samples=samples,
        expected=samples * len(models),
        state=RunState.RUNNING,
        started_at=STARTED,
    )
