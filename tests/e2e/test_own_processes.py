"""The same services, each a process of its own, over Apache Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from devkit.reports import named_in
from devkit.stack import Deployment
from tests.e2e.conftest import started

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


@pytest.fixture
def deployment(server_folder: Path, certain: dict[str, str]) -> Iterator[Deployment]:
    simulated = Path(certain["LIMELIGHT_SIMULATOR_CONFIG"])
    with ExitStack() as stack:
        servers = stack.enter_context(started(server_folder, {"kafka", "postgres", "redis"}))
        yield stack.enter_context(Deployment(server_folder, servers, SERVICES, simulated=simulated))


def test_a_run_over_kafka(deployment: Deployment) -> None:
    deployment.start()
    accepted = deployment.call("POST", "/v1/visibility/runs", RUN)
    report = deployment.finished_report(accepted["run_id"])

    assert report["state"] == "completed"
    assert report["simulated"] is True
    assert list(named_in(report).values()) == [(4, 4), (0, 4)]

    assert deployment.call("PUT", "/v1/brands", {"name": "Quillnote"})
    _publish_bare(deployment.log_url.removeprefix("kafka://"), CAPTURED)
    report = deployment.finished_report(_imported(deployment))
    assert (report["kind"], report["name"]) == ("imported", "captured 2026-11")
    assert named_in(report) == {"Papertrail Pro": (0, 1), "Quillnote": (1, 1)}
    assert deployment.stop() == dict.fromkeys(SERVICES, 0)


def _imported(deployment: Deployment) -> str:
    """The id of the tenant's only import, once there is one and its answer is analysed."""

    def imports(page: dict[str, Any]) -> list[str]:
        runs = [run for run in page["items"] if run["kind"] == "imported"]
        return [run["run_id"] for run in runs if run["progress"]["analyzed"]]

    page = deployment.until("/v1/visibility/runs", lambda page: bool(imports(page)))
    return imports(page)[0]


def _publish_bare(bootstrap_servers: str, body: dict[str, str]) -> None:
    """As a producer outside does that knows nothing of CloudEvents."""
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    producer.produce("answer.captured.v1", json.dumps(body), key=body["answer_id"])
    assert producer.flush(30) == 0
