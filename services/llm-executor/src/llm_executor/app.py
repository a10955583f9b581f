"""Composition root: the only place that knows all parts of the llm-executor."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from bus.compose import in_flight
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.stores.postgres import connect
from contracts.topics import COMPLETION_FINISHED, COMPLETION_REQUESTED
from runtime.settings import BadSettings
from runtime.tasks import Closing

from llm_executor.adapters.postgres import CompletionOutbox, PostgresCallStore
from llm_executor.adapters.providers import (
    BUILT_IN,
    Account,
    BadProviders,
    ConfiguredProviders,
    read_accounts,
)
from llm_executor.calling import SERVICE as NAME
from llm_executor.calling import CallPolicy
from llm_executor.handlers import Executor, on_completion_requested
from llm_executor.leases import lease_renewal
from llm_executor.settings import Settings


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations", with_inbox=False)
    pool = await connect(settings.postgres_dsn, NAME, size=20)
    store = PostgresCallStore(pool)
    if settings.sole_instance:
        await store.expire_all()
    providers = ConfiguredProviders(_accounts(settings))
    policy = CallPolicy(attempts=settings.attempts, timeout=settings.call_seconds)
    executor = Executor(store, providers, policy, settings.lease_seconds)
    service = await in_flight(
        NAME,
        log,
        CompletionOutbox(settings.postgres_dsn, NAME),
        COMPLETION_REQUESTED,
        partial(on_completion_requested, executor=executor),
        window=settings.max_in_flight,
    )
    leases = lease_renewal(store, executor.active, settings.lease_seconds)
    return replace(
        service,
        components=[Closing(pool.close), Closing(providers.close), leases, *service.components],
        checks={**service.checks, "postgres": store.healthy, "leases": leases.healthy},
    )


def _accounts(settings: Settings) -> dict[str, Account]:
    try:
        accounts = read_accounts(BUILT_IN)
        if settings.providers_file is not None:
            accounts |= read_accounts(settings.providers_file)
    except BadProviders as error:
        raise BadSettings(f"LIMELIGHT_PROVIDERS_FILE: {error}") from error
    if settings.simulator_url is not None:
        accounts["simulator"] = Account(settings.simulator_url, simulated=True)
    return accounts


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(COMPLETION_REQUESTED,),
    publishes=(COMPLETION_FINISHED,),
)
