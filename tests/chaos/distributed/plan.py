"""What a chaos run consists of: how much work, and which faults in which order, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devkit.stack import SERVICES

TRUTH = Path(__file__).with_name("truth.toml")
MODELS = ("simulator/certain", "simulator/sure")
SERVERS = ("kafka", "postgres", "redis", "mongo", "neo4j", "milvus")
STOPPED = ("milvus",)
"""Stopped in order where the others are killed: Milvus Lite, killed while it is written to at once,
loses rows that it has acknowledged, which a Milvus does not."""


@dataclass(frozen=True)
class Fault:
    """One fault by its name, what it hits, and how long to wait after it."""

    kind: str
    target: str
    pause: float

    def __str__(self) -> str:
        return f"{self.kind} {self.target}".strip()


@dataclass(frozen=True)
class Plan:
    """A run: its work, and how often each fault comes.

    ``in_turn``: each service is killed once, before ``random_kills`` of services at random and one
    kill of each of ``servers``, in an order drawn by ``seed``. ``pause_seconds`` is the longest
    time from one fault to the next.
    """

    seed: int
    prompts: int
    samples: int
    in_flight: int
    lease_seconds: float
    people_pause: float
    in_turn: bool
    random_kills: int
    servers: tuple[str, ...]
    outage_seconds: float
    storm_seconds: float
    duplicates: float
    settle_seconds: float
    pause_seconds: float

    @property
    def completions(self) -> int:
        """Of the large run."""
        return self.prompts * len(MODELS) * self.samples

    def faults(self) -> Iterator[Fault]:
        """All faults in their order."""
        rng = random.Random(self.seed)
        first = rng.sample(SERVICES, len(SERVICES)) if self.in_turn else ()
        yield from (Fault("kill", service, self._pause(rng)) for service in first)
        yield Fault("calm", "", self.pause_seconds)
        rest = [
            *(Fault("kill", rng.choice(SERVICES), 0) for _ in range(self.random_kills)),
            *(Fault(_end_of(server), server, 0) for server in self.servers),
            Fault("outage", "provider", 0),
        ]
        if self.storm_seconds:
            rest.append(Fault("duplicates", "", 0))
            rest.append(Fault("storm", "", 0))
        rng.shuffle(rest)
        yield from (Fault(one.kind, one.target, self._pause(rng)) for one in rest)
        yield Fault("duplicates", "", 0)
        yield Fault("calm", "", self.pause_seconds)

    def _pause(self, rng: random.Random) -> float:
        return rng.uniform(0, self.pause_seconds)


def _end_of(server: str) -> str:
    return "stop-server" if server in STOPPED else "kill-server"


SHORT = Plan(
    seed=20261128,
    prompts=5,
    samples=30,
    in_flight=16,
    lease_seconds=3,
    people_pause=0.2,
    in_turn=True,
    random_kills=0,
    servers=("kafka", "postgres", "redis"),
    outage_seconds=4,
    storm_seconds=0,
    duplicates=0.1,
    settle_seconds=90,
    pause_seconds=1,
)
LONG = Plan(
    seed=20261128,
    prompts=20,
    samples=50,
    in_flight=8,
    lease_seconds=15,
    people_pause=2.0,
    in_turn=True,
    random_kills=20,
    servers=SERVERS,
    outage_seconds=30,
    storm_seconds=25,
    duplicates=0.1,
    settle_seconds=300,
    pause_seconds=4,
)
