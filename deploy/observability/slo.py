"""Reads ``slo.yaml``: what is promised, how fast a budget may burn, what is too much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from contracts.telemetry import EVENT_AGE, HTTP_SECONDS, Metric
from contracts.topics import topic_named

FILE = Path(__file__).parent / "slo.yaml"


@dataclass(frozen=True)
class Availability:
    """Share of a service's requests that are not answered with a server error."""

    name: str
    objective: float
    service: str


@dataclass(frozen=True)
class Latency:
    """Share of the answered requests of a route that took no longer than ``seconds``."""

    name: str
    objective: float
    service: str
    method: str
    route: str
    seconds: float

    def __post_init__(self) -> None:
        _check_bucket(self.name, HTTP_SECONDS, self.seconds)


@dataclass(frozen=True)
class Hop:
    """A topic at one of its consumers, and how old an event may be once it is processed."""

    service: str
    topic: str
    seconds: float

    def __post_init__(self) -> None:
        _check_bucket(f"{self.service} on {self.topic}", EVENT_AGE, self.seconds)
        if self.service not in topic_named(self.topic).consumers:
            raise ValueError(f"{self.service} does not consume {self.topic}")


@dataclass(frozen=True)
class Freshness:
    """Share of events that are processed in time, for each hop."""

    name: str
    objective: float
    hops: tuple[Hop, ...]


@dataclass(frozen=True)
class Processed:
    """Share of records that do not end in a DLQ, for each service."""

    name: str
    objective: float


Slo: TypeAlias = Availability | Latency | Freshness | Processed


@dataclass(frozen=True)
class Burn:
    """Two windows in which a budget may not burn ``factor`` times too fast."""

    factor: float
    long: str
    short: str
    lasting: str
    severity: str


@dataclass(frozen=True)
class Thresholds:
    """From where on somebody is told; units are in the names."""

    lag_age_seconds: float
    outbox_oldest_seconds: float
    queue_oldest_seconds: float
    provider_failure_share: float
    provider_calls_at_least: int
    cost_usd_per_hour: float
    refresh_oldest_seconds: float
    event_loop_lag_seconds: float


@dataclass(frozen=True)
class Objectives:
    """The whole file."""

    runbooks: str
    slos: tuple[Slo, ...]
    bad_at_least: int
    burns: tuple[Burn, ...]
    thresholds: Thresholds

    def runbook(self, name: str) -> str:
        """The address of a runbook."""
        return f"{self.runbooks}/{name}.md"


def load(path: Path = FILE) -> Objectives:
    """Read and check the file.

    Raises:
        ValueError, TypeError, KeyError: it says something that cannot be measured.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Objectives(
        runbooks=raw["runbooks"].rstrip("/"),
        slos=tuple(_slo(item) for item in raw["slos"]),
        bad_at_least=raw["bad_at_least"],
        burns=tuple(_burn(item) for item in raw["burns"]),
        thresholds=Thresholds(**raw["thresholds"]),
    )


def _slo(item: dict[str, Any]) -> Slo:
    kinds = {"availability": Availability, "latency": Latency, "processed": Processed}
    fields = {name: value for name, value in item.items() if name != "kind"}
    if not 0 < item["objective"] < 1:
        raise ValueError(f"{item['name']}: an objective is a share between 0 and 1")
    if item["kind"] == "freshness":
        hops = tuple(Hop(**hop) for hop in item["hops"])
        return Freshness(item["name"], item["objective"], hops)
    made: Slo = kinds[item["kind"]](**fields)
    return made


def _burn(item: dict[str, Any]) -> Burn:
    return Burn(item["factor"], item["long"], item["short"], item["for"], item["severity"])


def _check_bucket(what: str, metric: Metric, seconds: float) -> None:
    """A share can be told only where the histogram has a bucket that ends."""
    if seconds not in metric.buckets:
        raise ValueError(f"{what}: {seconds} s is no bucket of {metric.name}: {metric.buckets}")
