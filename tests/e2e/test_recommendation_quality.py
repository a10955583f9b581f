"""Recommendations beat popularity, surely: the lower bound of the lift is above zero."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contracts.paths import REPOSITORY
from devkit.marketing import CAMPAIGNS, sample

BESIDE = REPOSITORY.parent / "shared" / "data" / "redial"
REAL = Path(os.environ.get("LIMELIGHT_REAL_CONVERSATIONS", BESIDE.parent)) / "redial"
LEARNED, JUDGED = 240, 120


@pytest.fixture
def invented(tmp_path: Path) -> dict[str, Path]:
    """People of the generator, as files of the evaluation."""
    people = list(sample(seed=3).people(LEARNED + JUDGED))
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "test")}
    for path, part in zip(files.values(), (people[:LEARNED], people[LEARNED:]), strict=True):
        lines = [
            {
                "user_id": person.user_id,
                "utterances": [said["text"] for said in person.conversation["messages"]],
                "engaged": [
                    deed["campaign_id"] for deed in person.engagements if deed["kind"] == "click"
                ],
            }
            for person in part
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    files["campaigns"] = tmp_path / "campaigns.json"
    files["campaigns"].write_text(json.dumps(CAMPAIGNS))
    return files


def evaluated(files: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allinone", "evaluate", "recommendations"]
    for name, path in files.items():
        command += [f"--{name}", str(path)]
    return subprocess.run(
        [*command, "--json"],
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


def test_invented_people_get_what_they_want(invented: dict[str, Path]) -> None:
    done = evaluated(invented)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["judged"] + report["left_out"] == JUDGED
    assert report["candidates"] == len(CAMPAIGNS)
    for metric in ("hit_at_5", "ndcg_at_5"):
        assert report["lift_over_popularity"][metric]["low"] > 0
    assert report["ours"]["coverage_at_5"] == 1.0


def test_a_bad_line_is_one_line_of_error(invented: dict[str, Path]) -> None:
    invented["test"].write_text('{"user_id": "a"}\n')
    done = evaluated(invented)
    assert (done.returncode, done.stdout) == (1, "")
    assert "test.jsonl:1: give text" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    not REAL.is_dir(), reason="no real conversations: set LIMELIGHT_REAL_CONVERSATIONS"
)
@pytest.mark.timeout(400)
def test_real_conversations_judged_by_what_came_before() -> None:
    """ReDial in the order of time: hit rate and NDCG surely above those of popularity."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests" / "load" / "recommendations.py"), "--gate"],
        env=os.environ | {"LIMELIGHT_REAL_CONVERSATIONS": str(REAL.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["judged"] > 300
    for metric in ("hit_at_5", "ndcg_at_5"):
        assert report["lift_over_popularity"][metric]["low"] > 0
