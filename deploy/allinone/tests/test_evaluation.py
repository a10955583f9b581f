"""An evaluation of a few people, through the code of production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from allinone.cli import app
from typer.testing import CliRunner

NO_WORDS = "\U0001f600"


def evaluated(
    tmp_path: Path, train: list[dict[str, Any]], test: list[dict[str, Any]]
) -> dict[str, Any]:
    command = ["evaluate", "recommendations", "--json"]
    for name, rows in (("train", train), ("test", test)):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        command += [f"--{name}", str(file)]
    offers = [{"id": 0, "title": "coffee"}, {"id": "a" * 200, "title": "garden tools"}]
    (tmp_path / "campaigns.json").write_text(json.dumps(offers))
    result = CliRunner().invoke(app, [*command, "--campaigns", str(tmp_path / "campaigns.json")])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_people_of_whom_nothing_is_known_are_shown_what_is_popular(tmp_path: Path) -> None:
    liked = [{"user_id": "u", "text": "I want coffee", "engaged": [0]}] * 5
    rare = [{"user_id": "u", "text": "my garden", "engaged": ["a" * 200]}] * 3
    cold = [{"user_id": "t", "text": NO_WORDS, "engaged": [0]}] * 3
    silent = [{"user_id": "t", "utterances": [], "engaged": ["a" * 200]}]
    report = evaluated(tmp_path, rare + liked, cold + silent)
    assert (report["judged"], report["candidates"]) == (4, 2)
    assert report["ours"] == report["popularity"]
    for lift in report["lift_over_popularity"].values():
        assert lift == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_who_says_a_lot_under_a_long_name_is_heard(tmp_path: Path) -> None:
    talker = {
        "user_id": "u" * 200,
        "utterances": ["hi"] * 1001 + ["my garden needs a spade"],
        "engaged": ["a" * 200],
    }
    report = evaluated(tmp_path, [talker] * 3, [talker])
    assert report["ours"]["hit_at_5"] == 1.0
