"""Where the time of the batched pipeline goes, as a table."""

from __future__ import annotations

import copy
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from bus.port import Log
from tests.load.measuring import Taken
from tests.load.pipeline import pipeline
from tests.load.stages import Stage, Stages
from tests.load.stores import Kit
from tests.load.timed_ports import TimedLog, timed_functions, timed_kit
from tests.load.workload import BATCH, Route

_HEADINGS = ("task", "stage", "elapsed, % of the run", "CPU µs/record", "CPU, % of this process")


@dataclass
class Profile:
    """What the timers saw between the start of the clock and its end."""

    stages: Stages = field(default_factory=Stages)
    seen: Stages = field(default_factory=Stages)

    @asynccontextmanager
    async def started(self, log: Log, route: Route, kit: Kit) -> AsyncIterator[None]:
        """The batched pipeline, timed while the block runs."""
        timed = timed_kit(kit, self.stages)
        with timed_functions(self.stages), _watched(self.stages):
            async with pipeline(TimedLog(log, self.stages), route, timed, BATCH):
                self.stages.clear()
                yield
                self.seen = copy.deepcopy(self.stages)


@contextmanager
def _watched(stages: Stages) -> Iterator[None]:
    gc.callbacks.append(stages.collecting)
    try:
        yield
    finally:
        gc.callbacks.remove(stages.collecting)


def stage_table(profile: Profile, taken: Taken) -> list[tuple[str, ...]]:
    """Rows of text, headings first."""
    return [_HEADINGS, *_stages(profile, taken), *_rest(profile, taken)]


def _stages(profile: Profile, taken: Taken) -> Iterator[tuple[str, ...]]:
    for (task, name), stage in sorted(profile.seen.found.items(), key=_order):
        share = f"{100 * stage.elapsed / taken.seconds:.0f}"
        yield (task, name, share, *_cpu(stage.cpu, taken))


def _order(item: tuple[tuple[str, str], Stage]) -> tuple[str, float]:
    (task, _), stage = item
    return task, -stage.elapsed


def _rest(profile: Profile, taken: Taken) -> Iterator[tuple[str, ...]]:
    timed = sum(stage.cpu for stage in profile.seen.found.values())
    loop = "event loop, client's own tasks, glue"
    yield ("rest", loop, "", *_cpu(taken.loop_cpu - timed, taken))
    yield ("rest", "other threads", "", *_cpu(taken.own_cpu - taken.loop_cpu, taken))
    garbage = profile.seen.garbage
    yield ("part of all above", "garbage collection", "", *_cpu(garbage, taken))
    yield ("servers", "PostgreSQL and Kafka", "", f"{taken.per_record(taken.server_cpu):.0f}", "")


def _cpu(seconds: float, taken: Taken) -> tuple[str, str]:
    share = 100 * seconds / taken.own_cpu
    return f"{taken.per_record(seconds):z.1f}", f"{share:z.0f}"
