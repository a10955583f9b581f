"""Services as processes of their own on running servers, spoken to through the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from devkit.ports import free_port
from devkit.running import ProcessError
from devkit.service_process import ServiceProcess, SimulatorProcess
from devkit.stack.servers import Servers
from devkit.stopping import Stopping

SERVICES = (
    "gateway",
    "llm_executor",
    "mention_analyzer",
    "embedding",
    "graph_loader",
    "recommender",
)
_NOT_NOW = 503
KEY = "lk_for-the-services-of-this-machine-only"


class Deployment(Stopping):
    """One process of each service, more replicas on demand, and a simulator in place of models."""

    def __init__(
        self,
        folder: Path,
        servers: Servers,
        services: Sequence[str] = SERVICES,
        *,
        simulated: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``simulated`` is the simulator's configuration; ``environment`` is for all services."""
        self._folder = folder
        self.servers = servers
        self._environment = dict(environment or {})
        self.gateway_port = free_port()
        self.simulator = SimulatorProcess(folder / "simulator.out", simulated)
        self.services = {service: self.replica(service) for service in services}

    @property
    def log_url(self) -> str:
        """Where its events are."""
        return self.servers["kafka"].url

    def replica(self, service: str, name: str | None = None) -> ServiceProcess:
        """Another process of a service, not started; ``name`` tells its output from others'.

        A second gateway has a port of its own; ``call`` goes to the first.
        """
        port = self.gateway_port if name is None else free_port()
        own = {
            "LIMELIGHT_BOOTSTRAP_KEY": KEY,
            "LIMELIGHT_PORT": str(port),
            "LIMELIGHT_SIMULATOR_URL": self.simulator.base_url,
        }
        told = self.servers.environment(service) | own | self._environment
        return ServiceProcess(service, told, self._folder / f"{name or service}.out")

    def start(self) -> Self:
        """Create the topics, start all at once and wait until they are ready."""
        self.create_topics()
        if "llm_executor" in self.services:
            self.simulator.start()
            self.simulator.wait_until_ready()
        for process in self.services.values():
            process.start()
        for process in self.services.values():
            process.wait_until_ready()
        return self

    def create_topics(self) -> str:
        """As every image can: the names of those that were missing, a line each."""
        done = subprocess.run(
            [sys.executable, "-m", "bus"],
            env=os.environ | self._environment | {"LIMELIGHT_LOG_URL": self.log_url},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessError(f"topics are not created: {done.stderr}")
        return done.stdout

    def stop(self) -> dict[str, int]:
        """Stop all services at once, in order; their exit statuses."""
        for process in self.services.values():
            process.ask_to_stop()
        statuses = {service: process.stop() for service, process in self.services.items()}
        self.simulator.stop()
        return statuses

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request to the gateway with the demo tenant's key; raises urllib's HTTPError."""
        request = Request(
            f"http://127.0.0.1:{self.gateway_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
            method=method,
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return dict(json.loads(answer.read() or b"{}"))

    def until(
        self, path: str, ready: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """What a path answers once that is ``ready``. Raises ProcessError with all outputs."""
        end = time.monotonic() + seconds
        while (found := self._found(path)) is None or not ready(found):
            if time.monotonic() > end:
                outputs = {name: one.output() for name, one in self.services.items()}
                raise ProcessError(f"{path} after {seconds} s: {found}\n{outputs}")
            time.sleep(0.1)
        return found

    def _found(self, path: str) -> dict[str, Any] | None:
        """None while the gateway says: not at the moment."""
        try:
            return self.call("GET", path)
        except HTTPError as error:
            if error.code != _NOT_NOW:
                raise
            return None

    def finished_report(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The report of a run once its state is final."""
        path = f"/v1/visibility/runs/{run_id}/report"
        return self.until(path, lambda report: report["state"] != "running", seconds)
