"""A run from POST to its finished report, all services in one process, at several sizes.

The simulator lives in the same process and answers at once: what is measured is everything but
the models, and the simulator's own work.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.limelight_process import LimelightProcess  # noqa: E402 - where a script looks first
from tests.load.markdown import table  # noqa: E402

SIZES = (1_000, 10_000, 30_000)
SHORT = (200, 1_000)
MODELS = ("simulator/sim-large", "simulator/sim-small")
SAMPLES = 20
BRANDS = ("Notion", "Obsidian", "Evernote", "Roam Research", "Logseq", "OneNote")
TOPICS = ("team notes", "private notes", "research", "lectures", "recipes", "a novel", "meetings")
_HEADINGS = (
    "completions", "s", "per s", "CPU ms each", "of that PostgreSQL", "peak MB", "cost each, ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """One run: seconds to its report, CPU seconds of the process and of its servers, peak bytes."""

    completions: int
    seconds: float
    own_cpu: float
    server_cpu: float
    peak: int

    @property
    def each(self) -> float:
        """CPU seconds of one completion, of all processes."""
        return (self.own_cpu + self.server_cpu) / self.completions


class Watched:
    """The process, its servers, and the most memory that all of them held together.

    Servers detach themselves: they are known by their data folder, which is in their command line.
    """

    def __init__(self, process: psutil.Process, folder: Path) -> None:
        self._process = process
        named = [each for each in psutil.process_iter() if _mentions(each, folder)]
        self._servers = [each for each in named if each != process]
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far: of the process, of its children."""
        return cpu_seconds(self._process), sum(map(cpu_seconds, self._family()))

    def _family(self) -> list[psutil.Process]:
        """Servers with the processes they made, e.g. one for each connection of PostgreSQL."""
        children = (child for each in self._servers for child in each.children(recursive=True))
        return list({*self._servers, *children})

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(map(_private, [self._process, *self._family()])))


def run_of(completions: int) -> dict[str, Any]:
    """A request for so many completions."""
    prompts = completions // (len(MODELS) * SAMPLES)
    return {
        "name": f"{completions} completions",
        "brands": [{"name": name} for name in BRANDS],
        "prompts": [
            f"Which app is best for {TOPICS[n % len(TOPICS)]}? (question {n})"
            for n in range(prompts)
        ],
        "models": list(MODELS),
        "samples": SAMPLES,
    }


def measured(completions: int) -> Measured:
    """Start anew, warm up, run once."""
    with (
        tempfile.TemporaryDirectory(prefix="limelight-load-") as folder,
        LimelightProcess(Path(folder) / "data") as limelight,
    ):
        limelight.start({"LIMELIGHT_LOG_LEVEL": "WARNING"})
        finished(limelight, run_of(200))
        with Watched(psutil.Process(limelight.pid), Path(folder)) as watched:
            before, begun = watched.cpu(), time.perf_counter()
            finished(limelight, run_of(completions))
            seconds, after = time.perf_counter() - begun, watched.cpu()
        own, servers = (now - then for now, then in zip(after, before, strict=True))
        return Measured(completions, seconds, own, servers, watched.peak)


def finished(limelight: LimelightProcess, request: dict[str, Any]) -> None:
    """Run to the finished report. Raises RuntimeError if an answer is missing from it."""
    status, accepted = limelight.call("POST", "/v1/visibility/runs", request)
    if status != 202:
        raise RuntimeError(f"{status}: {json.dumps(accepted)[:500]}")
    path = accepted["links"]["run"]
    while limelight.call("GET", path)[1]["state"] == "running":
        time.sleep(0.05)
    _, report = limelight.call("GET", accepted["links"]["report"])
    analysed = report["groups"][0]["answers"]
    if analysed != accepted["expected_completions"]:
        raise RuntimeError(f"{analysed} of {accepted['expected_completions']} in the report")


def rows(runs: list[Measured]) -> Iterator[tuple[str, ...]]:
    """The runs as text; the ratio is to the first."""
    for run in runs:
        yield (
            f"{run.completions:,}",
            f"{run.seconds:.1f}",
            f"{run.completions / run.seconds:.0f}",
            f"{1000 * run.each:.2f}",
            f"{1000 * run.server_cpu / run.completions:.2f}",
            f"{run.peak / 1e6:.0f}",
            f"{run.each / runs[0].each:.2f}",
        )


def _mentions(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in part for part in process.cmdline())
    except psutil.Error:
        return False


def cpu_seconds(process: psutil.Process) -> float:
    """Its own seconds, and those of children that ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _private(process: psutil.Process) -> int:
    """Bytes that are the process's own: PostgreSQL's share their buffers."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.NoSuchProcess:
        return 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a thousand completions at most")
    parser.add_argument("--sizes", type=int, nargs="+", help="completions of each run")
    given = parser.parse_args()
    sizes = given.sizes or (SHORT if given.short else SIZES)
    runs = [measured(size) for size in sizes]
    print(table([_HEADINGS, *rows(runs)]))


if __name__ == "__main__":
    main()
