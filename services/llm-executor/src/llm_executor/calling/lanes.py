"""The lanes of all models, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection

from contracts import telemetry
from runtime.metrics import gauge

from llm_executor.domain.lane import Breaker, Lane
from llm_executor.domain.ports import Providers

_OPENNESS = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


class Lanes:
    """One lane for each known model; unknown models of a provider share one."""

    def __init__(
        self, providers: Providers, breaker: Callable[[str], Breaker], share: float = 1.0
    ) -> None:
        self._providers = providers
        self._breaker = breaker
        self._share = share
        self._lanes: dict[str, Lane] = {}
        self.on_room: Callable[[], None] = lambda: None

    def of(self, model: str) -> Lane:
        """The lane in which ``provider/model`` is called."""
        name = self._providers.lane(model)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(
                name, self._providers.limits(model).shared(self._share), self._breaker(name)
            )
            lane.on_room = self._woken
        return lane

    def all(self) -> Collection[Lane]:
        """Those in use."""
        return self._lanes.values()

    def seats(self) -> int:
        """How many completions have a call before them or under way, in all lanes."""
        return sum(lane.booked + lane.waiting + lane.calling for lane in self._lanes.values())

    def wakes_in(self) -> float | None:
        """Seconds until one of them may have more room by time alone."""
        waits = [wait for lane in self._lanes.values() if (wait := lane.wakes_in()) is not None]
        return min(waits, default=None)

    def measure(self, service: str) -> None:
        """Set the gauges."""
        for lane in self._lanes.values():
            gauge(telemetry.LANE_LIMIT).labels(service, lane.name).set(lane.limit)
            openness = _OPENNESS[lane.breaker_state]
            gauge(telemetry.BREAKER_OPEN).labels(service, lane.name).set(openness)

    def _woken(self) -> None:
        self.on_room()
