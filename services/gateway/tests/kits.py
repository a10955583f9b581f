"""The gateway's ports on each backend, and runs to put into them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from bus.outbox import OutboxRow
from bus.store import TransactionalStore
from bus.stores.memory import MemoryStore
from bus.stores.postgres import Pool, PostgresOutbox, PostgresStore, connect
from devkit.embedded import EmbeddedRedis
from gateway.adapters.memory import MemoryKeys, MemoryRuns
from gateway.adapters.postgres import (
    PostgresKeyRepository,
    PostgresRunReader,
    PostgresRunRepository,
)
from gateway.adapters.redis import RedisRateLimiter
from gateway.domain.models import (
    AnalyzedAnswer,
    ApiKey,
    Brand,
    FinishedCompletion,
    PlannedCompletion,
    Prompt,
    Report,
    Run,
    RunState,
)
from gateway.domain.ports import KeyRepository, RunReader, RunRepository
from gateway.domain.rules import plan, secret_hash, shown_prefix

STARTED = datetime(2026, 11, 3, 9, 15, tzinfo=UTC)
ENDED = datetime(2026, 11, 3, 9, 20, tzinfo=UTC)
MODELS = ("openai/gpt-5", "simulator/sim-large")


class Kit(Protocol):
    """All ports over one backend."""

    store: TransactionalStore[Any]
    bind: Callable[[Any], RunRepository]
    runs: RunReader
    keys: KeyRepository

    async def owed(self, tenant_id: str) -> Sequence[OutboxRow]:
        """What the outbox holds of a tenant."""


class MemoryKit:
    """Everything in memory."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store: TransactionalStore[Any] = self.memory
        repository = MemoryRuns()
        self.bind: Callable[[Any], RunRepository] = lambda _: repository
        self.runs: RunReader = repository
        self.keys: KeyRepository = MemoryKeys()

    async def owed(self, tenant_id: str) -> Sequence[OutboxRow]:
        return [row for row in self.memory.unpublished if row.envelope.tenant_id == tenant_id]


class PostgresKit:
    """Everything on a real server."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.dsn = dsn
        self.pool = pool
        self.store: TransactionalStore[Any] = PostgresStore(pool)
        self.bind: Callable[[Any], RunRepository] = PostgresRunRepository
        self.runs: RunReader = PostgresRunReader(pool)
        self.keys: KeyRepository = PostgresKeyRepository(pool)

    @classmethod
    async def create(cls, dsn: str) -> PostgresKit:
        return cls(dsn, await connect(dsn, "gateway tests", size=4))

    async def owed(self, tenant_id: str) -> Sequence[OutboxRow]:
        outbox = PostgresOutbox(self.dsn, "gateway tests")
        rows = await outbox.pending(10_000)
        await outbox.release()
        return [row for row in rows if row.envelope.tenant_id == tenant_id]

    async def close(self) -> None:
        await self.pool.close()


async def redis_on(data_dir: Path) -> EmbeddedRedis:
    """A Redis that answers: its socket is there a moment before it listens."""
    server = await EmbeddedRedis.start(data_dir)
    probe = RedisRateLimiter(server.url, "1/second")
    async with asyncio.timeout(10):
        while not await probe.healthy():
            pass
    return server


def an_api_key(tenant_id: str, secret: str, name: str = "test") -> ApiKey:
    return ApiKey(uuid4(), tenant_id, name, shown_prefix(secret), datetime.now(UTC))


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


@dataclass
class RunOnKit:
    """A stored run, and what events do to it."""

    kit: Kit
    run: Run
    planned: list[PlannedCompletion]

    @classmethod
    async def stored(
        cls, kit: Kit, *, samples: int = 2, models: Sequence[str] = MODELS
    ) -> RunOnKit:
        run = planned_run(await a_tenant(kit.keys), samples=samples, models=models)
        planned = list(plan(run))
        async with kit.store.transaction() as transaction:
            await kit.bind(transaction).add_run(run, planned)
        return cls(kit, run, planned)

    def finished(
        self, item: PlannedCompletion, kind: str | None = None, *, simulated: bool = False
    ) -> FinishedCompletion:
        message = None if kind is None else f"it said {kind}"
        return FinishedCompletion(
            self.run.tenant_id, self.run.run_id, item.completion_id, kind, message, simulated
        )

    def analyzed(
        self, item: PlannedCompletion, *counts: int, simulated: bool = False
    ) -> AnalyzedAnswer:
        """``counts`` are mentions of the run's brands in their order."""
        named = zip(self.run.brands, counts, strict=False)
        mentions = tuple((brand.brand_id, count) for brand, count in named if count)
        return AnalyzedAnswer(
            self.run.tenant_id, self.run.run_id, item.completion_id, mentions, simulated
        )

    async def note(
        self, *items: FinishedCompletion | AnalyzedAnswer, now: datetime = ENDED
    ) -> None:
        """Project events as the handlers do: one batch a topic, then look for an end."""
        async with self.kit.store.transaction() as transaction:
            repository = self.kit.bind(transaction)
            await repository.note_finished([i for i in items if isinstance(i, FinishedCompletion)])
            await repository.note_analyzed([i for i in items if isinstance(i, AnalyzedAnswer)])
            await repository.close_runs(sorted({item.run_id for item in items}), now)

    async def report(self) -> Report:
        found = await self.kit.runs.run(self.run.tenant_id, self.run.run_id)
        assert found is not None
        return found
