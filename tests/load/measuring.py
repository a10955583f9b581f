"""One row of the table: run something until its outputs are on the log, and what that took."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Written = Callable[[], Awaitable[int]]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """``records`` were through after ``seconds``.

    CPU seconds of this process, of that its event loop's thread, and of the servers.
    """

    records: int
    seconds: float
    own_cpu: float
    loop_cpu: float
    server_cpu: float

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.seconds

    def per_record(self, cpu: float) -> float:
        """Microseconds of CPU per record."""
        return 1e6 * cpu / max(1, self.records)


@dataclass(frozen=True)
class Limits:
    """How many records a row has at most, and seconds after which it is stopped.

    A batched row is over soon, so it is run ``rounds`` times and the best one counts: what else
    runs on the machine can only make it slower.
    """

    batched: int
    single: int
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Servers:
    """The folder in which the servers live: it is part of their command lines."""

    folder: Path

    def cpu(self) -> float:
        """CPU seconds of all of them so far; 0 where there is no /proc."""
        return cpu_of(str(self.folder))


async def take(
    started: AbstractAsyncContextManager[None],
    written: Written,
    expected: int,
    limit: float,
    servers: Servers,
) -> Taken:
    """The clock runs from when ``started`` has its partitions until ``expected`` are written."""
    async with started:
        server_cpu = servers.cpu()
        before = _clocks()
        records = await _until(written, expected, before[0] + limit)
        seconds, own_cpu, loop_cpu = map(operator.sub, _clocks(), before)
        return Taken(records, seconds, own_cpu, loop_cpu, servers.cpu() - server_cpu)


def _clocks() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), time.thread_time()


async def _until(written: Written, expected: int, end: float) -> int:
    # Asked from outside, as a reader would: no event of ours says that a record can be read.
    while (count := await written()) < expected and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return count


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """``work`` runs beside the block and is cancelled after it; what ended it early is raised."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(done, Exception):
        raise done


def cpu_of(mark: str) -> float:
    """CPU seconds of processes whose command line contains ``mark``, and of their children."""
    stats = dict(_stats())
    wanted = {pid for pid in stats if mark in _command(pid) and pid != os.getpid()}
    while more := {pid for pid, (parent, _) in stats.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(stats[pid][1] for pid in wanted) / _TICKS


def _stats() -> Iterator[tuple[int, tuple[int, int]]]:
    """Process id, then its parent and its ticks; those of children that have ended count, too."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        yield int(path.parent.name), (int(fields[1]), sum(map(int, fields[11:15])))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
