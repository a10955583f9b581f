"""The faults themselves, each on a running deployment, and what was seen when they came."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from confluent_kafka import KafkaError, Message, Producer
from contracts.topics import CONVERSATION_RECORDED, ENGAGEMENT_RECORDED, TOPICS, topic_named
from devkit.history.log import Origin
from devkit.service_process import ServiceProcess
from devkit.stack import Deployment, Servers
from tests.chaos.distributed.gate import Gate
from tests.chaos.distributed.kafka_reading import read
from tests.chaos.distributed.plan import Fault, Plan

Tell = Callable[[str], None]
STORMED = ("mention_analyzer", "recommender", "llm_executor")
POISONED = (CONVERSATION_RECORDED, ENGAGEMENT_RECORDED)
POISON = 3
BROKEN = b"{not json"
TENANT = "demo"
"""Whose the poison says that it is: the tenant of the clients."""
_REVIVE_SECONDS = 0.2
_RESTARTS = 20
CALM_SECONDS = 120.0


@dataclass
class Seen:
    """What the faults left to know.

    ``claims`` are calls that were open when an executor or its store was killed, or that one left
    behind: by completion and owner. ``ended`` are processes that ended by themselves.
    """

    kills: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    claims: set[tuple[str, str]] = field(default_factory=set)
    planted: dict[Origin, frozenset[str]] = field(default_factory=dict)
    doubled: int = 0
    replicas: int = 0


class Scene:
    """A deployment that is broken in many ways and, as an orchestrator would, started again."""

    def __init__(
        self, deployment: Deployment, servers: Servers, gate: Gate, plan: Plan, tell: Tell
    ) -> None:
        self._deployment, self._servers, self._gate = deployment, servers, gate
        self._plan, self._tell = plan, tell
        self._rng = random.Random(f"faults/{plan.seed}")
        self.seen = Seen()
        self._kinds: dict[str, Callable[[str], None]] = {
            "kill": self._kill,
            "kill-server": self._kill_server,
            "stop-server": self._stop_server,
            "outage": self._outage,
            "storm": self._storm,
            "duplicates": self._duplicates,
            "calm": self._calm,
        }

    def meet(self, fault: Fault) -> None:
        """Let it happen, and wait as long as it says."""
        began = time.monotonic()
        self._kinds[fault.kind](fault.target)
        self._tell(f"  {fault} ({time.monotonic() - began:.1f} s)")
        self.wait(fault.pause)

    def wait(self, seconds: float) -> None:
        """Start again what has ended by itself meanwhile, as an orchestrator does."""
        until = time.monotonic() + seconds
        while True:
            self.revive()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _REVIVE_SECONDS))

    def revive(self) -> None:
        """Start what has ended by itself."""
        for service, process in self._deployment.services.items():
            if not process.alive:
                self.seen.ended[service] += 1
                if service == "llm_executor":
                    self.note_claims()
                self._tell(f"  {service} had ended by itself: {_last_line(process)}")
                process.start()

    def poison(self) -> None:
        """Records that no consumer can read, to be found in every group's DLQ."""
        producer = _producer(_bootstrap(self._servers))
        for topic in POISONED:
            for number in range(POISON):
                producer.produce(
                    topic.name,
                    BROKEN,
                    key=f"poison-{number}",
                    headers={"ce_tenantid": TENANT.encode()},
                    on_delivery=self._planted,
                )
        assert producer.flush(30) == 0

    def _planted(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        where: Any = (message.topic(), message.partition(), message.offset())
        self.seen.planted[where] = frozenset(topic_named(where[0]).consumers)

    def note_claims(self) -> None:
        """Calls that are open now; while PostgreSQL is away they stay, to be noted later."""
        address = f"{self._servers['postgres'].url}/completions"
        with suppress(OSError, asyncpg.PostgresError):
            self.seen.claims.update(asyncio.run(_claims(address)))

    def _kill(self, service: str) -> None:
        process = self._deployment.services[service]
        process.kill()
        self.seen.kills[service] += 1
        if service == "llm_executor":
            self.note_claims()
        process.start()

    def _kill_server(self, name: str) -> None:
        if name == "postgres":
            self.note_claims()
        self._servers[name].kill()
        self.seen.kills[name] += 1
        self.wait(self._rng.uniform(0.5, 2))
        self._restart(name)
        if name == "postgres":
            self.note_claims()

    def _restart(self, name: str) -> None:
        """Right after a kill it may find that what it left is still held."""
        for _ in range(_RESTARTS):
            try:
                self._servers[name].restart()
            except RuntimeError as error:
                self._tell(f"  {name} does not start yet: {str(error).splitlines()[0]}")
                self.wait(1)
            else:
                return
        raise RuntimeError(f"{name} does not start again")

    def _stop_server(self, name: str) -> None:
        self._servers[name].stop()
        self.seen.stops[name] += 1
        self.wait(self._rng.uniform(0.5, 2))
        self._restart(name)

    def _calm(self, _: str) -> None:
        """Until all are ready again."""
        until = time.monotonic() + CALM_SECONDS
        while not all(process.ready() for process in self._deployment.services.values()):
            if time.monotonic() > until:
                raise RuntimeError(f"not all services are ready again after {CALM_SECONDS} s")
            self.wait(_REVIVE_SECONDS)

    def _outage(self, _: str) -> None:
        self._gate.shut()
        self.wait(self._plan.outage_seconds)
        self._gate.open()

    def _storm(self, _: str) -> None:
        """Members of three groups come and go; every second one is killed."""
        until = time.monotonic() + self._plan.storm_seconds
        running: list[ServiceProcess] = []
        while time.monotonic() < until:
            for service in STORMED:
                self.seen.replicas += 1
                one = self._deployment.replica(service, f"storm-{self.seen.replicas}")
                one.start()
                running.append(one)
            self.wait(self._rng.uniform(4, 6))
            self._end(running)
        self.note_claims()

    def _end(self, running: list[ServiceProcess]) -> None:
        for number, one in enumerate(running):
            if number % 2 == self.seen.replicas % 2:
                one.kill()
            else:
                self.note_claims()
                one.ask_to_stop()
            self.note_claims()
        for one in running:
            one.stop()
        self.note_claims()
        running.clear()

    def _duplicates(self, _: str) -> None:
        """Send again, byte for byte, a share of everything that has been published."""
        self.seen.doubled += _double(_bootstrap(self._servers), self._again)

    def _again(self) -> bool:
        return self._rng.random() < self._plan.duplicates


async def _claims(address: str) -> set[tuple[str, str]]:
    connection = await asyncpg.connect(address)
    try:
        rows = await connection.fetch(
            "SELECT completion_id, owner FROM completions "
            "WHERE document IS NULL AND (owner IS NOT NULL OR unknown)"
        )
    except asyncpg.UndefinedTableError:  # killed before it had made its tables
        return set()
    finally:
        await connection.close()
    return {(str(UUID(str(row["completion_id"]))), str(row["owner"])) for row in rows}


def _double(bootstrap: str, again: Callable[[], bool]) -> int:
    producer = _producer(bootstrap)
    found = [one for one in read(bootstrap, [topic.name for topic in TOPICS]) if again()]
    doubled = [one for one in found if one.value != BROKEN]
    for record in doubled:
        producer.produce(
            record.topic,
            record.value,
            key=record.key,
            partition=record.partition,
            headers=list(record.headers),
        )
    assert producer.flush(30) == 0
    return len(doubled)


def _producer(bootstrap: str) -> Producer:
    """Plain, as anybody else's; it does not tell of every lost connection."""
    return Producer({"bootstrap.servers": bootstrap, "log_level": 2})


def _bootstrap(servers: Servers) -> str:
    return servers["kafka"].url.removeprefix("kafka://")


def _last_line(process: ServiceProcess) -> str:
    lines = process.output().strip().splitlines()
    return lines[-1][:300] if lines else "it printed nothing"
