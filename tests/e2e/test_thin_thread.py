"""One run, from the request to the report, through every service and the log between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

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
    assert named_in(report) == {"Quillnote": (6, 6), "Papertrail Pro": (0, 6)}
    assert report["failures"] == []


def test_failed_calls_are_told_and_in_no_denominator(limelight: LimelightProcess) -> None:
    limelight.start()
    models = ["simulator/certain", "openai/gpt-x"]

    report = limelight.finished_report(start(limelight, RUN | {"models": models})["run_id"])

    assert report["state"] == "completed_with_errors"
    assert report["progress"]["failed"] == 6
    assert named_in(report)["Quillnote"] == (6, 6)
    (failure,) = report["failures"]
    assert (failure["model"], failure["kind"]) == ("openai/gpt-x", "auth")
    assert "OPENAI_API_KEY" in failure["example"]


def test_models_that_are_not_there_are_refused_before_a_call(limelight: LimelightProcess) -> None:
    limelight.start()
    limelight.wait_for_model("simulator/certain")
    for model in ("simulator/nobody", "elsewhere/some-model"):
        run = RUN | {"models": ["simulator/certain", model]}
        status, problem = limelight.call("POST", "/v1/visibility/runs", run)
        assert (status, problem["type"]) == (422, "urn:limelight:problem:invalid-run")
        assert model in problem["title"]
    assert limelight.call("GET", "/v1/visibility/runs")[1]["items"] == []


def test_a_run_whose_calls_all_fail_has_failed(limelight: LimelightProcess) -> None:
    limelight.start()
    run_id = start(limelight, RUN | {"models": ["openai/gpt-x"]})["run_id"]
    assert limelight.finished_report(run_id)["state"] == "failed"


def test_the_environment_says_which_models_visitors_may_ask(limelight: LimelightProcess) -> None:
    limelight.start({"LIMELIGHT_DEMO_MODELS": "simulator/other"})
    status, shown = limelight.call("GET", "/demo/visibility/runs")
    assert (status, shown["models"]) == (200, ["simulator/other"])


def test_demo_prints_the_report_and_ends(data_dir: Path) -> None:
    limelight = LimelightProcess(data_dir)

    shown = limelight.run("demo", "--once", timeout=90)

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("SIMULATED") == 2
    assert "180 of 180 answers analysed" in shown.stdout
    assert "8 of 8 answers analysed" in shown.stdout
    assert "Notion (own)" in shown.stdout
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
