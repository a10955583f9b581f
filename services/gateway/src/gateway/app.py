"""Composition root: the only place that knows all parts of the gateway."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bus.apply import Subscription
from bus.compose import publishing, transactional
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.provision import DLQ_RETENTION
from bus.publishing import Publisher
from bus.retry import RetryPolicy
from bus.stores.postgres import Pool, PostgresOutbox, PostgresStore, connect
from bus.tenants import TenantDirectory
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    CAMPAIGN_CHANGED,
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_CHUNKED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    MODEL_CATALOG_CHANGED,
    POPULAR_CAMPAIGNS_CHANGED,
    REANALYSIS_REQUESTED,
    RECOMMENDATION_CHANGED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    TENANT_CHANGED,
    USER_FORGOTTEN,
    VISIBILITY_RUN_STARTED,
)
from runtime.clock import SystemClock
from runtime.ids import new_id
from runtime.server import HttpServer
from runtime.settings import BadSettings
from runtime.tasks import Closing, Component

from gateway.adapters.cached import CacheClearingUsers, CachedKeys, KeyCache
from gateway.adapters.live import RedisLiveText
from gateway.adapters.postgres import (
    PostgresBrandRepository,
    PostgresCampaignRepository,
    PostgresKeyRepository,
    PostgresPruning,
    PostgresRejectionStore,
    PostgresRunReader,
    PostgresRunRepository,
    PostgresUsageStore,
    PostgresUserRepository,
)
from gateway.adapters.recommendations import RedisRecommendations
from gateway.adapters.redis import RedisRateLimiter, RedisStreamSlots
from gateway.adapters.searches import RedisSearchAnswers
from gateway.announcing import Announcing
from gateway.api import Ports, create_app
from gateway.domain import NAME
from gateway.domain.access import Allowance, Scope, Tier
from gateway.domain.limits import Demo, Limits, RatePolicy
from gateway.domain.models import ApiKey
from gateway.domain.ports import KeyRepository
from gateway.domain.rules import secret_hash, shown_prefix
from gateway.handlers import (
    on_answers_analyzed,
    on_answers_captured,
    on_completions_finished,
    on_model_catalogs_changed,
)
from gateway.listening import Listeners, joined
from gateway.metering import UsageFlusher
from gateway.pruning import pruner
from gateway.rebuilding import Rebuilding
from gateway.rejections import RejectionReading
from gateway.settings import Settings

DEMO_TENANT = "demo"


@dataclass(frozen=True)
class _Redis:
    """Everything in Redis."""

    limiter: RedisRateLimiter
    streams: RedisStreamSlots
    live: RedisLiveText
    recommendations: RedisRecommendations
    searches: RedisSearchAnswers

    @classmethod
    def at(cls, url: str) -> _Redis:
        try:
            return cls(
                RedisRateLimiter(url),
                RedisStreamSlots(url),
                RedisLiveText(url),
                RedisRecommendations(url),
                RedisSearchAnswers(url),
            )
        except ValueError as error:
            raise BadSettings(f"LIMELIGHT_REDIS_URL: {error}") from error

    def closing(self) -> list[Component]:
        parts = (self.limiter, self.streams, self.live, self.recommendations, self.searches)
        return [Closing(part.close) for part in parts]


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations")
    pool = await connect(settings.postgres_dsn, NAME)
    redis, publisher = _Redis.at(settings.redis_url), Publisher(NAME, log, SystemClock())
    ports = _ports(settings, pool, redis, publisher)
    await _bootstrap(settings, ports.keys)
    if settings.demo_tenant:
        await ports.users.ensure_tenant(settings.demo_tenant, Tier.FREE)
    tenants = TenantDirectory(log)
    service = await _consuming(settings, log, pool, redis, publisher, tenants)
    announcing = Announcing(ports.users, tenants, publisher.send)
    rejections = RejectionReading(log, ports.rejections, tenants)
    server = HttpServer(create_app(ports), settings.host, settings.port)
    return replace(
        service,
        components=[
            Closing(pool.close),
            *redis.closing(),
            tenants,
            *service.components,
            announcing.periodic(),
            rejections.periodic(),
            *_pruners(settings, pool),
            UsageFlusher(ports.ledger, ports.usage),
            server,
        ],
        checks={
            **service.checks,
            "postgres": PostgresStore(pool).healthy,
            "redis": redis.limiter.healthy,
        },
        # Events wait in the outbox, requests pass uncounted, projections are behind: it serves.
        serving=frozenset({"postgres"}),
    )


async def _consuming(
    settings: Settings,
    log: Log,
    pool: Pool,
    redis: _Redis,
    publisher: Publisher,
    tenants: TenantDirectory,
) -> Service:
    """All that is read of the log: into the database, into Redis, and past both."""
    projections = await transactional(
        NAME,
        log,
        PostgresStore(pool),
        PostgresOutbox(settings.postgres_dsn, NAME),
        PostgresRunRepository,
        [
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_ANALYZED, on_answers_analyzed),
            Subscription(ANSWER_CAPTURED, on_answers_captured),
            Subscription(MODEL_CATALOG_CHANGED, on_model_catalogs_changed),
        ],
        tenants=tenants,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    campaigns = PostgresCampaignRepository(pool)
    listeners = Listeners(campaigns, redis.recommendations, redis.searches, redis.live)
    lists = await publishing(
        NAME,
        log,
        publisher,
        listeners.lanes(),
        tenants=tenants,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    rebuilding = Rebuilding(log, redis.recommendations, listeners.rebuilding(), tenants)
    assert projections.replays is not None  # both read topics
    assert lists.replays is not None
    return Service(
        [*projections.components, *lists.components, rebuilding.periodic()],
        {**projections.checks, **lists.checks},
        joined(projections.replays, lists.replays),
    )


def _ports(settings: Settings, pool: Pool, redis: _Redis, publisher: Publisher) -> Ports:
    cache = KeyCache(settings.key_cache_seconds)
    return Ports(
        store=PostgresStore(pool),
        bind=PostgresRunRepository,
        runs=PostgresRunReader(pool),
        brands=PostgresBrandRepository(pool),
        live=redis.live,
        keys=CachedKeys(PostgresKeyRepository(pool), cache),
        users=CacheClearingUsers(PostgresUserRepository(pool), cache),
        usage=PostgresUsageStore(pool),
        rejections=PostgresRejectionStore(pool),
        limiter=redis.limiter,
        streams=redis.streams,
        campaigns=PostgresCampaignRepository(pool),
        recommendations=redis.recommendations,
        searches=redis.searches,
        publish=publisher.send,
        max_run_completions=settings.max_run_completions,
        max_body_bytes=settings.max_body_bytes,
        max_import_bytes=settings.max_import_bytes,
        limits=_limits(settings),
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )


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
        pruner("rejected events", pruning.rejections, DLQ_RETENTION, clock),
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
        CAMPAIGN_CHANGED,
        RECOMMENDATION_CHANGED,
        POPULAR_CAMPAIGNS_CHANGED,
        USER_FORGOTTEN,
        SEARCH_ANSWERED,
    ),
    publishes=(
        TENANT_CHANGED,
        VISIBILITY_RUN_STARTED,
        COMPLETION_REQUESTED,
        COMPLETION_BATCH_CANCELLED,
        ANSWER_CAPTURED,
        REANALYSIS_REQUESTED,
        CONVERSATION_RECORDED,
        ENGAGEMENT_RECORDED,
        CAMPAIGN_CHANGED,
        USER_FORGOTTEN,
        SEARCH_REQUESTED,
    ),
)
