"""Producers outside, as docs/producing-events.md shows them: run, taken in, and refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bus.fitting import PREFIX
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from contracts.topics import ANSWER_CAPTURED, dlq_name
from devkit.reports import named_in
from devkit.servers.kafka_connect import connect_worker
from devkit.servers.local import ServerUnavailable
from devkit.stack import Deployment
from tests.e2e.conftest import started

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(180)]  # one broker at a time
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "producing"
SERVICES = ("gateway", "mention_analyzer")
TENANT = "demo"
DLQ = dlq_name(ANSWER_CAPTURED.name, "gateway")


@dataclass
class Outside:
    """What a producer outside knows: where Kafka is, its tenant, and the API."""

    kafka: str
    limelight: Deployment
    folder: Path

    def run(self, *command: str) -> None:
        environment = os.environ | {"KAFKA": self.kafka, "TENANT": TENANT}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def texts(self) -> list[str]:
        """The answers that the tenant has, of all collections."""
        runs = self.limelight.call("GET", "/v1/visibility/runs")["items"]
        return [
            answer["text"]
            for run in runs
            for answer in self.limelight.call(
                "GET", f"/v1/visibility/runs/{run['run_id']}/answers"
            )["items"]
        ]

    def send(
        self, value: bytes | None, headers: dict[str, bytes] | None = None, key: str | None = None
    ) -> None:
        producer = Producer(
            {"bootstrap.servers": self.kafka, "message.max.bytes": 50_000_000, "linger.ms": 0}
        )
        failures: list[Any] = []
        producer.produce(
            ANSWER_CAPTURED.name,
            value,
            key,
            headers=dict(headers or {}),
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        assert producer.flush(30) == 0
        if failures:
            raise KafkaException(failures[0])

    def letters(self) -> list[dict[str, str]]:
        """The dead letters as anybody reads them who may read the topic, oldest first."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": "looking"})
        consumer.assign([TopicPartition(DLQ, 0, OFFSET_BEGINNING)])
        _, end = consumer.get_watermark_offsets(TopicPartition(DLQ, 0), timeout=60)
        found = [consumer.poll(60) for _ in range(end)]
        consumer.close()
        return [_told(message.headers()) for message in found if message is not None]


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="limelight-")))
        servers = stack.enter_context(started(folder, {"kafka", "postgres", "redis"}))
        deployment = stack.enter_context(Deployment(folder, servers, SERVICES)).start()
        deployment.call("PUT", "/v1/brands", {"name": "Quillnote"})
        yield Outside(deployment.log_url.removeprefix("kafka://"), deployment, folder)


def _told(headers: Any) -> dict[str, str]:
    """What a dead letter says of itself."""
    return {
        name.removeprefix(PREFIX): value.decode()
        for name, value in headers
        if name.startswith(PREFIX)
    }


