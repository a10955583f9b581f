"""The whole job through HTTP and the command line: runs, imports, revisions, watching, exports."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

RUN: dict[str, Any] = {
    "brands": [{"name": "Quillnote", "domains": ["quillnote.example"], "own": True}],
    "prompts": [{"text": "Which note app is best?", "tags": ["best"]}, "What do writers use?"],
    "models": ["simulator/certain"],
    "samples": 3,
}
LINE: dict[str, Any] = {
    "prompt": "Which note app is best?",
    "surface": "app",
    "model": "Some Assistant",
    "text": "I recommend **Quillnote**. I would not recommend Papertrail Pro.",
    "sources": [{"url": "https://www.quillnote.example/a", "title": "Quillnote"}],
    "captured_at": "2026-11-20T09:00:00Z",
}


@pytest.fixture(scope="module")
def running(certain: dict[str, str], template: Path) -> Iterator[LimelightProcess]:
    """One process for all tests here; each looks at what it made itself."""
    del template  # made first, so that two starts do not stand in each other's way
    with (
        tempfile.TemporaryDirectory(prefix="limelight-") as folder,
        LimelightProcess(Path(folder) / "data", environment=certain) as process,
    ):
        process.start()
        for name in ("Quillnote", "Papertrail Pro"):
            brand = {"name": name, "domains": [f"{name.split()[0].lower()}.example"]}
            assert process.call("PUT", "/v1/brands", brand)[0] == 200
        yield process


def raw(limelight: LimelightProcess, method: str, path: str, **given: Any) -> tuple[Any, bytes]:
    request = Request(
        f"http://127.0.0.1:{limelight.port}{path}",
        method=method,
        data=given.get("content"),
        headers={"Authorization": f"Bearer {limelight.key()}"} | given.get("headers", {}),
    )
    with urlopen(request, timeout=60) as answer:
        return answer.headers, answer.read()


def import_lines(limelight: LimelightProcess, *lines: Any) -> dict[str, Any]:
    content = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    headers = {"Content-Type": "application/x-ndjson"}
    _, body = raw(limelight, "POST", "/v1/visibility/imports", content=content, headers=headers)
    return dict(json.loads(body))


def metrics(report: dict[str, Any], brand: int = 0) -> dict[str, Any]:
    return dict(report["groups"][0]["brands"][brand]["metrics"])


def test_a_run_is_reported_with_intervals_by_model_and_tag(running: LimelightProcess) -> None:
    _, accepted = running.call("POST", "/v1/visibility/runs", RUN)
    report = running.finished_report(accepted["run_id"])
    assert named_in(report) == {"Quillnote": (6, 6)}
    assert named_in(report, tag="best") == {"Quillnote": (3, 3)}
    assert named_in(report, model="simulator/certain") == {"Quillnote": (6, 6)}
    rate = metrics(report)["visibility_rate"]
    assert 0.3 < rate["low"] < rate["high"] == 1.0
    assert report["analysis"]["analyzed"] == 6
    assert report["simulated"] is True


def test_an_equal_run_is_the_earlier_one_if_asked(running: LimelightProcess) -> None:
    run = RUN | {"samples": 2}
    _, first = running.call("POST", "/v1/visibility/runs", run)
    running.finished_report(first["run_id"])
    status, again = running.call("POST", "/v1/visibility/runs", run | {"deduplicate": True})
    assert (status, again["run_id"], again["deduplicated"]) == (200, first["run_id"], True)
    status, new = running.call("POST", "/v1/visibility/runs", run)
    assert (status, new["deduplicated"], new["input_hash"]) == (202, False, first["input_hash"])
    assert new["run_id"] != first["run_id"]


def test_captured_answers_are_analysed_and_bad_lines_listed(running: LimelightProcess) -> None:
    taken = import_lines(running, LINE, b'{"prompt"', LINE, LINE | {"text": "No idea."}, b"\xff")
    assert (taken["accepted"], taken["known"], taken["rejected"]) == (2, 1, 2)
    assert [bad["line"] for bad in taken["errors"]] == [2, 5]

    report = running.finished_report(taken["run_id"])

    assert report["kind"] == "imported"
    assert {group["surface"] for group in report["groups"]} == {"app"}
    found = {
        brand["name"]: at["metrics"]
        for brand, at in zip(report["brands"], report["groups"][0]["brands"], strict=True)
    }
    assert found["Quillnote"]["recommended_rate"]["numerator"] == 1
    assert found["Quillnote"]["citation_share"]["value"] == 1.0
    assert found["Papertrail Pro"]["denied_rate"]["numerator"] == 1
    assert report["groups"][0]["informative"]["numerator"] == 1


def test_stored_answers_are_analysed_again_without_a_call(running: LimelightProcess) -> None:
    taken = import_lines(running, LINE | {"prompt": "Another question?"})
    path = taken["links"]["run"]
    running.finished_report(taken["run_id"])
    body = {"brands": [{"name": "Papertrail"}]}
    status, made = running.call("POST", f"{path}/reanalyses", body)
    assert (status, made["revision"]) == (202, 2)

    def done() -> bool:
        return bool(running.call("GET", f"{path}/report")[1]["analysis"]["analyzed"])

    running.wait_until(done, "for the reanalysis", 60)
    assert named_in(running.call("GET", f"{path}/report")[1]) == {"Papertrail": (1, 1)}
    old = running.call("GET", f"{path}/report?revision=1")[1]
    assert named_in(old)["Quillnote"] == (1, 1)
    assert running.call("GET", f"{path}/report?revision=9")[0] == 404


def test_a_run_is_watched_to_its_end(running: LimelightProcess) -> None:
    _, accepted = running.call("POST", "/v1/visibility/runs", RUN | {"samples": 4, "stream": True})
    headers, body = raw(running, "GET", accepted["links"]["events"])
    assert headers["Content-Type"].startswith("text/event-stream")
    events = [dict(_fields(block)) for block in body.decode().split("\n\n") if "data:" in block]
    assert events[-1]["event"] == "end"
    progress = [json.loads(each["data"]) for each in events if each["event"] == "progress"]
    settled = [key for each in progress for key in each["settled"].get("analyzed", ())]
    assert len(settled) == len(set(settled)) == 8
    _, rest = raw(
        running, "GET", accepted["links"]["events"], headers={"Last-Event-ID": events[-1]["id"]}
    )
    assert [line for line in rest.decode().splitlines() if line.startswith("event:")] == [
        "event: end"
    ]


def test_answers_are_listed_and_exported(running: LimelightProcess, tmp_path: Path) -> None:
    taken = import_lines(running, LINE | {"prompt": "Exported?"}, LINE | {"model": "Other"})
    running.finished_report(taken["run_id"])
    page = running.call("GET", f"{taken['links']['answers']}?model=Other")[1]
    (answer,) = page["items"]
    (mention, *_) = answer["mentions"]
    assert answer["text"][mention["start"] : mention["end"]] == mention["text"] == "Quillnote"
    rows = list(
        csv.DictReader(io.StringIO(raw(running, "GET", taken["links"]["export"])[1].decode()))
    )
    named = {(row["model"], row["brand"]) for row in rows if row["named"] == "True"}
    assert ("Other", "Quillnote") in named
    file = tmp_path / "answers.parquet"
    done = running.run("runs", "export", taken["run_id"], "--to", str(file))
    assert done.returncode == 0, done.stderr
    assert file.read_bytes()[:4] == b"PAR1"


def test_the_command_line_starts_watches_and_reports(running: LimelightProcess) -> None:
    shown = running.run(
        "runs", "start", "--prompt", "Which?", "--model", "simulator/certain",
        "--brand", "Quillnote", "--samples", "2", "--watch",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "2 of 2 answers analysed" in shown.stdout
    run_id = shown.stdout.split()[0]
    report = running.run("runs", "report", run_id, "--json")
    assert named_in(json.loads(report.stdout)) == {"Quillnote": (2, 2)}
    assert run_id in running.run("runs", "list").stdout


def test_a_file_is_imported_by_a_command(running: LimelightProcess, tmp_path: Path) -> None:
    file, brands = tmp_path / "answers.jsonl", tmp_path / "brands.json"
    brands.write_text(json.dumps([{"name": "Quillnote"}]))
    good = LINE | {"prompt": "From a file?"}
    file.write_text("\n".join([json.dumps(good), "broken", json.dumps(good | {"id": "b"})]))
    done = running.run("import", "answers", str(file), "--brands", str(brands))
    assert done.returncode == 1  # a line was left out
    assert f"{file}:2: not JSON" in done.stderr
    assert "2 of 2 answers analysed" in done.stdout


def test_an_unusable_import_says_what_is_wrong(running: LimelightProcess, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"prompt": "x"}\n')
    done = running.run("import", "answers", str(file))
    assert done.returncode == 1
    assert f"{file}:1: model: Field required" in done.stderr
    assert "Traceback" not in done.stderr


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition(": ")
        if name:
            yield name, value
