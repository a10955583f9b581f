"""Services as processes of their own over Apache Kafka, with stores of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from devkit.ports import free_port

T = TypeVar("T")
KEY = "lk_for-the-processes-of-this-test"


class Processes:
    """Service processes with their environments and output files."""

    def __init__(self, folder: Path, environment: dict[str, str], services: Sequence[str]) -> None:
        self._folder = folder
        self._environment = environment
        self.gateway_port = free_port()
        self.ops_ports = {service: free_port() for service in services}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str, **own: str) -> None:
        environment = {
            **own,
            "LIMELIGHT_OPS_PORT": str(self.ops_ports[service]),
            "LIMELIGHT_OPS_HOST": "127.0.0.1",
            "LIMELIGHT_HOST": "127.0.0.1",
            "LIMELIGHT_PORT": str(self.gateway_port),
        }
        with (self._folder / f"{service}.out").open("wb") as output:
            self._running[service] = subprocess.Popen(
                [sys.executable, "-m", service],
                env=os.environ | self._environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self, service: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not self._ready(service):
            assert self._running[service].poll() is None, self.output(service)
            assert time.monotonic() < until, self.output(service)
            time.sleep(0.1)

    def stop(self) -> dict[str, int]:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return {service: process.wait(timeout=40) for service, process in self._running.items()}

    def output(self, service: str) -> str:
        return (self._folder / f"{service}.out").read_text()[-3000:]

    def _ready(self, service: str) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.ops_ports[service]}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        request = Request(
            f"http://127.0.0.1:{self.gateway_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
            method=method,
        )
        with urlopen(request, timeout=10) as answer:
            return dict(json.loads(answer.read()))

    def imported(self, seconds: float = 60) -> str:
        """The id of the tenant's only import, once there is one and its answer is analysed."""
        until = time.monotonic() + seconds
        while True:
            page = self.call("GET", "/v1/visibility/runs")["items"]
            assert isinstance(page, list)
            for run in page:
                if run["kind"] == "imported" and run["progress"]["analyzed"]:
                    return str(run["run_id"])
            assert time.monotonic() < until, page
            time.sleep(0.1)

    def finished(self, path: str, seconds: float = 60) -> dict[str, object]:
        until = time.monotonic() + seconds
        while (report := self.call("GET", path))["state"] == "running":
            assert time.monotonic() < until, report
            time.sleep(0.1)
        return report


class Stores:
    """PostgreSQL with a database per service, and Redis."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._postgres = self._do(EmbeddedPostgres.start(folder / "postgres"))
        self.redis = self._do(EmbeddedRedis.start(folder / "redis"))

    def _do(self, coroutine: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def dsn(self, service: str) -> str:
        return str(self._do(self._postgres.database(service)))

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._postgres.stop())
        self._do(self.redis.stop())
        self._loop.close()


def apply_topics(environment: dict[str, str]) -> None:
    applied = subprocess.run(
        [sys.executable, "-m", "allinone", "topics", "apply"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    assert "created completion.requested.v1" in applied.stdout
