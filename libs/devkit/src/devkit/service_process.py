"""A service, or the simulator, as a process of its own that is started, killed and stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from devkit.child import die_with_parent
from devkit.limelight_process import ProcessError
from devkit.ports import free_port

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


class ServiceProcess:
    """One replica: ``python -m module`` with its own ports, which it keeps over many starts."""

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str],
        output: Path,
        *,
        arguments: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        self.module = module
        self.ops_port = port or free_port()
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {
            "LIMELIGHT_HOST": "127.0.0.1",
            "LIMELIGHT_OPS_HOST": "127.0.0.1",
            "LIMELIGHT_OPS_PORT": str(self.ops_port),
            **environment,
        }
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    def start(self, **more: str) -> None:
        """Start it, with some more variables this time. It dies with this process."""
        self._asked = False
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                env=os.environ | self._environment | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for the parent, which then stops it in order
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )

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
            raise ProcessError(f"{self.module} hangs on SIGTERM:\n{self.output()}") from None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process, which must have been started."""
        assert self._process is not None
        return self._process.pid

    def ready(self) -> bool:
        """Whether its ops port says so."""
        return self._fetched("/readyz") is not None

    def metrics(self) -> str:
        """Its metrics as text; empty while it is not up."""
        return self._fetched("/metrics") or ""

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Raises ProcessError if it ends or is not ready in time."""
        until = time.monotonic() + seconds
        while not self.ready():
            if not self.alive or time.monotonic() > until:
                state = "is not ready" if self.alive else "ended"
                raise ProcessError(f"{self.module} {state}:\n{self.output()}")
            time.sleep(0.05)

    def output(self, characters: int = 4000) -> str:
        """The end of what it printed."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return text[-characters:]

    def _fetched(self, path: str) -> str | None:
        try:
            with urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=3) as answer:
                return str(answer.read().decode())
        except (URLError, OSError):
            return None


class SimulatorProcess(ServiceProcess):
    """The provider simulator; without ``config`` with its built-in models and brands."""

    def __init__(self, output: Path, config: Path | None = None) -> None:
        port = free_port()
        arguments = ["--port", str(port), *(["--config", str(config)] if config else [])]
        super().__init__("devkit.simulator", {}, output, arguments=arguments, port=port)

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"http://127.0.0.1:{self.ops_port}/v1"

    def ready(self) -> bool:
        """Whether it answers."""
        return self._fetched("/_simulator/stats") is not None

    def stats(self) -> dict[str, Any]:
        """What it was asked since it was started."""
        return dict(json.loads(self._fetched("/_simulator/stats") or "{}"))
