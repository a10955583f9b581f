"""What is committed is what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest
from contracts import generate
from contracts.paths import REPOSITORY
from contracts.topics import TOPICS


def test_committed_files_are_up_to_date() -> None:
    assert generate.differing(REPOSITORY, generate.generated()) == []


def test_generating_twice_gives_the_same_text() -> None:
    assert generate.generated() == generate.generated()


def test_every_topic_has_a_schema() -> None:
    schemas = {path.stem for path in generate.generated() if path.parent.name == "schemas"}
    assert schemas == {topic.name for topic in TOPICS}


def test_written_files_do_not_differ(tmp_path: Path) -> None:
    files = generate.generated()
    generate.write(tmp_path, files)
    assert generate.differing(tmp_path, files) == []


def test_a_missing_file_differs(tmp_path: Path) -> None:
    assert generate.differing(tmp_path, {Path("docs/events.md"): ""}) == [Path("docs/events.md")]


@pytest.mark.parametrize("edited", ["more\n", "text\r\n", "text"])
def test_an_edited_file_differs(tmp_path: Path, edited: str) -> None:
    (tmp_path / "page.md").write_bytes(edited.encode())
    assert generate.differing(tmp_path, {Path("page.md"): "text\n"}) == [Path("page.md")]


def test_the_schema_of_a_topic_that_is_gone_differs_and_is_removed(tmp_path: Path) -> None:
    gone = Path("contracts/schemas/answer.forgotten.v1.json")
    generate.write(tmp_path, {gone: "{}\n"})
    assert generate.differing(tmp_path, {}) == [gone]
    generate.write(tmp_path, {})
    assert generate.differing(tmp_path, {}) == []


def test_check_names_the_differing_file_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "REPOSITORY", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "docs/events.md").write_text("edited by hand")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/events.md differs: run python -m contracts.generate"
    ]
    assert (tmp_path / "docs/events.md").read_text() == "edited by hand"
