"""What can go wrong with calls, from request to report: each ends typed, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

TRUTH = """
seed = 1

[[brands]]
name = "Quillnote"
domain = "quillnote.example"
"""
MODEL = """
[[models]]
id = "{id}"
input_usd_per_million = "1000"
output_usd_per_million = "1000"
{more}

[models.brands.Quillnote]
named = 1.0
"""
FAULTS = {
    "garbage": "malformed-answer",
    "malformed_json": "malformed-answer",
    "cut_stream": "stream-cut",
    "empty": "malformed-answer",
    "hang": "timed-out",
    "status_500": "server-error",
    "status_429": "rate-limited",
    "status_529": "overloaded",
    "filtered": "content-filtered",
}


def _model(name: str, faults: str = "", more: str = "") -> str:
    text = MODEL.format(id=name, more=more)
    return text + (f"\n[models.faults]\n{faults}\n" if faults else "")


def _config() -> str:
    failing = {name: f"{name} = 1.0\nretry_after_s = 0.1" for name in FAULTS if name != "hang"}
    return TRUTH + "".join(
        [
            _model("good", "latency_s = 0.02"),
            _model("slow", "latency_s = 0.4", "max_concurrency = 500"),
            _model("tiny", more="context_tokens = 20"),
            _model("hang", "timeout = 1.0"),
            *(_model(name, faults) for name, faults in failing.items()),
        ]
    )


@pytest.fixture
def call_seconds() -> str:
    """How long a call may take, unless a test says otherwise."""
    return "5"


@pytest.fixture
def bad(data_dir: Path, tmp_path: Path, call_seconds: str) -> Iterator[LimelightProcess]:
    config = tmp_path / "simulator.toml"
    config.write_text(_config(), encoding="utf-8")
    environment = {
        "LIMELIGHT_SIMULATOR_CONFIG": str(config),
        "LIMELIGHT_ATTEMPTS": "2",
        "LIMELIGHT_CALL_SECONDS": call_seconds,
        "LIMELIGHT_MAX_IN_FLIGHT": "16",
    }
    with LimelightProcess(data_dir, environment=environment) as process:
        yield process.start().wait_for_model("simulator/good")


def a_run(*models: str, **changes: Any) -> dict[str, Any]:
    run = {
        "brands": [{"name": "Quillnote"}],
        "prompts": ["Which note app is best?"],
        "models": [f"simulator/{model}" for model in models],
        "samples": 3,
    }
    return run | changes


def accepted(limelight: LimelightProcess, run: dict[str, Any]) -> str:
    status, answer = limelight.call("POST", "/v1/visibility/runs", run)
    assert status == 202, answer
    return str(answer["run_id"])


def test_a_provider_that_fails_in_every_way_ends_typed_and_the_others_go_on(
    bad: LimelightProcess,
) -> None:
    report = bad.finished_report(accepted(bad, a_run("good", *FAULTS)))
    assert report["state"] == "completed_with_errors"
    assert {item["model"]: item["kind"] for item in report["failures"]} == {
        f"simulator/{name}": kind for name, kind in FAULTS.items()
    }
    assert report["progress"]["failed"] == 3 * len(FAULTS)
    assert (3, 3) in named_in(report).values()


def test_a_prompt_that_cannot_fit_is_refused_with_the_numbers(bad: LimelightProcess) -> None:
    # Twenty tokens hold no 300 letters; the limit is known from the provider's own list.
    run = a_run("good", "tiny", prompts=["Which note app " + "and why " * 40 + "?"])
    report = bad.finished_report(accepted(bad, run))
    (failure,) = report["failures"]
    assert (failure["model"], failure["kind"]) == ("simulator/tiny", "context-too-long")
    assert "20" in failure["example"]


def test_a_budget_that_runs_out_leaves_the_rest_not_run(bad: LimelightProcess) -> None:
    report = bad.finished_report(accepted(bad, a_run("good", samples=30, budget_usd="2.5")))
    progress = report["progress"]
    # A call may cost 2.05 USD and costs about 0.06: they go one by one until one no longer fits.
    assert 1 < progress["analyzed"] < 20
    assert progress["analyzed"] + progress["not_run"] == 30
    (failure,) = report["failures"]
    assert (failure["outcome"], failure["kind"]) == ("not_run", "budget")
    assert "raise the budget" in failure["example"]
    assert report["state"] == "completed_with_errors"
    assert 0 < Decimal(report["cost"]["usd"]) <= Decimal("2.5")
    assert report["cost"]["unpriced_calls"] == 0


@pytest.mark.parametrize("call_seconds", ["60"])  # on a busy machine 0.4 seconds may become one
def test_a_cancelled_run_stops_its_calls_and_says_how_many(bad: LimelightProcess) -> None:
    # Sixteen at a time, half a minute in all: it is cancelled in the midst, however late
    # the first analysis comes.
    run_id = accepted(bad, a_run("slow", samples=1000))

    def under_way() -> bool:
        progress = bad.call("GET", f"/v1/visibility/runs/{run_id}")[1]["progress"]
        return bool(progress["analyzed"])

    bad.wait_until(under_way, "for the first answers", 60)
    status, run = bad.call("POST", f"/v1/visibility/runs/{run_id}/cancel")
    assert (status, run["cancelled_at"] is not None) == (202, True)
    report = bad.finished_report(run_id)
    progress = report["progress"]
    assert report["state"] == "cancelled"
    assert progress["analyzed"] > 0
    assert progress["not_run"] > 100
    assert progress["analyzed"] + progress["not_run"] == 1000
    (failure,) = report["failures"]
    assert (failure["outcome"], failure["kind"]) == ("not_run", "cancelled")
