"""What a user can get wrong with files is told in a sentence, with a status."""

from __future__ import annotations

from pathlib import Path

import pytest
from allinone.cli import app
from typer.testing import CliRunner, Result


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is sent: what is wrong with a file is told before."""
    monkeypatch.setenv("LIMELIGHT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LIMELIGHT_API_KEY", "key")
    monkeypatch.setenv("LIMELIGHT_DATA_DIR", str(tmp_path / "data"))
    for console in ("out", "err"):
        monkeypatch.setattr(f"allinone.cli.shell.{console}._width", 250)


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "250"})
    assert isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    "command",
    [
        ("import", "conversations", "{}"),
        ("import", "engagements", "{}"),
        ("import", "campaigns", "{}"),
        ("import", "answers", "{}"),
        ("import", "answers", __file__, "--brands", "{}"),
        ("runs", "start", "--file", "{}"),
        ("runs", "start", "--prompts", "{}"),
        ("evaluate", "recommendations", "--train", "{}", "--test", "{}", "--campaigns", "{}"),
    ],
)
def test_a_directory_is_no_file(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*(part.format(tmp_path) for part in command))
    assert result.exit_code == 2
    assert "is a directory" in result.output


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = run("sample", "marketing", tmp_path / "file")
    assert (result.exit_code, "is a file" in result.output) == (2, True)
    result = run("sample", "marketing", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "below cannot be used: Not a directory" in result.output
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"campaign_id": "a", "title": "b"}', "c.json: a JSON list of campaigns is wanted"),
        (b'["a"]', r"c.json[0]: not a JSON object"),
        (b'[{"campaign_id": "a"}, {"title": "b"}]', "c.json[1]: campaign_id is to be a text"),
        (b'[{"campaign_id": 7, "title": "b"}]', "c.json[0]: campaign_id is to be a text"),
        (b'[{"campaign_id": "", "title": "b"}]', "c.json[0]: campaign_id is to be a text"),
        (b"[\n{]", "c.json:2: not JSON"),
        (b'[\n\n"\xff"]', "c.json:3: not UTF-8"),
        (b"[" * 100_000, "c.json:1: not JSON that can be read"),
    ],
)
def test_a_file_that_holds_no_campaigns_is_told_where(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "c.json"
    file.write_bytes(content)
    result = run("import", "campaigns", file)
    assert result.exit_code == 1
    assert said in result.output


def test_other_json_of_a_user_is_told_where(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text("[]")
    assert "f.json: not a JSON object" in run("runs", "start", "--file", file).output
    file.write_text("{")
    assert "f.json:1: not JSON" in run("runs", "start", "--file", file).output
    assert "f.json:1: not JSON" in run("detect", "--brands", file).output
    said = run("import", "answers", __file__, "--brands", file).output
    assert "f.json:1: not JSON" in said


def test_a_key_that_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMELIGHT_API_KEY", "ключ")
    result = run("keys", "list")
    assert result.exit_code == 1
    assert "LIMELIGHT_API_KEY" in result.output
