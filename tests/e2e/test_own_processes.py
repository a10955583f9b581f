"""The same services, each a process of its own, over Apache Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer
from devkit.kafka_server import KafkaServer
from devkit.ports import free_port
from devkit.reports import named_in
from tests.e2e.own_processes import KEY, Processes, Stores, apply_topics

pytestmark = pytest.mark.xdist_group("kafka")  # one broker at a time
SERVICES = ("gateway", "llm_executor", "mention_analyzer")
RUN = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
    "prompts": ["Which note app?"],
    "models": ["simulator/certain"],
    "samples": 4,
}


CAPTURED = {
    "answer_id": "0199c2f1-0000-7e5f-8a74-4b30af9d8d77",
    "tenant_id": "demo",
    "prompt": "Which note app?",
    "surface": "app",
    "model": "Some Assistant",
    "text": "I would take Quillnote.",
    "captured_at": "2026-11-20T09:00:00Z",
}


def test_a_run_over_kafka(kafka: KafkaServer, server_folder: Path, certain: dict[str, str]) -> None:
    with ExitStack() as stack:
        stores = stack.enter_context(Stores(server_folder))
        simulator, simulator_url = _simulator(certain["LIMELIGHT_SIMULATOR_CONFIG"])
        stack.callback(simulator.wait)
        stack.callback(simulator.terminate)
        environment = {
            "LIMELIGHT_LOG_URL": f"kafka://{kafka.bootstrap_servers}",
            "LIMELIGHT_REDIS_URL": stores.redis.url,
            "LIMELIGHT_SIMULATOR_URL": simulator_url,
            "LIMELIGHT_BOOTSTRAP_KEY": KEY,
        }
        apply_topics(environment)
        processes = Processes(server_folder, environment, SERVICES)
        stack.callback(processes.stop)
        for service in SERVICES:
            processes.start(service, LIMELIGHT_POSTGRES_DSN=stores.dsn(service))
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
