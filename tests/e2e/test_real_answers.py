"""The platform on real input, without any key: answers of two assistants, imported and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts.paths import REPOSITORY
from devkit import real_answers
from devkit.limelight_process import LimelightProcess
from devkit.reports import named_in

BRANDS = ("Sony", "Samsung", "ASUS", "Breville", "Garmin")


def test_real_answers_are_imported_and_reported(
    limelight: LimelightProcess, tmp_path: Path
) -> None:
    where = real_answers.folder(REPOSITORY)
    if where is None:
        pytest.skip("the real answers are not beside this checkout (LIMELIGHT_REAL_ANSWERS)")
    lines = real_answers.import_lines(where)
    file, brands = tmp_path / "answers.jsonl", tmp_path / "brands.json"
    file.write_text("\n".join(map(json.dumps, lines)))
    brands.write_text(json.dumps([{"name": name} for name in BRANDS]))
    limelight.start()

    done = limelight.run("import", "answers", str(file), "--brands", str(brands), timeout=120)

    assert done.returncode == 0, done.stderr
    run_id = limelight.call("GET", "/v1/visibility/runs?limit=1")[1]["items"][0]["run_id"]
    report = limelight.call("GET", f"/v1/visibility/runs/{run_id}/report")[1]
    assert report["simulated"] is False
    assert report["analysis"]["analyzed"] == len(lines)
    texts = [line["text"] for line in lines]
    for name, (named, answers) in named_in(report).items():
        # None of these is part of another word or a word of its own: whoever reads finds them. One
        # or two stand in the title of a source only, which is being cited.
        assert answers == len(lines)
        written = sum(name.casefold() in text.casefold() for text in texts)
        assert written - 2 <= named <= written, name
    engines = {group["model"] for group in report["groups"]}
    assert engines == {None, "ChatGPT", "Google AI Mode"}
