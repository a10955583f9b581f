"""The process dies at every point of delivery, at the first, second and third time it gets there.

What is in the store, on the log and in the DLQ afterwards must be what a run without a crash
leaves. The crash is an exception that nothing catches, and the end of every task and connection;
nothing is stopped in order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus import failpoint
from bus.dead_letter import dlq_fields
from bus.errors import Permanent
from bus.failpoint import POINTS
from bus.host import Service
from bus.lag import lag
from bus.local import LocalLog
from bus.record import OutRecord
from devkit.conformance.polling import read_all
from libs.bus.tests.toy_delivery import (
    ALL_TOPICS,
    DLQ,
    GROUP,
    PLACED,
    Desk,
    order,
    poison,
    send,
    until,
)
from libs.bus.tests.toy_service import built, published
from libs.bus.tests.toy_stores import Kit
from runtime.deadline import Deadline

pytestmark = pytest.mark.usefixtures("quick_loops")

# A gateway's commands and an executor's paid calls pass these; their services test them.
SERVICE_ONLY = {
    "command-before-commit",
    "command-after-commit",
    "intake-before-store",
    "intake-after-store",
    "call-before-claim",
    "call-after-claim",
    "call-before-send",
    "call-after-reply",
    "call-after-record",
    # Convergent consumers pass these: test_publishing.py.
    "consumer-before-publish",
    "consumer-after-publish",
}
PASSED = [point for point in POINTS if point not in SERVICE_ONLY]
TIMES = 3
REFUSED = 99


class Crash(asyncio.CancelledError):
    """The death of the process, which nobody reports when the dead task is collected."""


def wave(number: int) -> list[OutRecord]:
    """Orders of three accounts, one of them refused, and a record that cannot be decoded."""
    orders = [order(account, 10 * number + n) for n in range(2) for account in ("a", "b", "c")]
    return [*orders[:2], poison("a", number)["bad-json"], *orders[2:], order("b", REFUSED + number)]


WAVES = [wave(number) for number in range(TIMES + 1)]


@dataclass
class Fuse:
    """A hook that kills the process when a point is passed for the ``nth`` time."""

    point: str | None = None
    nth: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    burnt: asyncio.Event = field(default_factory=asyncio.Event)
    kill: Callable[[], None] = lambda: None

    def __call__(self, point: str) -> None:
        self.hits[point] += 1
        if self.burnt.is_set() or (point == self.point and self.hits[point] == self.nth):
            self.burnt.set()
            self.kill()
            raise Crash(point)


class Process:
    """The toy service on a log file and a store, which both outlive it."""

    def __init__(self, path: Path, kit: Kit) -> None:
        self.log: LocalLog
        self._service: Service
        self._path = path
        self._kit = kit
        self._others: set[asyncio.Task[Any]] = set()
        self._died: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Open everything and begin."""
        self._others = asyncio.all_tasks()
        await self._kit.drop()
        await self._kit.reconnect()
        self.log = await LocalLog.open(self._path, sync="normal")
        await self.log.create_topics(ALL_TOPICS)
        refused = {REFUSED + n: _refused for n in range(len(WAVES))}
        self._service = await built(self.log, self._kit, Desk(failing=refused))
        await self._service.start()

    def kill(self) -> None:
        """End every task where it is; called from the one that crashes."""
        for task in asyncio.all_tasks() - self._others:
            self._died.add(task)
            if task is not asyncio.current_task():
                task.cancel()

    async def bury(self) -> None:
        """Let go of what the dead process held: connections, and the lock on the file."""
        dead = [task for task in self._died if task is not asyncio.current_task()]
        await asyncio.gather(*dead, return_exceptions=True)
        self._died.clear()
        await self._kit.drop()
        await self.log.close()

    async def stop(self) -> None:
        """End in order."""
        await self._service.stop(Deadline(5))

    async def quiet(self) -> bool:
        """Whether there is nothing left to do."""
        behind = await lag(self.log, PLACED.name, GROUP)
        return behind == 0 and await self._kit.unpublished() == 0


def _refused() -> Exception:
    return Permanent("refused")


async def outcome(log: LocalLog, kit: Kit) -> dict[str, object]:
    """Everything a run leaves behind; duplicates that consumers skip do not count."""
    events = {item.envelope.id: item for item in reversed(await published(log))}
    letters = await read_all(log, DLQ)
    return {
        "booked": await kit.booked(),
        "published": sorted((key, item.event.model_dump_json()) for key, item in events.items()),
        "buried": {(item.value, item.headers[:9], dlq_fields(item)["reason"]) for item in letters},
        "unpublished": await kit.unpublished(),
        "lag": await lag(log, PLACED.name, GROUP),
    }


async def run(process: Process, fuse: Fuse) -> None:
    """Send wave after wave, each when the one before is done; start again after a crash."""
    fuse.kill = process.kill
    failpoint.install(fuse)
    await process.start()
    for records in WAVES:
        await send(process.log, records)
        await until(lambda: _quiet_or_dead(process, fuse), "quiet")
        if fuse.burnt.is_set() and fuse.point is not None:
            failpoint.install(None)
            fuse.point = None
            await process.bury()
            await process.start()
            await until(process.quiet, "quiet after the crash")
    await process.stop()


async def _quiet_or_dead(process: Process, fuse: Fuse) -> bool:
    return (fuse.point is not None and fuse.burnt.is_set()) or await process.quiet()


@pytest_asyncio.fixture
async def process(tmp_path: Path, kit: Kit) -> AsyncIterator[Process]:
    made = Process(tmp_path / "log.db", kit)
    yield made
    failpoint.install(None)
    made.kill()
    await made.bury()


EXPECTED = {
    account: [10 * number + n for number in range(len(WAVES)) for n in range(2)]
    for account in ("a", "b", "c")
}


@pytest.mark.asyncio
async def test_a_run_without_a_crash_passes_every_point_of_the_bus(
    process: Process, kit: Kit
) -> None:
    fuse = Fuse()
    await run(process, fuse)
    assert set(fuse.hits) | SERVICE_ONLY == set(POINTS)
    assert set(fuse.hits) == set(PASSED)
    assert min(fuse.hits.values()) >= TIMES
    found = await outcome(process.log, kit)
    assert found["booked"] == EXPECTED
    assert len(found["buried"]) == 2 * len(WAVES)  # type: ignore[arg-type]
    assert (found["unpublished"], found["lag"]) == (0, 0)


_EXPECTATIONS: dict[str, dict[str, object]] = {}


@pytest_asyncio.fixture
async def undisturbed(tmp_path: Path, kit: Kit) -> dict[str, object]:
    """What a run without a crash leaves; the same on every backend, so made once."""
    if not _EXPECTATIONS:
        from libs.bus.tests.toy_stores import MemoryKit

        calm_kit = MemoryKit()
        calm = Process(tmp_path / "calm.db", calm_kit)
        await run(calm, Fuse())
        _EXPECTATIONS["calm"] = await outcome(calm.log, calm_kit)
        failpoint.install(None)
        await calm.log.close()
    return _EXPECTATIONS["calm"]


@pytest.mark.parametrize("nth", range(1, TIMES + 1))
@pytest.mark.parametrize("point", PASSED)
@pytest.mark.asyncio
async def test_a_crash_changes_nothing(
    undisturbed: dict[str, object], process: Process, kit: Kit, point: str, nth: int
) -> None:
    fuse = Fuse(point, nth)
    await run(process, fuse)
    assert fuse.burnt.is_set()
    assert await outcome(process.log, kit) == undisturbed
