"""Composition root: the only place that knows all parts of the llm-executor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bus.compose import convergent
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.retry import RetryPolicy
from bus.stores.postgres import connect
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_CHUNKED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    MODEL_CATALOG_CHANGED,
    Topic,
)
from runtime.batching import Batching
from runtime.settings import BadSettings
from runtime.tasks import Closing, Component

from llm_executor.adapters.breaker import PurgatoryBreaker
from llm_executor.adapters.json_schema import complaint_by
from llm_executor.adapters.postgres import PostgresCallStore
from llm_executor.adapters.postgres_outbox import CompletionOutbox
from llm_executor.adapters.providers import (
    BUILT_IN,
    Account,
    BadProviders,
    ConfiguredProviders,
    read_accounts,
)
from llm_executor.calling.caller import Caller, CallPolicy
from llm_executor.calling.chunks import Chunks
from llm_executor.calling.lanes import Lanes
from llm_executor.catalogs import Catalogs
from llm_executor.dispatch import Dispatcher
from llm_executor.domain import SERVICE as NAME
from llm_executor.domain.models import Ask, Finished, Grant
from llm_executor.domain.ports import CallStore
from llm_executor.handlers import AT_ONCE, Intake
from llm_executor.running import Runner
from llm_executor.settings import Settings

RECORD_LINGER_SECONDS = 0.005


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations", with_inbox=False)
    pool = await connect(settings.postgres_dsn, NAME, size=10)
    store = PostgresCallStore(pool)
    if settings.sole_instance:
        await store.expire_all()
    providers = _providers(settings)
    lanes = Lanes(providers, PurgatoryBreaker, settings.limits_share)
    policy = CallPolicy(attempts=settings.attempts, timeout=settings.call_seconds)
    chunks = Chunks(log)
    runner = Runner(
        store=store,
        caller=Caller(providers, lanes, policy),
        chunks=chunks,
        complaint_by=complaint_by,
        record=recording(store),
        reserve=reserving(store),
    )
    dispatcher = Dispatcher(
        store,
        lanes,
        providers,
        runner.run,
        window=settings.max_in_flight,
        lease_seconds=settings.lease_seconds,
    )
    topics: list[Topic[Any]] = [COMPLETION_REQUESTED, COMPLETION_BATCH_CANCELLED]
    intake = Intake(store, dispatcher.arrived)
    outbox = CompletionOutbox(settings.postgres_dsn, NAME)
    service = await convergent(
        NAME,
        log,
        outbox,
        topics,
        intake,
        batch=AT_ONCE,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    first: list[Component] = [
        Closing(pool.close),
        Closing(providers.close),
        Catalogs(providers, store, log),
    ]
    return replace(
        service,
        components=[*first, *service.components, chunks, dispatcher],
        checks={**service.checks, "postgres": store.healthy, "dispatcher": dispatcher.healthy},
    )


def recording(store: CallStore) -> Batching[Finished, bool]:
    """Records many ends in one write; True for those that were the first."""

    async def write(finished: Sequence[Finished]) -> Sequence[bool]:
        stored = set(await store.record(finished))
        return [item.key in stored for item in finished]

    return Batching(write, linger=RECORD_LINGER_SECONDS)


def reserving(store: CallStore) -> Batching[Ask, tuple[Grant, Decimal]]:
    """Asks budgets for many calls in one write."""
    return Batching(store.reserve)


def _providers(settings: Settings) -> ConfiguredProviders:
    try:
        accounts = read_accounts(BUILT_IN)
        if settings.providers_file is not None:
            accounts |= read_accounts(settings.providers_file)
        if settings.simulator_url is not None:
            accounts["simulator"] = Account(settings.simulator_url, simulated=True)
        return ConfiguredProviders(accounts)
    except BadProviders as error:
        raise BadSettings(f"LIMELIGHT_PROVIDERS_FILE: {error}") from error


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(COMPLETION_REQUESTED, COMPLETION_BATCH_CANCELLED),
    publishes=(COMPLETION_FINISHED, COMPLETION_CHUNKED, MODEL_CATALOG_CHANGED),
)
