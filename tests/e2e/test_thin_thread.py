"""One run, from the request to the report, through every service and the log between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devkit.limelight_process import LimelightProcess

RUN: dict[str, Any] = {
    "brands": [{"name": "Quillnote"}, {"name": "Papertrail Pro", "aliases": ["Papertrail"]}],
    "prompts": ["Which note app is best?", "What do writers use?"],
    "models": ["simulator/certain"],
    "samples": 3,
}


def start(limelight: LimelightProcess, run: dict[str, Any] = RUN) -> dict[str, Any]:
    status, accepted = limelight.call("POST", "/v1/visibility/runs", run)
    assert status == 202, accepted
    return dict(accepted)


def test_a_run_goes_through_all_services(limelight: LimelightProcess) -> None:
    limelight.start()
    accepted = start(limelight)
    assert accepted["expected_completions"] == 6

    report = limelight.finished_report(accepted["run_id"])

    assert report["state"] == "completed"
    assert report["simulated"] is True
    assert report["progress"] == {
        "expected": 6, "waiting": 0, "answered": 0, "analyzed": 6, "failed": 0, "not_run": 0
    }  # fmt: skip
    named = {brand["name"]: (brand["named_in"], brand["answers"]) for brand in report["brands"]}
    assert named == {"Quillnote": (6, 6), "Papertrail Pro": (0, 6)}
    assert report["brands"][0]["mentions"] >= 6
    assert report["failures"] == []


def test_failed_calls_are_told_and_in_no_denominator(limelight: LimelightProcess) -> None:
    limelight.start()
    models = ["simulator/certain", "simulator/nobody", "openai/gpt-x", "elsewhere/some-model"]

    report = limelight.finished_report(start(limelight, RUN | {"models": models})["run_id"])

    assert report["state"] == "completed_with_errors"
    assert report["progress"]["failed"] == 18
    assert report["brands"][0]["answers"] == 6
    kinds = {failure["model"]: failure["kind"] for failure in report["failures"]}
    assert kinds == {
        "simulator/nobody": "unknown-model",
        "openai/gpt-x": "auth",
        "elsewhere/some-model": "unknown-provider",
    }
    examples = {failure["model"]: failure["example"] for failure in report["failures"]}
    assert "OPENAI_API_KEY" in examples["openai/gpt-x"]
    assert "simulator" in examples["elsewhere/some-model"]


def test_a_run_whose_calls_all_fail_has_failed(limelight: LimelightProcess) -> None:
    limelight.start()
    run_id = start(limelight, RUN | {"models": ["elsewhere/m"]})["run_id"]
    assert limelight.finished_report(run_id)["state"] == "failed"


def test_demo_prints_the_report_and_ends(data_dir: Path) -> None:
    limelight = LimelightProcess(data_dir)

    shown = limelight.run("demo", "--once", timeout=90)

    assert shown.returncode == 0, shown.stderr
    assert "SIMULATED" in shown.stdout
    assert "Notion" in shown.stdout
    assert f"http://127.0.0.1:{limelight.port}/docs" in shown.stdout
    assert limelight.key() in shown.stdout


def test_the_other_tenant_sees_nothing(limelight: LimelightProcess) -> None:
    """Keys of other tenants do not exist yet over HTTP; a key that is not the tenant's is none."""
    limelight.start()
    run_id = start(limelight)["run_id"]
    stranger = {"Authorization": "Bearer lk_not-a-key-of-anyone"}
    status, problem = limelight.call("GET", f"/v1/visibility/runs/{run_id}", headers=stranger)
    assert (status, problem["title"]) == (401, "unknown API key")


def test_keys_are_made_and_revoked_from_the_command_line(limelight: LimelightProcess) -> None:
    limelight.start()
    made = limelight.run("keys", "create", "for a test")
    assert made.returncode == 0, made.stderr
    bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
    _, keys = limelight.call("GET", "/v1/keys", headers=bearer)
    key_id = next(key["key_id"] for key in keys if key["name"] == "for a test")

    revoked = limelight.run("keys", "revoke", key_id)

    assert revoked.returncode == 0, revoked.stderr
    status, problem = limelight.call("GET", "/v1/keys", headers=bearer)
    assert status == 401
    assert "was revoked" in problem["title"]
