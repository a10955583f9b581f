"""A service, or the simulator, as a process of its own that is started, killed and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from devkit.child import die_with_parent
from devkit.ports import free_port
from devkit.running import UNANSWERED, ProcessError, Running

READY_SECONDS = 180.0


class ServiceProcess(Running):
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
        super().__init__(module, output)
        self.module = module
        self.ops_port = port or free_port()
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {
            "LIMELIGHT_HOST": "127.0.0.1",
            "LIMELIGHT_OPS_HOST": "127.0.0.1",
            "LIMELIGHT_OPS_PORT": str(self.ops_port),
            **environment,
        }

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

    def _fetched(self, path: str) -> str | None:
        try:
            with urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=3) as answer:
                return str(answer.read().decode())
        except UNANSWERED:
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
