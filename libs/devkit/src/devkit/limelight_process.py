"""The all-in-one as a child process that tests start, ask, kill and start again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from devkit.ports import free_port
from devkit.running import UNANSWERED, ProcessError, Running

START_SECONDS = 120.0
COMMAND = (sys.executable, "-m", "allinone")


class LimelightProcess(Running):
    """One data directory and one port; the process on them can be started many times."""

    def __init__(
        self,
        data_dir: Path,
        *,
        command: Sequence[str] = COMMAND,
        environment: dict[str, str] | None = None,
    ) -> None:
        super().__init__("limelight", data_dir.with_name(f"{data_dir.name}.out"))
        self.data_dir = data_dir
        self.port = free_port()
        self._command = tuple(command)
        self._environment = environment or {}

    def start(self, environment: dict[str, str] | None = None, *, ready: bool = True) -> Self:
        """Start ``limelight up``; with ``ready`` wait until it says it is."""
        self._asked = False
        if self._process is not None and not self.alive:
            # A killed one leaves it, and others may have its ports by now.
            (self.data_dir / "control.json").unlink(missing_ok=True)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "up"],
                env=self._whole_environment(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        if ready:
            self.wait_until(self.ready, "to be ready", START_SECONDS)
        return self

    def key(self) -> str:
        """The demo key."""
        return (self.data_dir / "demo-key").read_text().strip()

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request to the public API with the demo key; status and JSON."""
        sent = {"Authorization": f"Bearer {self.key()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return _fetch(
            Request(
                f"http://127.0.0.1:{self.port}{path}",
                data=data,
                method=method,
                headers=sent | (headers or {}),
            )
        )

    def ops(self, path: str) -> tuple[int, str]:
        """One GET on the ops port; status and text."""
        where = json.loads((self.data_dir / "control.json").read_text())
        status, text = _fetch(Request(where["url"] + path), as_json=False)  # noqa: S310
        return status, str(text)

    def ready(self) -> bool:
        """Whether ``/readyz`` says so; raises if the process has ended."""
        if not self.alive:
            raise ProcessError(f"ended while starting:\n{self.output()}")
        try:
            return self.ops("/readyz")[0] == 200
        except (*UNANSWERED, ValueError):
            return False

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run another ``limelight`` command against the same directory and port."""
        return subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *arguments],
            env=self._whole_environment(None),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Poll a condition. Raises ProcessError with the process's output."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise ProcessError(f"waited {seconds} s in vain {what}:\n{self.output()}")
            time.sleep(0.05)

    def wait_for_model(self, name: str, seconds: float = 60) -> Self:
        """Until the gateway has the list that names a model: right after a start it has the last.

        Raises ProcessError.
        """

        def listed() -> bool:
            catalogs = self.call("GET", "/v1/models")[1]
            return any(name == model["model"] for each in catalogs for model in each["models"])

        self.wait_until(listed, f"for the model {name}", seconds)
        return self

    def finished_report(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The report of a run once its state is final."""
        report: dict[str, Any] = {}

        def final() -> bool:
            status, report_now = self.call("GET", f"/v1/visibility/runs/{run_id}/report")
            report.update(report_now)
            return status == 200 and report["state"] != "running"

        self.wait_until(final, "for the end of the run", seconds)
        return report

    def _whole_environment(self, more: dict[str, str] | None) -> dict[str, str]:
        ours = {
            "LIMELIGHT_DATA_DIR": str(self.data_dir),
            "LIMELIGHT_PORT": str(self.port),
            "LIMELIGHT_LOG_FORMAT": "json",
            "COLUMNS": "200",
        }
        return os.environ | ours | self._environment | (more or {})


def _fetch(request: Request, *, as_json: bool = True) -> tuple[int, Any]:
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, _body(answer.read(), as_json=as_json)
    except HTTPError as error:
        return error.code, _body(error.read(), as_json=as_json)


def _body(content: bytes, *, as_json: bool) -> Any:
    if as_json:
        return json.loads(content) if content else None
    return content.decode()
