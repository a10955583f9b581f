"""``limelight import`` of files with bad lines, against a gateway that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from allinone.checkpoints import Checkpoint, Progress
from allinone.cli import marketing_imports
from typer.testing import Result

Run = Callable[..., Result]
GOOD = json.dumps({"conversation_id": "c", "user_id": "u", "text": "x" * 100})
DONE = json.dumps(
    {
        "user_id": "u",
        "campaign_id": "c",
        "kind": "click",
        "happened_at": "2026-01-01T00:00:00Z",
        "engagement_id": "e" * 60,
    }
)
ANSWER = json.dumps(
    {
        "prompt": "Which app?",
        "model": "m",
        "text": "Notion. " * 10,
        "captured_at": "2026-01-01T00:00:00Z",
    }
)
BAD = "oops" * 30


@pytest.fixture(scope="module")
def owner(request: pytest.FixtureRequest) -> dict[str, str]:
    """Made by the first test that asks; see ``key``."""
    return {}


@pytest.fixture
def key(
    limelight: Run, owner: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    """Of a tenant of these tests; imports go in pieces of a line."""
    monkeypatch.setenv("LIMELIGHT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("allinone.cli.imports.CHUNK_BYTES", 100)
    monkeypatch.setattr("allinone.cli.marketing_imports.CHUNK_BYTES", 100)
    if not owner:
        made = ("tenants", "create", "Imports", "imports@example.com", "--tier", "pro")
        found = re.search(r"API key  (lk_\S{43})\n", limelight(*made).output)
        assert found is not None
        owner["key"] = found[1]
    return owner["key"]


def written(tmp_path: Path, *lines: str, name: str = "f.jsonl") -> Path:
    file = tmp_path / name
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize(("what", "good"), [("conversations", GOOD), ("engagements", DONE)])
def test_a_piece_without_a_good_line_stops_no_import(
    limelight: Run, key: str, tmp_path: Path, what: str, good: str
) -> None:
    blank = " " * 110
    file = written(tmp_path, good, BAD, good, "\ufeff" + blank, blank, BAD, good)
    said = limelight("import", what, str(file), key=key, status=1).output
    assert [int(line) for line in re.findall(r"f\.jsonl:(\d+): not JSON", said)] == [2, 6]
    assert "3 lines taken in, 2 left out" in said
    file.write_text(f"{good}\n\n\n\n")
    assert "1 lines taken in, 0 left out" in limelight("import", what, str(file), key=key).output


@pytest.mark.parametrize(
    ("content", "said"), [([BAD, BAD], "mend the 2 that are left out"), ([" "], "it holds none")]
)
def test_a_file_without_a_good_line_is_an_error_each_time(
    limelight: Run, key: str, tmp_path: Path, content: list[str], said: str
) -> None:
    file = written(tmp_path, *content)
    for what in ("conversations", "conversations", "answers"):
        found = limelight("import", what, str(file), key=key, status=1).output
        assert f"f.jsonl: no line can be taken in: {said}" in found
        assert "going on" not in found


def test_answers_after_bad_pieces_are_of_one_import(
    limelight: Run, key: str, tmp_path: Path
) -> None:
    other = ANSWER.replace("Which", "What")
    file = written(tmp_path, BAD, ANSWER, BAD, " " * 110, other)
    said = limelight("import", "answers", str(file), "--no-watch", key=key, status=1).output
    assert re.findall(r"f\.jsonl:(\d+): not JSON", said) == ["1", "3"]
    [run_id] = re.findall(r"^import (\S+)$", said, re.MULTILINE)
    listed = limelight("runs", "list", key=key).output
    assert len(re.findall(rf"{run_id} .* of 2 answers", listed)) == 1


def test_more_bad_lines_than_are_listed_are_counted(
    limelight: Run, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketing_imports, "CHUNK_BYTES", 1_000_000)
    file = written(tmp_path, GOOD, *["x"] * 1500)
    said = limelight("import", "conversations", str(file), key=key, status=1).output
    assert "500 more lines are left out" in said
    assert "1 lines taken in, 1500 left out" in said


def test_a_cut_import_goes_on_unless_the_file_has_changed(
    limelight: Run, key: str, url: str, tmp_path: Path
) -> None:
    file = written(tmp_path, GOOD, BAD, GOOD)
    folder = tmp_path / "data" / "imports"

    def cut() -> None:
        sent = f"{GOOD}\n{BAD}\n".encode()
        checkpoint = Checkpoint(folder, file, f"{url}/v1/conversations\n{key}")
        checkpoint.write(Progress().after(sent, accepted=1, rejected=1), sent)

    command = ("import", "conversations", str(file))
    cut()
    said = limelight(*command, key=key, status=1).output
    assert "going on after line 2" in said
    assert "2 lines taken in, 1 left out" in said
    cut()
    written(tmp_path, GOOD, GOOD + " ", GOOD)
    for _ in range(2):
        said = limelight(*command, key=key, status=1).output
        assert "f.jsonl has changed" in said
        assert "--anew" in said
    assert "3 lines taken in, 0 left out" in limelight(*command, "--anew", key=key).output
    cut()
    [note] = folder.iterdir()
    note.write_text("")
    said = limelight(*command, key=key).output
    assert "cannot be read" in said
    assert "beginning with the first line" in said
    assert "3 lines taken in, 0 left out" in said


def test_a_campaign_that_is_refused_is_named(limelight: Run, key: str, tmp_path: Path) -> None:
    listed = [{"campaign_id": "a", "title": "A"}, {"campaign_id": "b", "titel": "B"}]
    file = written(tmp_path, json.dumps(listed), name="c.json")
    said = limelight("import", "campaigns", str(file), key=key, status=1).output
    assert "campaign 'b'" in said
    assert "titel" in said
