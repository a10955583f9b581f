"""One chaos run from beginning to end, and the history that it leaves behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from devkit.history import Calls, History
from devkit.reports import named_in
from devkit.running import UNANSWERED
from devkit.stack import SERVICES, Deployment, Servers
from tests.chaos.distributed import accounts
from tests.chaos.distributed.faults import Scene, Seen, Tell
from tests.chaos.distributed.gate import Gate
from tests.chaos.distributed.kafka_reading import Lags, behind, whole_log
from tests.chaos.distributed.plan import TRUTH, Fault, Plan
from tests.chaos.distributed.relational import (
    Relational,
    read_rejections,
    read_relational,
    read_unpublished,
)
from tests.chaos.distributed.sinks import Sinks, read_graph, read_sinks
from tests.chaos.distributed.traffic import Accepted, Traffic

LAST = ("recommender", "gateway")
"""They stop after the others, one after the other: what is told last is taken in before."""
CALM_SECONDS = 3.0
"""Before the first fault."""
_LOOK_SECONDS = 0.3
_NOT_NOW = 503


class Unsettled(RuntimeError):
    """Something is still going on long after the last fault."""


@dataclass(frozen=True)
class Outcome:
    """What was asked for, what broke, and what was found at the end. Seconds of each part."""

    plan: Plan
    faults: list[Fault]
    accepted: Accepted
    seen: Seen
    history: History
    chaos_seconds: float
    settle_seconds: float


def environment(gate: Gate, plan: Plan) -> dict[str, str]:
    """What the services are told beside where their stores are."""
    return {
        "LIMELIGHT_SIMULATOR_URL": gate.url,
        "LIMELIGHT_MAX_IN_FLIGHT": str(plan.in_flight),
        "LIMELIGHT_LEASE_SECONDS": str(plan.lease_seconds),
        # The outage is to be outlived: how often a call is tried is not what is judged here.
        "LIMELIGHT_ATTEMPTS": "20",
        "LIMELIGHT_PRO_PER_MINUTE": "1000000",
        "LIMELIGHT_ADDRESS_PER_MINUTE": "1000000",
    }


def deployed(
    plan: Plan, folder: Path, servers: Servers, running: ExitStack
) -> tuple[Gate, Deployment]:
    """Every service, started, with the gate between the llm-executor and the simulator."""
    gate = running.enter_context(Gate())
    deployment = running.enter_context(
        Deployment(folder, servers, simulated=TRUTH, environment=environment(gate, plan))
    )
    gate.target = deployment.simulator.ops_port
    return gate, deployment.start()


def run(plan: Plan, folder: Path, servers: Servers, tell: Tell) -> Outcome:
    """Work, break, settle, stop, and read everything."""
    with ExitStack() as running:
        gate, deployment = deployed(plan, folder, servers, running)
        return _Run(plan, servers, deployment, gate, tell).whole()


class _Run:
    def __init__(
        self, plan: Plan, servers: Servers, deployment: Deployment, gate: Gate, tell: Tell
    ) -> None:
        self._plan, self._servers, self._deployment = plan, servers, deployment
        self._tell = tell
        self._scene = Scene(deployment, servers, gate, plan, tell)
        self._traffic = Traffic(deployment.gateway_port, "chaos", plan.seed, plan.people_pause)

    def whole(self) -> Outcome:
        began, faults = time.monotonic(), list(self._plan.faults())
        self._traffic.start()
        self._traffic.run("large", self._plan.prompts, self._plan.samples)
        self._scene.poison()
        self._scene.wait(CALM_SECONDS)
        for fault in faults:
            self._scene.meet(fault)
        self._traffic.stop()
        broken = time.monotonic()
        self._tell(f"  the last fault is over after {broken - began:.0f} s; settling")
        self._settle()
        settled = time.monotonic()
        history = self._history()
        return Outcome(self._plan, faults, self._traffic.accepted, self._scene.seen, history,
                       broken - began, settled - broken)  # fmt: skip

    def _settle(self) -> None:
        url = self._servers["postgres"].url
        for what, settled in (
            ("runs have not ended", lambda: self._open_runs() == []),
            ("an outbox is not empty", lambda: not any(_now(read_unpublished(url)).values())),
            ("a consumer is behind", partial(self._up_to_date, SERVICES)),
            ("users wait to be computed", lambda: self._stale() == []),
            ("refusals are not listed", self._listed),
            ("a consumer is behind", partial(self._up_to_date, SERVICES)),
        ):
            self._until(what, settled, revive=True)
        self._stop([service for service in SERVICES if service not in LAST])
        for service in LAST:
            self._until(f"{service} is behind", partial(self._up_to_date, [service]))
            if service == "gateway":
                self._reports = {run: self._report(run) for run in self._traffic.accepted.runs}
            self._stop([service])

    def _stop(self, services: Sequence[str]) -> None:
        """In order, and at once."""
        processes = [self._deployment.services[service] for service in services]
        for process in processes:
            process.ask_to_stop()
        for process in processes:
            status = process.stop()
            if status != 0:
                raise Unsettled(f"{process.module} ended with {status}:\n{process.output()}")

    def _until(self, what: str, settled: Callable[[], bool], *, revive: bool = False) -> None:
        end = time.monotonic() + self._plan.settle_seconds
        while not _answered(settled):
            if time.monotonic() > end:
                raise Unsettled(f"{what} after {self._plan.settle_seconds} s: {self._state()}")
            if revive:
                self._scene.revive()
            time.sleep(_LOOK_SECONDS)

    def _state(self) -> str:
        url = self._servers["postgres"].url
        outputs = {name: one.output(1500) for name, one in self._deployment.services.items()}
        found = (_now(read_unpublished(url)), self._behind(SERVICES), self._stale())
        return f"{found}\n" + "\n".join(f"{name}:\n{text}" for name, text in outputs.items())

    def _open_runs(self) -> list[str]:
        runs = self._traffic.accepted.runs
        return [run_id for run_id in runs if self._run(run_id)["state"] == "running"]

    def _run(self, run_id: str) -> dict[str, Any]:
        return self._deployment.call("GET", f"/v1/visibility/runs/{run_id}")

    def _report(self, run_id: str) -> tuple[object, object]:
        """What a run without faults reports, from the truth; and what this one does."""
        expected = self._traffic.accepted.runs[run_id]
        report = self._deployment.call("GET", f"/v1/visibility/runs/{run_id}/report")
        found = (report["state"], report["progress"]["analyzed"], named_in(report))
        named = {"Quillnote": (expected, expected), "Papertrail Pro": (0, expected)}
        return ("completed", expected, dict(sorted(named.items()))), (
            *found[:2],
            dict(sorted(found[2].items())),
        )

    def _behind(self, services: Sequence[str]) -> Lags:
        return behind(self._bootstrap(), services)

    def _up_to_date(self, services: Sequence[str]) -> bool:
        return not self._behind(services)

    def _listed(self) -> bool:
        """Refusals are listed a moment after they are made, also to a gateway that was away."""
        owed = sum(map(len, self._scene.seen.planted.values()))
        return len(_now(read_rejections(self._servers["postgres"].url))) >= owed

    def _bootstrap(self) -> str:
        return self._servers["kafka"].url.removeprefix("kafka://")

    def _stale(self) -> list[Any]:
        return list(_now(read_graph(self._servers["neo4j"].url, "stale"))["stale"])

    def _history(self) -> History:
        accepted, seen = self._traffic.accepted, self._scene.seen
        log = whole_log(self._bootstrap())
        store = _now(read_relational(self._servers["postgres"].url))
        sinks: Sinks = _now(read_sinks(self._servers))
        all_accounts = [
            *accounts.commands(accepted, log, store),
            *accounts.answers(log, store, sinks),
            *accounts.people(accepted, log, sinks),
            *accounts.deeds(accepted, sinks),
            *accounts.campaigns(log, store, sinks),
            *accounts.rejections(seen.planted, store),
        ]
        made = _made(self._deployment.simulator.ops_port)
        return History(
            log, seen.planted, all_accounts, _calls(made, store, frozenset(seen.claims)),
            store.unpublished, self._reports,
        )  # fmt: skip


def _calls(made: dict[str, int], store: Relational, claims: frozenset[tuple[str, str]]) -> Calls:
    ends = store.ends()
    again = {key: end["attempts"] - 1 for key, end in ends.items() if end["attempts"] > 1}
    return Calls(
        made=made,
        answers=sum(end["outcome"] == "answered" for end in ends.values()),
        tried_again=sum(again.values()),
        retried=frozenset(again),
        cut=frozenset(key for key, end in ends.items() if end["outcome_unknown"]),
        claims=claims,
    )


def _answered(settled: Callable[[], bool]) -> bool:
    """Who is away, or is just starting again, has not settled. A refusal is raised."""
    try:
        return settled()
    except HTTPError as error:
        if error.code != _NOT_NOW:
            raise
        return False
    except UNANSWERED:
        return False


def _made(port: int) -> dict[str, int]:
    with urlopen(f"http://127.0.0.1:{port}/_simulator/calls", timeout=30) as answer:
        return dict(json.loads(answer.read())["calls"])


def _now(reading: Any) -> Any:
    return asyncio.run(reading)
