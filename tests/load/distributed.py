"""A visibility run with each service a process of its own on Kafka, beside the all-in-one.

Simulated models answer at once: what is measured is everything but the models. Then the same with
models that take their time, on one llm-executor and on two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import psutil

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.stack import ALL, SERVICES, Deployment, Servers  # noqa: E402 - where a script looks first
from tests.load import visibility  # noqa: E402
from tests.load.markdown import table  # noqa: E402

VISIBILITY = SERVICES[:3]
QUIET = {"LIMELIGHT_LOG_LEVEL": "WARNING"}
SLOW_SECONDS = 0.5
SLOW_IN_FLIGHT = 32
SLOW_COMPLETIONS = 2_000


@dataclass(frozen=True)
class Apart:
    """One run: seconds to its report, and CPU seconds of each process."""

    completions: int
    seconds: float
    cpu: Mapping[str, float]


def apart(completions: int, services: tuple[str, ...], rounds: int) -> list[Apart]:
    """Start anew with these services, warm up, run so many times."""
    with deployed(services) as deployment:
        finish(deployment, visibility.run_of(200))
        return [timed(deployment, visibility.run_of(completions)) for _ in range(rounds)]


@contextmanager
def deployed(
    services: tuple[str, ...], latency: float = 0.0, **environment: str
) -> Iterator[Deployment]:
    """Services on servers of their own; models answer after ``latency`` seconds."""
    wanted = ALL if services == SERVICES else {"kafka", "postgres", "redis"}
    with tempfile.TemporaryDirectory(prefix="limelight-load-") as name:
        folder = Path(name)
        config = folder / "simulator.toml"
        built_in = resources.files("devkit.simulator").joinpath("default.toml").read_text()
        config.write_text(f"{built_in}\n[faults]\nlatency_s = {latency}\n")
        told = QUIET | environment
        with (
            Servers.start(folder, wanted) as servers,
            Deployment(folder, servers, services, simulated=config, environment=told) as deployment,
        ):
            yield deployment.start()


def timed(deployment: Deployment, request: dict[str, Any]) -> Apart:
    """From the POST to the finished report."""
    before, begun = clocks(deployment), time.perf_counter()
    completions = finish(deployment, request)
    seconds, after = time.perf_counter() - begun, clocks(deployment)
    return Apart(completions, seconds, {name: after[name] - before[name] for name in after})


def finish(deployment: Deployment, request: dict[str, Any]) -> int:
    """The number of answers in the report, which must be all. Raises RuntimeError."""
    accepted = deployment.call("POST", "/v1/visibility/runs", request)
    path = accepted["links"]["run"]
    deployment.until(path, lambda run: run["state"] != "running", seconds=600)
    report = deployment.call("GET", accepted["links"]["report"])
    analysed = int(report["groups"][0]["answers"])
    if analysed != accepted["expected_completions"]:
        raise RuntimeError(f"{analysed} of {accepted['expected_completions']} in the report")
    return analysed


def clocks(deployment: Deployment) -> dict[str, float]:
    """CPU seconds so far of each service, the simulator and each server with its children."""
    pids = {name: process.pid for name, process in deployment.services.items()}
    pids["simulator"] = deployment.simulator.pid
    pids |= {server.name: server.pid for server in deployment.servers}
    families = {
        name: [process, *process.children(recursive=True)]
        for name, pid in pids.items()
        for process in [psutil.Process(pid)]
    }
    return {name: sum(map(visibility.cpu_seconds, own)) for name, own in families.items()}


def slow(replicas: int) -> float:
    """Completions per second when models take their time and each process waits for few at once."""
    in_flight = str(SLOW_IN_FLIGHT)
    with deployed(VISIBILITY, SLOW_SECONDS, LIMELIGHT_MAX_IN_FLIGHT=in_flight) as deployment:
        more = [deployment.replica("llm_executor", f"replica-{n}") for n in range(1, replicas)]
        for process in more:
            process.start()
        for process in more:
            process.wait_until_ready()
        finish(deployment, visibility.run_of(200))
        run = timed(deployment, visibility.run_of(SLOW_COMPLETIONS))
        for process in more:
            process.stop()
        return run.completions / run.seconds


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a thousand completions, one round")
    given = parser.parse_args()
    completions, rounds = (1_000, 1) if given.short else (10_000, 2)
    together = [visibility.measured(completions) for _ in range(rounds)]
    runs = {
        "apart, the three of visibility": apart(completions, VISIBILITY, rounds),
        "apart, all six": apart(completions, SERVICES, rounds),
    }
    print(table(list(_rows(together, runs))))
    print(table(list(_costs(runs))))
    print(table(list(_replicas())))


def _rows(
    together: list[visibility.Measured], runs: Mapping[str, list[Apart]]
) -> Iterator[tuple[str, ...]]:
    yield "processes", "completions", "s", "per s", "CPU ms each", "ratio of the rate"
    best = max(run.completions / run.seconds for run in together)
    for one in together:
        yield _row("all-in-one", one.completions, one.seconds, one.each, best)
    for name, some in runs.items():
        for run in some:
            each = sum(run.cpu.values()) / run.completions
            yield _row(name, run.completions, run.seconds, each, best)


def _row(name: str, completions: int, seconds: float, each: float, best: float) -> tuple[str, ...]:
    rate = completions / seconds
    shown = f"{completions:,}", f"{seconds:.1f}", f"{rate:.0f}", f"{1000 * each:.2f}"
    return name, *shown, f"{rate / best:.2f}"


def _costs(runs: Mapping[str, list[Apart]]) -> Iterator[tuple[str, ...]]:
    """CPU of each process in the faster run."""
    fastest = {name: min(some, key=lambda run: run.seconds) for name, some in runs.items()}
    yield "CPU ms of a completion", *fastest
    parts = dict.fromkeys(part for run in fastest.values() for part in run.cpu)
    for part in parts:
        costs = [1000 * run.cpu.get(part, 0.0) / run.completions for run in fastest.values()]
        yield part, *(f"{cost:.3f}" for cost in costs)


def _replicas() -> Iterator[tuple[str, ...]]:
    yield "llm-executors", "completions per s", "ratio"
    one, two = slow(1), slow(2)
    for number, rate in ((1, one), (2, two)):
        yield str(number), f"{rate:.0f}", f"{rate / one:.2f}"


if __name__ == "__main__":
    main()
