"""Composition root: the only place that knows all parts of the graph-loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bus.compose import Lane, publishing
from bus.host import Service, ServiceSpec
from bus.port import Log
from bus.publishing import Publisher, Reaction
from bus.retry import RetryPolicy
from contracts.topics import (
    AFFINITY_CHANGED,
    ANSWER_ANALYZED,
    CAMPAIGN_CHANGED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
)
from runtime.clock import Clock, SystemClock
from runtime.tasks import Closing

from graph_loader.adapters.postgres import PostgresGraph
from graph_loader.domain.ports import Graph
from graph_loader.handlers import (
    on_answers_analyzed,
    on_campaigns_changed,
    on_conversations_recorded,
    on_engagements_recorded,
    on_users_embedded,
    on_users_forgotten,
)
from graph_loader.refreshing import refresher
from graph_loader.settings import Settings

NAME = "graph-loader"
POSTGRES = "postgresql:"


async def build(settings: Settings, log: Log) -> Service:
    """Wire the service. Raises Unavailable if the graph is not there, NewerGraph."""
    clock = SystemClock()
    graph = await _open(settings)
    publisher = Publisher(NAME, log, clock)
    service = await publishing(
        NAME,
        log,
        publisher,
        _lanes(graph, clock),
        clock=clock,
        policy=RetryPolicy(halt_ratio=settings.dead_letter_ratio),
    )
    refresh = refresher(NAME, graph, publisher, clock, settings.refresh_per_second)
    return replace(
        service,
        components=[Closing(graph.close), *service.components, refresh],
        checks={**service.checks, "graph": graph.healthy, "refresher": refresh.healthy},
    )


def _lanes(graph: Graph, clock: Clock) -> Sequence[Lane]:
    """What users wait for, what is only remembered, and what comes in floods, each by itself."""
    return [
        Lane(
            "people",
            [
                Reaction(USER_FORGOTTEN, partial(on_users_forgotten, graph=graph, clock=clock)),
                Reaction(CAMPAIGN_CHANGED, partial(on_campaigns_changed, graph=graph, clock=clock)),
                Reaction(
                    ENGAGEMENT_RECORDED, partial(on_engagements_recorded, graph=graph, clock=clock)
                ),
                Reaction(USER_EMBEDDED, partial(on_users_embedded, graph=graph, clock=clock)),
            ],
            batch=50,
        ),
        Lane(
            "conversations",
            [
                Reaction(
                    CONVERSATION_RECORDED,
                    partial(on_conversations_recorded, graph=graph, clock=clock),
                )
            ],
            batch=100,
        ),
        Lane("answers", [Reaction(ANSWER_ANALYZED, partial(on_answers_analyzed, graph=graph))]),
    ]


async def _open(settings: Settings) -> Graph:
    url = settings.graph_url
    if url.startswith(POSTGRES):
        return await PostgresGraph.connect(url, NAME)
    from graph_loader.adapters.neo4j import Neo4jGraph  # noqa: PLC0415 - its driver takes a second

    password = settings.graph_password
    auth = None if password is None else (settings.graph_user, password.get_secret_value())
    return await Neo4jGraph.connect(url, auth, settings.graph_database, settings.graph_ca_file)


SERVICE = ServiceSpec(
    name=NAME,
    settings=Settings,
    build=build,
    subscriptions=(
        CONVERSATION_RECORDED,
        ENGAGEMENT_RECORDED,
        CAMPAIGN_CHANGED,
        USER_EMBEDDED,
        USER_FORGOTTEN,
        ANSWER_ANALYZED,
    ),
    publishes=(AFFINITY_CHANGED,),
)
