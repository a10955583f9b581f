"""Poison on the log: set aside with its reason, shown and replayed from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from bus.local import LocalLog
from bus.record import OutRecord
from contracts.examples import examples
from devkit.limelight_process import LimelightProcess

TOPIC = "completion.requested.v1"


def put(data_dir: Path, *records: OutRecord) -> None:
    """Write straight to the log of a stopped all-in-one."""

    async def write() -> None:
        log = await LocalLog.open(data_dir / "log.sqlite")
        producer = await log.producer()
        await producer.send(records)
        await log.close()

    asyncio.run(write())


def test_poison_is_set_aside_and_told(limelight: LimelightProcess) -> None:
    example = examples(TOPIC)[0]
    encoded, fine = example.headers, example.value
    put(
        limelight.data_dir,
        OutRecord(TOPIC, b"1", b"{not json", encoded),
        OutRecord(TOPIC, b"1", b"{}", encoded),
        OutRecord(TOPIC, b"1", None, encoded),
        OutRecord(TOPIC, b"1", fine, (*encoded, ("ce_subject", b"\xff\xfe"))),
        OutRecord(TOPIC, b"1", fine, (*(item for item in encoded if item[0] != "ce_type"),
                                      ("ce_type", b"somebody.elses.v1"))),
        OutRecord(TOPIC, b"1", b"\xff\xfe", encoded),
    )  # fmt: skip
    limelight.start()

    def reasons() -> list[str]:
        listed = limelight.run("dlq", "list", "--service", "llm-executor")
        words = ("bad-json", "wrong-model", "null-body", "bad-header", "unknown-type", "not-utf8")
        return [word for word in words if word in listed.stdout]

    limelight.wait_until(lambda: len(reasons()) == 6, "for six dead letters", 60)
    shown = limelight.run("dlq", "show", "llm-executor", TOPIC, "0:0")
    assert "{not json" in shown.stdout
    assert "dlq-reason: bad-json" in shown.stdout


def test_poison_fails_again_when_replayed_and_the_rest_works(limelight: LimelightProcess) -> None:
    put(limelight.data_dir, OutRecord(TOPIC, b"1", b"{not json", examples(TOPIC)[0].headers))
    limelight.start()
    limelight.wait_until(
        lambda: "bad-json" in limelight.run("dlq", "list").stdout, "for the dead letter", 60
    )

    replayed = limelight.run("dlq", "replay", "llm-executor", "--topic", TOPIC)

    assert (replayed.returncode, replayed.stdout.strip()) == (1, "applied 0, rejected again 1")
    run = {
        "brands": [{"name": "Quillnote"}], "prompts": [f"Well? {uuid4()}"],
        "models": ["simulator/certain"], "samples": 1,
    }  # fmt: skip
    _, accepted = limelight.call("POST", "/v1/visibility/runs", run)
    assert limelight.finished_report(accepted["run_id"])["state"] == "completed"


def test_wrong_names_are_answered_with_the_right_ones(limelight: LimelightProcess) -> None:
    limelight.start()
    wrong = limelight.run("dlq", "replay", "nobody")
    assert wrong.returncode == 1
    assert (
        "embedding, gateway, graph-loader, llm-executor, mention-analyzer, recommender"
        in wrong.stderr
    )
    wrong = limelight.run("dlq", "show", "gateway", "answer.analyzed.v1", "0:7")
    assert wrong.returncode == 1
    assert "no dead letter 0:7" in wrong.stderr


def test_dlq_without_a_running_limelight_says_what_to_do(limelight: LimelightProcess) -> None:
    asked = limelight.run("dlq", "list")
    assert asked.returncode == 1
    assert "limelight up" in asked.stderr
