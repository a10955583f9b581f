"""Composition root: the only place that knows all parts of the embedding service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bus.codec import Emit
from bus.compose import Lane, publishing
from bus.host import Service, ServiceSpec, connect
from bus.migrate import migrate
from bus.outbox import derive
from bus.port import Log
from bus.publishing import Publisher, Reaction
from bus.retry import RetryPolicy
from bus.stores.postgres import connect as connect_postgres
from contracts.topics import (
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    COMPLETION_FINISHED,
    CONVERSATION_RECORDED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
)
from runtime import algebra
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from runtime.health import Check
from runtime.settings import load
from runtime.tasks import Closing, Component

from embedding.adapters import minilm
from embedding.adapters.lanes import Lanes
from embedding.adapters.pgvector import PgVectorIndex
from embedding.adapters.postgres import PostgresLake
from embedding.domain import SERVICE as NAME
from embedding.domain.audience import Audience
from embedding.domain.ports import Lake, VectorIndex
from embedding.domain.profiles import Profiles
from embedding.domain.reembedding import Reembedded
from embedding.domain.searching import Archive
from embedding.domain.states import Recipe
from embedding.domain.surroundings import Catalogs, Surveyor
from embedding.handlers import (
    Parts,
    on_campaigns_changed,
    on_campaigns_embedded,
    on_completions_finished,
    on_conversations_recorded,
    on_searches_requested,
    on_users_forgotten,
)
from embedding.reembedding import made_anew
from embedding.settings import Settings

algebra.one_thread()
CONVERSATIONS, ANSWERS, SEARCHES = 64, 16, 16
"""Records that a lane takes at once: many enough to share what a batch costs, few enough that the
last of them is not kept waiting."""


@dataclass
class _Built:
    """Everything but the consumers."""

    parts: Parts
    lanes: Lanes
    closing: list[Component]
    checks: Mapping[str, Check] = field(default_factory=dict)


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if a store cannot be reached."""
    built = await _build(settings)
    clock = SystemClock()
    publisher = Publisher(NAME, log, clock)
    service = await publishing(
        NAME,
        log,
        publisher,
        _consumers(built.parts, publisher, settings),
        clock=clock,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    return replace(
        service,
        components=[*built.closing, built.lanes, *service.components],
        checks={**service.checks, **built.checks},
    )


async def reembed(settings: Settings, log: Log) -> Reembedded:
    """Make all vectors anew with the model and half-life of these settings, and tell of them."""
    built = await _build(settings)
    publisher = Publisher(NAME, log, SystemClock())
    service = Service([*built.closing, built.lanes, publisher])
    await service.start()
    try:
        return await made_anew(built.parts, publisher)
    finally:
        await service.stop(Deadline(settings.shutdown_seconds))


def reembed_main() -> None:
    """``python -m embedding reembed``."""

    async def run() -> Reembedded:
        settings = load(Settings)
        assert isinstance(settings, Settings)
        log = await connect(settings)
        try:
            return await reembed(settings, log)
        finally:
            await log.close()

    done = asyncio.run(run())
    print(f"{done.users} users, {done.campaigns} campaigns and {done.answers} answers are embedded")


def _consumers(parts: Parts, publisher: Publisher, settings: Settings) -> Sequence[Lane]:
    """Who waits for whom: conversations and searches for nobody, answers for all.

    Two consumers share the conversations: one asks the stores while the other asks the model.
    """
    talk = [
        _reaction(CONVERSATION_RECORDED, on_conversations_recorded, parts),
        _reaction(USER_FORGOTTEN, on_users_forgotten, parts),
    ]
    campaigns = [_reaction(CAMPAIGN_CHANGED, on_campaigns_changed, parts)]
    audiences = [
        _reaction(
            CAMPAIGN_EMBEDDED,
            on_campaigns_embedded,
            parts,
            tell=partial(_tell, publisher, parts),
            per_second=settings.audience_per_second,
        )
    ]
    searches = [_reaction(SEARCH_REQUESTED, on_searches_requested, parts)]
    answers = [_reaction(COMPLETION_FINISHED, on_completions_finished, parts)]
    return [
        Lane("conversations", talk, batch=CONVERSATIONS),
        Lane("conversations-2", talk, batch=CONVERSATIONS),
        Lane("campaigns", campaigns),
        Lane("audiences", audiences, batch=1),
        Lane("searches", searches, batch=SEARCHES),
        Lane("answers", answers, batch=ANSWERS),
    ]


def _reaction(
    topic: Any, handler: Callable[..., Awaitable[Any]], parts: Parts, **more: Any
) -> Reaction[Any]:
    return Reaction(topic, partial(handler, parts=parts, **more))


async def _tell(publisher: Publisher, parts: Parts, emits: Sequence[Emit]) -> None:
    await publisher.send(derive(emits, NAME, parts.clock.now(), {}))


async def _build(settings: Settings) -> _Built:
    closing: list[Component] = []
    if settings.postgres_dsn is not None:
        await migrate(settings.postgres_dsn, Path(__file__).parent / "migrations", with_inbox=False)
    lake = await _lake(settings, closing)
    index = await _index(settings, closing)
    lanes = Lanes(minilm.MODEL, partial(minilm.load, settings.model_threads))
    checks = {"lake": lake.healthy, "vectors": index.healthy, "model": lanes.ready}
    return _Built(_parts(settings, lake, index, lanes), lanes, closing, checks)


def _parts(settings: Settings, lake: Lake, index: VectorIndex, lanes: Lanes) -> Parts:
    clock = SystemClock()
    said = lanes.lane("messages")
    recipe = Recipe(minilm.MODEL, timedelta(days=settings.half_life_days))
    catalogs = Catalogs(lake, said, clock)
    profiles = Profiles(lake, index, said, recipe, clock)
    surveyor = Surveyor(index, catalogs, settings.neighbours)
    return Parts(
        profiles=profiles,
        surveyor=surveyor,
        catalogs=catalogs,
        audience=Audience(profiles, surveyor),
        answers=Archive(lake, index, lanes.lane("answers", idle=True)),
        searches=Archive(lake, index, lanes.lane("searches")),
        clock=clock,
    )


async def _lake(settings: Settings, closing: list[Component]) -> Lake:
    if settings.mongo_url is not None:
        from embedding.adapters.mongo import MongoLake  # noqa: PLC0415 - only who uses it loads it

        mongo = MongoLake(settings.mongo_url.get_secret_value())
        closing.append(Closing(mongo.close))
        await mongo.open()
        return mongo
    assert settings.postgres_dsn is not None, "the settings see to it"
    pool = await connect_postgres(settings.postgres_dsn, NAME)
    closing.append(Closing(pool.close))
    return PostgresLake(pool)


async def _index(settings: Settings, closing: list[Component]) -> VectorIndex:
    if settings.milvus_uri is not None:
        from embedding.adapters.milvus import MilvusVectorIndex  # noqa: PLC0415 - takes a second

        milvus = MilvusVectorIndex(
            settings.milvus_uri,
            minilm.MODEL,
            minilm.DIMENSIONS,
            token=settings.milvus_token.get_secret_value(),
            ca_file=settings.milvus_ca_file,
        )
        await milvus.open()
        closing.append(Closing(milvus.close))
        return milvus
    assert settings.postgres_dsn is not None, "the settings see to it"
    found = await PgVectorIndex.open(settings.postgres_dsn, minilm.MODEL, NAME)
    closing.append(Closing(found.close))
    return found


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(
        CONVERSATION_RECORDED,
        USER_FORGOTTEN,
        CAMPAIGN_CHANGED,
        CAMPAIGN_EMBEDDED,
        SEARCH_REQUESTED,
        COMPLETION_FINISHED,
    ),
    publishes=(USER_EMBEDDED, CAMPAIGN_EMBEDDED, SEARCH_ANSWERED),
)
