"""Composition root: the only place that knows all parts of the gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bus.apply import Subscription
from bus.compose import transactional
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.stores.postgres import PostgresOutbox, PostgresStore, connect
from contracts.topics import (
    ANSWER_ANALYZED,
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    VISIBILITY_RUN_STARTED,
)
from runtime.ids import new_id
from runtime.server import HttpServer
from runtime.settings import BadSettings
from runtime.tasks import Closing

from gateway.adapters.postgres import (
    PostgresKeyRepository,
    PostgresRunReader,
    PostgresRunRepository,
)
from gateway.adapters.redis import RedisRateLimiter
from gateway.api import NAME, Ports, create_app
from gateway.domain.models import ApiKey
from gateway.domain.ports import KeyRepository
from gateway.domain.rules import secret_hash, shown_prefix
from gateway.handlers import on_answers_analyzed, on_completions_finished
from gateway.settings import Settings

DEMO_TENANT = "demo"


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations")
    pool = await connect(settings.postgres_dsn, NAME)
    store, keys = PostgresStore(pool), PostgresKeyRepository(pool)
    limiter = _limiter(settings)
    await _bootstrap(settings, keys)
    ports = Ports(
        store=store,
        bind=PostgresRunRepository,
        runs=PostgresRunReader(pool),
        keys=keys,
        limiter=limiter,
        max_run_completions=settings.max_run_completions,
        max_body_bytes=settings.max_body_bytes,
    )
    service = await transactional(
        NAME,
        log,
        store,
        PostgresOutbox(settings.postgres_dsn, NAME),
        PostgresRunRepository,
        [
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_ANALYZED, on_answers_analyzed),
        ],
    )
    server = HttpServer(create_app(ports), settings.host, settings.port)
    return replace(
        service,
        components=[Closing(pool.close), *service.components, server],
        checks={**service.checks, "postgres": store.healthy, "redis": limiter.healthy},
    )


def _limiter(settings: Settings) -> RedisRateLimiter:
    try:
        return RedisRateLimiter(settings.redis_url, settings.rate_limit)
    except ValueError as error:
        raise BadSettings(f"LIMELIGHT_RATE_LIMIT: {error}, for example 600/minute") from error


async def _bootstrap(settings: Settings, keys: KeyRepository) -> None:
    """Make the configured first key, so that there is one to make others with."""
    if settings.bootstrap_key is None:
        return
    secret = settings.bootstrap_key.get_secret_value()
    key = ApiKey(new_id(), DEMO_TENANT, "bootstrap", shown_prefix(secret), datetime.now(UTC))
    await keys.add(key, secret_hash(secret))


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(COMPLETION_FINISHED, ANSWER_ANALYZED),
    publishes=(VISIBILITY_RUN_STARTED, COMPLETION_REQUESTED, COMPLETION_BATCH_CANCELLED),
)
