"""Data survives: an orderly restart, and kill -9 in the middle of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

RUN = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro"}],
    "prompts": [f"Question number {number}?" for number in range(10)],
    "models": ["simulator/certain"],
    "samples": 20,
}


@pytest.fixture
def slow(tmp_path: Path, certain: dict[str, str]) -> dict[str, str]:
    """The certain simulator with an answer time that leaves room to be killed in."""
    text = Path(certain["LIMELIGHT_SIMULATOR_CONFIG"]).read_text()
    path = tmp_path / "slow.toml"
    path.write_text(text.replace("latency_s = 0.02", "latency_s = 0.5\nlatency_jitter_s = 1.0"))
    return {"LIMELIGHT_SIMULATOR_CONFIG": str(path)}


def test_reports_and_keys_survive_a_restart(limelight: LimelightProcess) -> None:
    limelight.start()
    _, accepted = limelight.call("POST", "/v1/visibility/runs", RUN | {"samples": 1})
    before = limelight.finished_report(accepted["run_id"])
    key = limelight.key()
    assert limelight.stop() == 0

    limelight.start()

    assert limelight.key() == key
    assert limelight.finished_report(accepted["run_id"]) == before


def test_a_killed_run_ends_right(limelight: LimelightProcess, slow: dict[str, str]) -> None:
    limelight.start(slow)
    _, accepted = limelight.call("POST", "/v1/visibility/runs", RUN)
    path = f"/v1/visibility/runs/{accepted['run_id']}"

    def analyzed(at_least: int) -> bool:
        return int(limelight.call("GET", path)[1]["progress"]["analyzed"]) >= at_least

    limelight.wait_until(lambda: analyzed(20), "for the first answers", 60)
    limelight.kill()
    limelight.start(slow)
    limelight.wait_until(lambda: analyzed(100), "for more answers", 60)
    limelight.kill()
    limelight.start(slow)

    report = limelight.finished_report(accepted["run_id"])

    assert report["state"] == "completed"
    assert report["progress"]["analyzed"] == 200
    assert list(named_in(report).values()) == [(200, 200), (0, 200)]


def test_an_idempotent_request_repeated_after_a_kill_is_one_run(
    limelight: LimelightProcess,
) -> None:
    limelight.start()
    key = {"Idempotency-Key": "the-same"}
    status, first = limelight.call("POST", "/v1/visibility/runs", RUN | {"samples": 1}, key)
    assert status == 202
    limelight.kill()
    limelight.start()
    status, second = limelight.call("POST", "/v1/visibility/runs", RUN | {"samples": 1}, key)
    assert (status, second) == (202, first)
