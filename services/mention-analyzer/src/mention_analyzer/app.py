"""Composition root: the only place that knows all parts of the mention-analyzer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bus.apply import Subscription
from bus.compose import transactional
from bus.host import Service, ServiceSpec
from bus.migrate import migrate
from bus.port import Log
from bus.retry import RetryPolicy
from bus.stores.postgres import PostgresOutbox, PostgresStore, connect
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    COMPLETION_FINISHED,
    REANALYSIS_REQUESTED,
    VISIBILITY_RUN_STARTED,
)
from runtime.tasks import Closing

from mention_analyzer.adapters.postgres import PostgresAnalysisRepository
from mention_analyzer.handlers import (
    on_answers_captured,
    on_completions_finished,
    on_reanalyses_requested,
    on_visibility_runs_started,
)
from mention_analyzer.settings import Settings

NAME = "mention-analyzer"


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if its database cannot be reached."""
    await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations")
    pool = await connect(settings.postgres_dsn, NAME)
    store = PostgresStore(pool)
    service = await transactional(
        NAME,
        log,
        store,
        PostgresOutbox(settings.postgres_dsn, NAME),
        PostgresAnalysisRepository,
        [
            Subscription(VISIBILITY_RUN_STARTED, on_visibility_runs_started),
            Subscription(REANALYSIS_REQUESTED, on_reanalyses_requested),
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_CAPTURED, on_answers_captured),
        ],
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    return replace(
        service,
        components=[Closing(pool.close), *service.components],
        checks={**service.checks, "postgres": store.healthy},
    )


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(
        VISIBILITY_RUN_STARTED,
        REANALYSIS_REQUESTED,
        COMPLETION_FINISHED,
        ANSWER_CAPTURED,
    ),
    publishes=(ANSWER_ANALYZED,),
)
