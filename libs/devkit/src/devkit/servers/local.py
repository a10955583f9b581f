"""A server of somebody else's as a local process that never outlives the test that started it."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devkit.stopping import Stopping

STARTUP_TIMEOUT = 180.0
STOP_TIMEOUT = 10.0

# The shell outlives its parent only long enough to notice: when the pipe on its standard input
# closes, however the parent died, it kills the server. Works from any thread, unlike PDEATHSIG.
_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- & server=$!
trap 'kill -s "$STOP_SIGNAL" $server; wait $server; exit' TERM
(cat <&3 >/dev/null; kill -9 $server 2>/dev/null) &
exec 3<&-
wait $server
"""


class ServerUnavailable(RuntimeError):
    """A local server cannot be had on this machine; the message says which one and why."""


def cache_dir() -> Path:
    """Where downloads and builds stay: ``${LIMELIGHT_CACHE:-~/.cache/limelight}``, made now."""
    found = Path(os.environ.get("LIMELIGHT_CACHE") or Path.home() / ".cache" / "limelight")
    found.mkdir(parents=True, exist_ok=True)
    return found


class LocalServer(Stopping):
    """One process with a data directory, which it keeps across ``kill`` and ``restart``.

    ``stop_signal`` is what the server takes for an order to shut down without waiting for clients.
    """

    def __init__(
        self,
        name: str,
        data_dir: Path,
        command: Sequence[str],
        answers: Callable[[], bool],
        logs: Sequence[Path] = (),
        *,
        stop_signal: str = "TERM",
    ) -> None:
        self.data_dir = data_dir
        self._stop_signal = stop_signal
        self._name = name
        self._command = list(command)
        self._answers = answers
        self._output = data_dir / "stdout.log"
        self._logs = [*logs, self._output]
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start and wait until it answers.

        Raises:
            RuntimeError: not up in ``STARTUP_TIMEOUT`` seconds; with its last log lines.
        """
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                ["/bin/sh", "-c", _KEEPER, "keeper", *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"STOP_SIGNAL": self._stop_signal},
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            self._await_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once with SIGKILL; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it was given a pipe"
        process.stdin.close()  # the keeper kills the server, and ends when that is gone
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self) -> None:
        """Start again on the same data and ports, ending it first if it still runs."""
        self.kill()
        self.launch()

    def stop(self) -> None:
        """Shut down in order, or with SIGKILL after ``STOP_TIMEOUT`` seconds; idempotent."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self.kill()
        atexit.unregister(self.kill)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._name

    @property
    def pid(self) -> int:
        """Of the process that keeps it, whose child it is; it must have been launched."""
        assert self._process is not None
        return self._process.pid

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its logs and of its standard output."""
        texts = [_read(path) for path in self._logs]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while not self._answers():
            if process.poll() is not None:
                raise RuntimeError(
                    f"{self._name} ended with {process.returncode}:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self._name} did not answer in {STARTUP_TIMEOUT:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.05)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def listens(port: int) -> bool:
    """Whether something takes connections on that loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
