"""Arms the failpoints of the bus: dies by SIGKILL, or tells, when a named point is passed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from bus import failpoint

VARIABLE = "LIMELIGHT_TEST_FAILPOINT"


def arm_from_environment() -> None:
    """Install what ``LIMELIGHT_TEST_FAILPOINT`` asks for: ``kill=POINT:N`` or ``trace=FILE``.

    ``kill`` ends this process at the N-th passing (from 1) of the point; ``trace`` appends the
    name of every point to a file as it is passed. Without the variable nothing is installed.
    """
    action, _, argument = os.environ.get(VARIABLE, "").partition("=")
    if action == "kill":
        point, _, number = argument.rpartition(":")
        if point not in failpoint.POINTS:
            raise ValueError(f"no failpoint {point!r}; there are: {', '.join(failpoint.POINTS)}")
        failpoint.install(_Killer(point, int(number)))
    elif action == "trace":
        failpoint.install(_Tracer(Path(argument)))


class _Killer:
    def __init__(self, point: str, number: int) -> None:
        self._point = point
        self._number = number
        self._passed: Counter[str] = Counter()

    def __call__(self, point: str) -> None:
        self._passed[point] += 1
        if point == self._point and self._passed[point] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


class _Tracer:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, point: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{point}\n")
