"""The same services, each a process of its own, over Apache Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Producer
from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from devkit.kafka_server import KafkaServer, ServerUnavailable
from devkit.ports import free_port
from devkit.reports import named_in

T = TypeVar("T")
pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
SERVICES = ("gateway", "llm_executor", "mention_analyzer")
KEY = "lk_for-the-processes-of-this-test"
RUN = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
    "prompts": ["Which note app?"],
    "models": ["simulator/certain"],
    "samples": 4,
}


@pytest.fixture
def kafka(server_folder: Path) -> Iterator[KafkaServer]:
    """A broker; the test is skipped with the reason where none can be had."""
    try:
        server = KafkaServer.start(server_folder / "kafka")
    except ServerUnavailable as error:
        pytest.skip(f"Apache Kafka: {error}")
    yield server
    server.stop()


CAPTURED = {
    "answer_id": "0199c2f1-0000-7e5f-8a74-4b30af9d8d77",
    "tenant_id": "demo",
    "prompt": "Which note app?",
    "surface": "app",
    "model": "Some Assistant",
    "text": "I would take Quillnote.",
    "captured_at": "2026-11-20T09:00:00Z",
}


class Processes:
    """Service processes with their environments and output files."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self.gateway_port = free_port()
        self.ops_ports = {service: free_port() for service in SERVICES}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str, dsn: str) -> None:
        environment = {
            "LIMELIGHT_POSTGRES_DSN": dsn,
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

    def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
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


def test_a_run_over_kafka(kafka: KafkaServer, server_folder: Path, certain: dict[str, str]) -> None:
    with ExitStack() as stack:
        stores = stack.enter_context(_Stores(server_folder))
        simulator, simulator_url = _simulator(certain["LIMELIGHT_SIMULATOR_CONFIG"])
        stack.callback(simulator.wait)
        stack.callback(simulator.terminate)
        environment = {
            "LIMELIGHT_LOG_URL": f"kafka://{kafka.bootstrap_servers}",
            "LIMELIGHT_REDIS_URL": stores.redis.url,
            "LIMELIGHT_SIMULATOR_URL": simulator_url,
            "LIMELIGHT_BOOTSTRAP_KEY": KEY,
        }
        _apply_topics(environment)
        processes = Processes(server_folder, environment)
        stack.callback(processes.stop)
        for service in SERVICES:
            processes.start(service, stores.dsn(service))
        for service in SERVICES:
            processes.wait_until_ready(service)

        accepted = processes.call("POST", "/v1/visibility/runs", RUN)
        report = processes.finished(f"/v1/visibility/runs/{accepted['run_id']}/report")

        assert report["state"] == "completed"
        assert report["simulated"] is True
        assert list(named_in(report).values()) == [(4, 4), (0, 4)]

        assert processes.call("PUT", "/v1/brands", {"name": "Quillnote"})
        _publish_bare(kafka.bootstrap_servers, CAPTURED)
        collection = processes.imported()
        report = processes.finished(f"/v1/visibility/runs/{collection}/report")
        assert (report["kind"], report["name"]) == ("imported", "captured 2026-11")
        assert named_in(report) == {"Papertrail Pro": (0, 1), "Quillnote": (1, 1)}
        assert processes.stop() == dict.fromkeys(SERVICES, 0)


class _Stores:
    """PostgreSQL with a database per service, and Redis."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._postgres = self._do(EmbeddedPostgres.start(folder / "postgres"))
        self.redis = self._do(EmbeddedRedis.start(folder / "redis"))

    def _do(self, coroutine: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def dsn(self, service: str) -> str:
        return str(self._do(self._postgres.database(service)))

    def __enter__(self) -> _Stores:
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._postgres.stop())
        self._do(self.redis.stop())
        self._loop.close()


def _publish_bare(bootstrap_servers: str, body: dict[str, str]) -> None:
    """As a producer outside does that knows nothing of CloudEvents."""
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    producer.produce("answer.captured.v1", json.dumps(body), key=body["answer_id"])
    assert producer.flush(30) == 0


def _simulator(config: str) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    command = [sys.executable, "-m", "devkit.simulator", "--port", str(port), "--config", config]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    return process, f"http://127.0.0.1:{port}/v1"


def _apply_topics(environment: dict[str, str]) -> None:
    applied = subprocess.run(
        [sys.executable, "-m", "allinone", "topics", "apply"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    assert "created completion.requested.v1" in applied.stdout
