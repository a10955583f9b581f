"""A program of ours as a child process that tests start, kill and stop many times."""

from __future__ import annotations

import signal
import subprocess
from http.client import HTTPException
from pathlib import Path

from devkit.stopping import Stopping

STOP_SECONDS = 40.0
UNANSWERED = (OSError, HTTPException)
"""What urllib raises of a process that is away, or is killed in the middle of its answer."""


class ProcessError(AssertionError):
    """The process did not do what was waited for; holds the end of its output."""


class Running(Stopping):
    """What can be done to such a process, whatever starts it; its output goes to one file."""

    def __init__(self, name: str, output: Path) -> None:
        self._name = name
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting; once, for a second one would kill it."""
        if self.alive and not self._asked:
            assert self._process is not None
            self._process.send_signal(signal.SIGTERM)
            self._asked = True

    def stop(self) -> int:
        """SIGTERM, and wait for its exit status. Raises ProcessError if it hangs."""
        if self._process is None:
            return 0
        self.ask_to_stop()
        try:
            return self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessError(f"{self._name} hangs on SIGTERM:\n{self.output()}") from None

    def wait_for_exit(self, seconds: float) -> int:
        """Its exit status once it has ended by itself; negative for a signal."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"still running after {seconds} s:\n{self.output()}") from None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process, which must have been started."""
        assert self._process is not None
        return self._process.pid

    def output(self, characters: int = 4000) -> str:
        """The end of what it printed."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return text[-characters:]
