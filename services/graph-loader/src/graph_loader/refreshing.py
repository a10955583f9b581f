"""Computes users again whose surroundings changed, those who wait longest first."""

from __future__ import annotations

from collections.abc import Sequence

from bus.errors import Transient
from bus.publishing import Publisher
from contracts.telemetry import REFRESH_OLDEST, REFRESH_WAITING
from contracts.topics import AFFINITY_CHANGED
from runtime.clock import Clock
from runtime.metrics import gauge
from runtime.tasks import Periodic

from graph_loader.affinities import affinities
from graph_loader.domain.models import Affinity, Backlog
from graph_loader.domain.ports import Graph
from graph_loader.translation import affinity_changed, micros

TURN_SECONDS = 0.5
SLICE = 25
"""Users computed at a time: what an event waits for is no longer than one slice."""


class Refresher:
    """Works on the users who were marked, at a bounded rate. Tells only what is new."""

    def __init__(
        self, service: str, graph: Graph, publisher: Publisher, clock: Clock, per_second: float
    ) -> None:
        self._service = service
        self._graph = graph
        self._publisher = publisher
        self._clock = clock
        self._per_second = per_second
        self._allowance = 0.0
        self._last = clock.monotonic()

    async def turn(self) -> None:
        """Compute as many as the time since the last turn allows. Raises Transient."""
        self._measure(await self._graph.backlog())
        left = self._allowed()
        while left > 0:
            some = min(left, SLICE)
            done = await self._refresh(some)
            self._allowance -= done
            left -= done
            if done < some:
                return

    async def _refresh(self, limit: int) -> int:
        users = await self._graph.waiting(limit)
        if not users:
            return 0
        found = list((await affinities(self._graph, users, self._clock)).values())
        await self._tell([affinity for affinity in found if affinity.changed])
        await self._graph.remember(found)
        return len(users)

    async def _tell(self, new: Sequence[Affinity]) -> None:
        """Before the mark is taken away: after a crash in between it is told once more."""
        now = self._clock.now()
        await self._publisher.originate(
            AFFINITY_CHANGED,
            [(affinity.key[0], affinity_changed(affinity, now)) for affinity in new],
        )

    def _allowed(self) -> int:
        """What was not used is not saved up for more than a turn."""
        now = self._clock.monotonic()
        earned = (now - self._last) * self._per_second
        self._last = now
        most = max(1.0, self._per_second * TURN_SECONDS * 2)
        self._allowance = min(self._allowance + earned, most)
        return int(self._allowance)

    def _measure(self, backlog: Backlog) -> None:
        gauge(REFRESH_WAITING).labels(self._service).set(backlog.waiting)
        age = (micros(self._clock.now()) - backlog.oldest) / 1e6 if backlog.waiting else 0.0
        gauge(REFRESH_OLDEST).labels(self._service).set(max(0.0, age))


def refresher(
    service: str, graph: Graph, publisher: Publisher, clock: Clock, per_second: float
) -> Periodic:
    """The refresher as a component; a graph or a log that is down is waited for."""
    turn = Refresher(service, graph, publisher, clock, per_second).turn
    return Periodic(f"{service} refresher", TURN_SECONDS, turn, expected=(Transient,))