def eventually(ready: Callable[[], bool], what: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, f"still not so: {what}"
        time.sleep(0.1)


def taken(outside: Outside, text: str) -> None:
    eventually(lambda: text in outside.texts(), f"{text!r} is an answer of the tenant")


def python_example(outside: Outside, name: str) -> None:
    text = f"I would take Quillnote, says {name}."
    outside.run(sys.executable, str(EXAMPLES / name), text)
    taken(outside, text)


def test_the_cloudevents_sdk(outside: Outside) -> None:
    if find_spec("cloudevents") is None:
        pytest.skip("cloudevents is not installed (make setup)")
    python_example(outside, "with_cloudevents.py")


def test_bare_aiokafka(outside: Outside) -> None:
    python_example(outside, "with_aiokafka.py")


def test_kcat(outside: Outside) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on PATH (apt install kcat)")
    outside.run(str(EXAMPLES / "with_kcat.sh"), "Take Quillnote, says kcat.")
    taken(outside, "Take Quillnote, says kcat.")

    def offered() -> bool:
        page = outside.limelight.call("GET", "/v1/campaigns")["items"]
        return [(one["campaign_id"], one["title"]) for one in page] == [
            ("spring-notes", "Notes in spring")
        ]

    eventually(offered, "the campaign is the tenant's only one")


def test_kafka_connect(outside: Outside) -> None:
    answers = outside.folder / "answers.ndjson"
    said = an_answer(text="Quillnote, says Kafka Connect.")
    answers.write_text(json.dumps(said) + "\n")
    environment = {
        "KAFKA": outside.kafka,
        "ANSWERS": str(answers),
        "OFFSETS": str(outside.folder / "connect.offsets"),
    }
    worker, connector = (
        EXAMPLES / "connect-worker.properties",
        EXAMPLES / "connect-answers.properties",
    )
    try:
        with connect_worker(outside.folder, worker, connector, environment) as output:
            try:
                taken(outside, said["text"])
            except AssertionError as error:
                raise AssertionError(output.read_text()[-3000:]) from error
    except ServerUnavailable as error:
        pytest.skip(str(error))


def test_what_they_send_is_analysed(outside: Outside) -> None:
    outside.send(json.dumps(an_answer(captured_at="2025-01-15T09:00:00Z")).encode())

    def reported() -> bool:
        runs = outside.limelight.call("GET", "/v1/visibility/runs")["items"]
        mine = [run for run in runs if run["name"] == "captured 2025-01"]
        return any(run["progress"]["analyzed"] for run in mine)

    eventually(reported, "the month's collection has an analysed answer")
    (run,) = [
        run
        for run in outside.limelight.call("GET", "/v1/visibility/runs")["items"]
        if run["name"] == "captured 2025-01"
    ]
    report = outside.limelight.finished_report(run["run_id"])
    assert named_in(report)["Quillnote"] == (1, 1)


def test_a_tenant_may_be_published_for_as_soon_as_it_is_made(outside: Outside) -> None:
    made = outside.limelight.call(
        "POST",
        "/v1/tenants",
        {"name": "New", "tier": "free", "owner": {"email": "o@new.example", "name": "O"}},
    )["tenant"]["tenant_id"]
    before = len(outside.letters())
    outside.send(json.dumps(an_answer(tenant_id=made)).encode())
    outside.send(json.dumps(an_answer(tenant_id="sentinel")).encode())
    eventually(lambda: len(outside.letters()) > before, "the sentinel is refused")
    messages = [letter["message"] for letter in outside.letters()[before:]]
    assert [made in message for message in messages] == [False]


def an_answer(**changes: Any) -> dict[str, Any]:
    return {
        "answer_id": str(uuid4()),
        "tenant_id": TENANT,
        "prompt": "Which note app?",
        "surface": "app",
        "model": "Some Assistant",
        "text": "I would take Quillnote.",
        "captured_at": "2026-11-20T09:00:00Z",
    } | changes


def test_what_is_wrong_is_set_aside_with_what_to_do(outside: Outside) -> None:
    before = len(outside.letters())
    wrong: list[tuple[Any, str, str]] = [
        (an_answer(tenant_id="no-such-shop"), "unknown-tenant", "'no-such-shop' does not exist"),
        (an_answer(prompt="x" * 20_001), "wrong-model", "prompt: String should have at most 20000"),
        (an_answer(captured_at="yesterday"), "wrong-model", "captured_at: "),
        (an_answer(tenant_id=None), "bad-header", "send tenant_id in the body"),
    ]
    for body, _, _ in wrong:
        outside.send(json.dumps(body).encode())
    eventually(lambda: len(outside.letters()) == before + len(wrong), "all are refused")
    found = {letter["reason"] + ": " + letter["message"] for letter in outside.letters()[before:]}
    for _, reason, words in wrong:
        assert any(one.startswith(reason) and words in one for one in found), (words, found)


def test_the_tenant_sees_what_was_refused_of_its_own(outside: Outside) -> None:
    event_id = str(uuid4())
    attributes = {"specversion": "1.0", "id": event_id, "tenantid": TENANT}
    headers = {f"ce_{name}": value.encode() for name, value in attributes.items()}
    outside.send(json.dumps(an_answer()).encode(), headers)

    def refused() -> list[dict[str, Any]]:
        page = outside.limelight.call("GET", "/v1/rejected-events?topic=answer.captured.v1")
        return [one for one in page["items"] if one["event_id"] == event_id]

    eventually(lambda: len(refused()) == len(SERVICES), "both services say so")
    assert {one["service"] for one in refused()} == {"gateway", "mention-analyzer"}
    assert {one["reason"] for one in refused()} == {"bad-header"}
    assert len({(one["partition"], one["offset"]) for one in refused()}) == 1


def test_a_record_that_is_too_large_never_gets_in(outside: Outside) -> None:
    with pytest.raises(KafkaException) as refused:
        outside.send(json.dumps(an_answer(text="x" * 1_200_000)).encode())
    assert refused.value.args[0].name() == "MSG_SIZE_TOO_LARGE"
