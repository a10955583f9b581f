"""A store that hangs must not hang the event loop: health answers, and work goes on afterwards."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

FROZEN_SECONDS = 5.0
LONG = "2.5"  # half of it, and more than a busy machine makes of itself
RUN = {
    "brands": [{"name": "Quillnote"}],
    "prompts": ["One?", "Two?", "Three?"],
    "models": ["simulator/certain"],
    "samples": 10,
}


@contextmanager
def frozen(data_dir: Path) -> Iterator[None]:
    """Stop PostgreSQL and all its backends as a dead disk would, then let them go on."""
    server = psutil.Process(int((data_dir / "postgres/postmaster.pid").read_text().split()[0]))
    processes = [server, *server.children(recursive=True)]
    try:
        _signal(processes, signal.SIGSTOP)
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a backend may end by itself
            process.send_signal(number)


def long_lags(limelight: LimelightProcess) -> float:
    """How many timers of the loop came late by more than half of the time it was frozen."""
    text = limelight.ops("/metrics")[1]
    name = "limelight_event_loop_lag_seconds"

    def value(pattern: str) -> float:
        found = re.search(pattern, text, re.MULTILINE)
        assert found is not None
        return float(found[1])

    within = value(rf'^{name}_bucket{{le="{LONG}",service="allinone"}} (\S+)$')
    return value(rf'^{name}_count{{service="allinone"}} (\S+)$') - within


def test_the_loop_runs_while_postgresql_hangs(limelight: LimelightProcess) -> None:
    limelight.start()
    _, accepted = limelight.call("POST", "/v1/visibility/runs", RUN)
    before = long_lags(limelight)
    with frozen(limelight.data_dir):
        until = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until:
            assert limelight.ops("/livez")[0] == 200
            time.sleep(0.1)
        assert limelight.ops("/readyz")[0] == 503
        assert long_lags(limelight) == before
    report = limelight.finished_report(accepted["run_id"])
    assert report["state"] == "completed"
    assert set(named_in(report).values()) >= {(30, 30)}
