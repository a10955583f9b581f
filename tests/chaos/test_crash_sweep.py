"""Kill -9 at every named point of delivery; after a restart the state is that of a calm run."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bus.failpoint import POINTS
from bus.local import LocalLog
from bus.record import OutRecord, Record, TopicPartition
from contracts.envelope import from_headers
from contracts.examples import examples
from contracts.topics import TOPICS, dlq_name
from devkit.failpoints import VARIABLE
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in
from devkit.running import UNANSWERED
from tests.chaos.kills import short_form

ARMED = (sys.executable, str(Path(__file__).with_name("armed_limelight.py")))
RUN: dict[str, Any] = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
    "prompts": ["One?", "Two?"],
    "models": ["simulator/certain", "openai/no-key"],
    "samples": 3,
}
ANSWERED, FAILED = 6, 6
KEY = {"Idempotency-Key": "one-run"}
POISON_TOPICS = ("completion.requested.v1", "completion.finished.v1")
# The first passing of a point and a later one: the second meets another service or a full window.
KILLS = short_form(
    [
        *((point, 1) for point in POINTS),
        *((point, 3) for point in POINTS if point.startswith(("relay", "consumer"))),
        # One claim takes many, so it is passed less often than a call.
        *((point, 2) for point in POINTS if point.startswith("call") and point.endswith("claim")),
        *((p, 5) for p in POINTS if p.startswith("call") and not p.endswith("claim")),
    ]
)


@pytest.fixture
def armed(data_dir: Path, certain: dict[str, str]) -> Iterator[LimelightProcess]:
    """A stopped all-in-one with poison waiting on its log."""
    _put_poison(data_dir)
    with LimelightProcess(data_dir, command=ARMED, environment=certain) as process:
        yield process


def _put_poison(data_dir: Path) -> None:
    async def write() -> None:
        log = await LocalLog.open(data_dir / "log.sqlite")
        producer = await log.producer()
        await producer.send(
            [OutRecord(topic, b"k", b"{not json", examples(topic)[0].headers)
             for topic in POISON_TOPICS]
        )  # fmt: skip
        await log.close()

    asyncio.run(write())


def _post(limelight: LimelightProcess) -> str:
    status, accepted = limelight.call("POST", "/v1/visibility/runs", RUN, KEY)
    assert status == 202, accepted
    return str(accepted["run_id"])


def _run_until_killed(limelight: LimelightProcess, point: str, number: int) -> None:
    limelight.start({VARIABLE: f"kill={point}:{number}"}, ready=False)
    limelight.wait_until(
        lambda: not limelight.alive or _is_ready(limelight), "to be up or dead", 60
    )
    if limelight.alive:
        try:
            _post(limelight)
        except UNANSWERED:
            assert limelight.wait_for_exit(60) == -9
            return
    assert limelight.wait_for_exit(60) == -9, f"{point} was not passed {number} times"


def _is_ready(limelight: LimelightProcess) -> bool:
    try:
        return limelight.ready()
    except AssertionError:
        return False


def _check_end_state(limelight: LimelightProcess) -> None:
    """What a calm run leaves behind, seen through HTTP, metrics and log."""
    run_id = _post(limelight)
    report = limelight.finished_report(run_id)
    assert report["state"] == "completed_with_errors"
    assert report["progress"]["analyzed"] == ANSWERED
    assert report["progress"]["failed"] == FAILED
    assert list(named_in(report).values()) == [(ANSWERED, ANSWERED), (0, ANSWERED)]
    limelight.wait_until(lambda: _is_quiet(limelight), "for empty outboxes and no lag", 60)
    assert limelight.stop() == 0, limelight.output()
    _check_log(limelight.data_dir)


def _is_quiet(limelight: LimelightProcess) -> bool:
    lines = limelight.ops("/metrics")[1].splitlines()
    wanted = ("limelight_consumer_lag_records{", "limelight_outbox_oldest_unpublished_seconds{")
    values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted)]
    return len(values) > 2 and not any(values)


def _check_log(data_dir: Path) -> None:
    records = asyncio.run(_all_records(data_dir))
    run = {topic: [r for r in found if r.value != b"{not json"] for topic, found in records.items()}
    ids = {topic: {from_headers(r.headers).id for r in found} for topic, found in run.items()}
    subjects = {topic: Counter(r.key for r in found) for topic, found in run.items()}
    assert len(ids["visibility-run.started.v1"]) == 1
    for topic in ("completion.requested.v1", "completion.finished.v1"):
        assert len(ids[topic]) == len(subjects[topic]) == ANSWERED + FAILED, topic
    assert len(ids["answer.analyzed.v1"]) == len(subjects["answer.analyzed.v1"]) == ANSWERED
    buried = {
        dlq_name(topic.name, group): len({_origin(r) for r in records[dlq_name(topic.name, group)]})
        for topic in TOPICS
        for group in topic.consumers
    }
    assert buried == {name: int(name.startswith(POISON_TOPICS)) for name in buried}


def _origin(letter: Record) -> tuple[bytes, ...]:
    """Where a dead letter came from: a crash may write it twice, not lose it."""
    names = ("dlq-topic", "dlq-partition", "dlq-offset")
    return tuple(value for name, value in letter.headers if name in names)


async def _all_records(data_dir: Path) -> dict[str, list[Record]]:
    log = await LocalLog.open(data_dir / "log.sqlite")
    try:
        found: dict[str, list[Record]] = {}
        for topic in await log.topics():
            found[topic] = []
            for partition in await log.end_offsets(topic):
                found[topic] += await _partition(log, partition)
        return found
    finally:
        await log.close()


async def _partition(log: LocalLog, partition: TopicPartition) -> list[Record]:
    records: list[Record] = []
    while batch := await log.read(partition, len(records), 1000):
        records += batch
    return records


def test_a_calm_run_passes_every_point(armed: LimelightProcess, tmp_path: Path) -> None:
    trace = tmp_path / "points"
    armed.start({VARIABLE: f"trace={trace}"})
    _check_end_state(armed)
    assert set(trace.read_text().split()) == set(POINTS)


@pytest.mark.parametrize(("point", "number"), KILLS)
def test_killed_at_a_point(armed: LimelightProcess, point: str, number: int) -> None:
    _run_until_killed(armed, point, number)
    armed.start()
    _check_end_state(armed)


def test_the_checks_see_an_event_too_many(armed: LimelightProcess) -> None:
    """The sweep's own eyes: one more event about a completion, under another id."""
    armed.start()
    _check_end_state(armed)
    asyncio.run(_double_one(armed.data_dir, "answer.analyzed.v1"))
    with pytest.raises(AssertionError):
        _check_log(armed.data_dir)


async def _double_one(data_dir: Path, topic: str) -> None:
    log = await LocalLog.open(data_dir / "log.sqlite")
    records = [
        record
        for partition in await log.end_offsets(topic)
        for record in await _partition(log, partition)
    ]
    headers = tuple(
        (name, b"other" if name == "ce_id" else value) for name, value in records[0].headers
    )
    producer = await log.producer()
    await producer.send([OutRecord(topic, records[0].key, records[0].value, headers)])
    await log.close()
