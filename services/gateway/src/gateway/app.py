"""Composition root: the only place that knows all parts of the gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bus.apply import Batch, Subscription
from bus.compose import listening, transactional
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.stores.postgres import Pool, PostgresOutbox, PostgresStore, connect
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_CHUNKED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    MODEL_CATALOG_CHANGED,
    REANALYSIS_REQUESTED,
    VISIBILITY_RUN_STARTED,
)
from runtime.clock import SystemClock
from runtime.ids import new_id
from runtime.server import HttpServer
from runtime.settings import BadSettings
from runtime.tasks import Closing, Component

from gateway.adapters.live import RedisLiveText
from gateway.adapters.postgres import (
    PostgresBrandRepository,
    PostgresKeyRepository,
    PostgresPruning,
    PostgresRunReader,
    PostgresRunRepository,
    PostgresUsageStore,
    PostgresUserRepository,
)
from gateway.adapters.redis import RedisRateLimiter, RedisStreamSlots
from gateway.api import Ports, create_app
from gateway.domain import NAME
from gateway.domain.access import Allowance, Scope, Tier
from gateway.domain.limits import Demo, Limits, RatePolicy
from gateway.domain.models import ApiKey
from gateway.domain.ports import KeyRepository, LiveText
from gateway.domain.rules import secret_hash, shown_prefix
from gateway.handlers import (
    on_answers_analyzed,
    on_answers_captured,
    on_completions_chunked,
    on_completions_finished,
    on_model_catalogs_changed,
)
from gateway.metering import UsageFlusher
from gateway.pruning import pruner
from gateway.settings import Settings

DEMO_TENANT = "demo"


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations")
    pool = await connect(settings.postgres_dsn, NAME)
    store = PostgresStore(pool)
    limiter, streams = _on_redis(settings)
    live = RedisLiveText(settings.redis_url)
    ports = _ports(settings, pool, live, limiter, streams)
    await _bootstrap(settings, ports.keys)
    if settings.demo_tenant:
        await ports.users.ensure_tenant(settings.demo_tenant, Tier.FREE)
    service = await transactional(
        NAME,
        log,
        store,
        PostgresOutbox(settings.postgres_dsn, NAME),
        PostgresRunRepository,
        [
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_ANALYZED, on_answers_analyzed),
            Subscription(ANSWER_CAPTURED, on_answers_captured),
            Subscription(MODEL_CATALOG_CHANGED, on_model_catalogs_changed),
        ],
    )
    listener = await _listener(log, live)
    server = HttpServer(create_app(ports), settings.host, settings.port)
    return replace(
        service,
        components=[
            Closing(pool.close),
            Closing(streams.close),
            Closing(live.close),
            *service.components,
            *listener.components,
            *_pruners(settings, pool),
            UsageFlusher(ports.ledger, ports.usage),
            server,
        ],
        checks={
            **service.checks,
            **listener.checks,
            "postgres": store.healthy,
            "redis": limiter.healthy,
        },
    )


def _ports(
    settings: Settings,
    pool: Pool,
    live: LiveText,
    limiter: RedisRateLimiter,
    streams: RedisStreamSlots,
) -> Ports:
    return Ports(
        store=PostgresStore(pool),
        bind=PostgresRunRepository,
        runs=PostgresRunReader(pool),
        brands=PostgresBrandRepository(pool),
        live=live,
        keys=PostgresKeyRepository(pool),
        users=PostgresUserRepository(pool),
        usage=PostgresUsageStore(pool),
        limiter=limiter,
        streams=streams,
        max_run_completions=settings.max_run_completions,
        max_body_bytes=settings.max_body_bytes,
        max_import_bytes=settings.max_import_bytes,
        limits=_limits(settings),
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )


async def _listener(log: Log, live: LiveText) -> Service:
    """Reads texts while they are written. They are shown or lost: no inbox remembers them."""

    async def apply(batch: Batch[Any]) -> None:
        await on_completions_chunked(batch, live)

    return await listening(NAME, log, [COMPLETION_CHUNKED], apply)


def _on_redis(settings: Settings) -> tuple[RedisRateLimiter, RedisStreamSlots]:
    try:
        return RedisRateLimiter(settings.redis_url), RedisStreamSlots(settings.redis_url)
    except ValueError as error:
        raise BadSettings(f"LIMELIGHT_REDIS_URL: {error}") from error


def _limits(settings: Settings) -> Limits:
    return Limits(
        tiers={
            tier: Allowance(
                getattr(settings, f"{tier}_per_minute"),
                getattr(settings, f"{tier}_completions"),
                getattr(settings, f"{tier}_streams"),
            )
            for tier in Tier
        },
        address=RatePolicy("address", settings.address_per_minute),
        anonymous=RatePolicy("anonymous", settings.anonymous_per_minute, strict=True),
        demo=Demo(
            tenant_id=settings.demo_tenant or None,
            models=settings.demo_models,
            budget_usd=settings.demo_budget_usd,
            requests=RatePolicy("demo", settings.demo_per_minute, strict=True),
            runs=RatePolicy("demo-runs", settings.demo_runs_per_day, 86_400, strict=True),
        ),
    )


def _pruners(settings: Settings, pool: Pool) -> list[Component]:
    pruning, clock = PostgresPruning(pool), SystemClock()
    remembered = timedelta(days=settings.idempotency_days)
    return [
        pruner("usage", pruning.usage, timedelta(days=settings.usage_days), clock),
        pruner("idempotent requests", pruning.idempotent_requests, remembered, clock),
    ]


async def _bootstrap(settings: Settings, keys: KeyRepository) -> None:
    """Make the configured first key, so that there is one to make others with."""
    if settings.bootstrap_key is None:
        return
    secret = settings.bootstrap_key.get_secret_value()
    key = ApiKey(
        key_id=new_id(),
        tenant_id=DEMO_TENANT,
        name="bootstrap",
        prefix=shown_prefix(secret),
        created_at=datetime.now(UTC),
        scopes=frozenset(Scope),
        tier=Tier.ENTERPRISE,
    )
    await keys.add_bootstrap(key, secret_hash(secret))


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(
        COMPLETION_FINISHED,
        COMPLETION_CHUNKED,
        ANSWER_ANALYZED,
        ANSWER_CAPTURED,
        MODEL_CATALOG_CHANGED,
    ),
    publishes=(
        VISIBILITY_RUN_STARTED,
        COMPLETION_REQUESTED,
        COMPLETION_BATCH_CANCELLED,
        ANSWER_CAPTURED,
        REANALYSIS_REQUESTED,
    ),
)
