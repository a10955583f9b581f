"""Seconds from ``limelight demo --once`` to its report, on new data and on data that is there."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit.limelight_process import COMMAND  # noqa: E402 - where a script looks first
from devkit.ports import free_port  # noqa: E402
from tests.load.markdown import table  # noqa: E402

_HEADINGS = ("start", "to the report, s", "median", "to the end of the process, s", "its median")


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process."""

    report: float
    end: float


def start(data_dir: Path, port: int) -> Start:
    """Run the demo once. Raises RuntimeError if it prints no report or fails."""
    environment = os.environ | {
        "LIMELIGHT_DATA_DIR": str(data_dir),
        "LIMELIGHT_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    begun = time.perf_counter()
    with subprocess.Popen(
        [*COMMAND, "demo", "--once"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        reports = [time.perf_counter() for line in process.stdout if line.startswith("Run ")]
    ended = time.perf_counter()
    if process.returncode or not reports:
        raise RuntimeError(f"limelight demo --once ended with {process.returncode}, see above")
    return Start(reports[0] - begun, ended - begun)


def twice() -> tuple[Start, Start]:
    """A first start in a new directory, and a second one in the same."""
    with tempfile.TemporaryDirectory(prefix="limelight-start-") as folder:
        data_dir, port = Path(folder) / "data", free_port()
        return start(data_dir, port), start(data_dir, port)


def rows(pairs: list[tuple[Start, Start]]) -> Iterator[tuple[str, ...]]:
    """First and second starts as text."""
    for name, starts in zip(("first", "second"), zip(*pairs, strict=True), strict=True):
        yield (name, *_shown([one.report for one in starts]), *_shown([one.end for one in starts]))


def _shown(seconds: list[float]) -> tuple[str, str]:
    return " ".join(f"{one:.2f}" for one in seconds), f"{statistics.median(seconds):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="new directories to try")
    print("load average before: {:.2f} {:.2f} {:.2f}".format(*os.getloadavg()), flush=True)
    pairs = [twice() for _ in range(parser.parse_args().times)]
    print(table([_HEADINGS, *rows(pairs)]))


if __name__ == "__main__":
    main()
