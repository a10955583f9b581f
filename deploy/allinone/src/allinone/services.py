"""The services of the all-in-one: one line each."""

from __future__ import annotations

import embedding.app
import gateway.app
import graph_loader.app
import llm_executor.app
import mention_analyzer.app
import recommender.app
from bus.host import ServiceSpec

SERVICES: tuple[ServiceSpec, ...] = (
    mention_analyzer.app.SERVICE,
    llm_executor.app.SERVICE,
    embedding.app.SERVICE,
    graph_loader.app.SERVICE,
    recommender.app.SERVICE,
    gateway.app.SERVICE,  # last to start and first to stop: it lets requests in
)


def service_named(name: str) -> ServiceSpec:
    """The service of that name. Raises KeyError if there is none."""
    return {spec.name: spec for spec in SERVICES}[name]
