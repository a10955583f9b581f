"""How long after a kill -9 a service is back, and its events are as young as before."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from contracts.telemetry import EVENT_AGE
from devkit.service_process import ServiceProcess
from devkit.stack import SERVICES, Servers
from prometheus_client.parser import text_string_to_metric_families
from tests.chaos.distributed.faults import Scene, Tell
from tests.chaos.distributed.plan import Plan
from tests.chaos.distributed.run import deployed
from tests.chaos.distributed.traffic import Traffic
from tests.load.markdown import table

BASE_SECONDS = 10.0
GIVEN_UP_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_LOOKS = 10
"""As many as there are in the second of which a mean is taken."""
_NORMAL_SECONDS = 1.0
_TIMES = 2.0


@dataclass(frozen=True)
class Recovery:
    """Seconds from the kill; None: not within two minutes. Ages are means, in seconds.

    ``normal_s``: the first second in which events were taken in whose mean age was below a second,
    or below twice that of before, and none came later that were older.
    """

    service: str
    age_before_s: float
    ready_s: float | None
    first_s: float | None
    normal_s: float | None
    oldest_s: float


def measure(plan: Plan, folder: Path, servers: Servers, tell: Tell) -> list[Recovery]:
    """Kill each service once while a steady stream of work is offered."""
    with ExitStack() as running:
        gate, deployment = deployed(plan, folder, servers, running)
        scene = Scene(deployment, servers, gate, plan, tell)
        traffic = Traffic(deployment.gateway_port, "recovery", plan.seed, plan.people_pause)
        traffic.start()
        scene.wait(BASE_SECONDS)
        found = [_recovery(deployment.services[service], tell) for service in SERVICES]
        traffic.stop()
    return found


def _recovery(process: ServiceProcess, tell: Tell) -> Recovery:
    before = [age for age in _ages(process, BASE_SECONDS) if age is not None]
    base = sum(before) / len(before) if before else 0.0
    began = time.monotonic()
    process.kill()
    process.start()
    found = _watched(process, began, max(_NORMAL_SECONDS, _TIMES * base), base)
    tell(f"  {found}")
    return found


def _watched(process: ServiceProcess, began: float, normal: float, base: float) -> Recovery:
    """Until events have been young for as long as they were looked at before."""
    ready: float | None = None
    first: float | None = None
    since: float | None = None
    oldest = 0.0
    for age in _ages(process, GIVEN_UP_SECONDS):
        now = time.monotonic() - began
        if not process.alive:
            process.start()
        ready = now if ready is None and process.ready() else ready
        if age is None:
            continue
        first, oldest = first or now, max(oldest, age)
        since = (since or now) if age <= normal else None
        if since is not None and now - since > BASE_SECONDS:
            break
    return Recovery(process.module, base, ready, first, since, oldest)


def _ages(process: ServiceProcess, seconds: float) -> Iterator[float | None]:
    """Again and again, the mean age of what was taken in during the last second, if anything."""
    looks = deque([(0.0, 0.0)], maxlen=_LOOKS)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        total, count = _sums(process.metrics())
        if count < looks[-1][1]:  # another process
            looks.clear()
            looks.append((0.0, 0.0))
        events = count - looks[0][1]
        yield (total - looks[0][0]) / events if events and len(looks) > 1 else None
        looks.append((total, count))
        time.sleep(_LOOK_SECONDS)


def _sums(metrics: str) -> tuple[float, float]:
    """Seconds and number of all events so far."""
    found = {"sum": 0.0, "count": 0.0}
    for family in text_string_to_metric_families(metrics):
        if family.name == EVENT_AGE.name:
            for sample in family.samples:
                part = sample.name.rpartition("_")[2]
                if part in found:
                    found[part] += sample.value
    return found["sum"], found["count"]


def recovery_table(found: list[Recovery]) -> str:
    """Of each service."""
    heads = ("service", "age before, s", "ready after, s", "first event after, s")
    rows = [(*heads, "age normal after, s", "oldest window, s")]
    for one in found:
        times = (one.age_before_s, one.ready_s, one.first_s, one.normal_s, one.oldest_s)
        cells = ["-" if each is None else f"{each:.2f}" for each in times]
        rows.append((one.service, *cells))  # type: ignore[arg-type]
    return table(rows)
