"""A release is frozen once."""

from __future__ import annotations

from pathlib import Path

import pytest
from contracts import release as command
from contracts.release import ReleaseError, release


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    for name in ("schemas/answer.analyzed.v1.json", "examples/answer.analyzed.v1/one.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_schemas_and_examples_are_copied(contracts: Path) -> None:
    target = release("1.2.3", contracts)
    copied = {str(path.relative_to(target)) for path in target.rglob("*.json")}
    assert target == contracts / "released/1.2.3"
    assert copied == {"schemas/answer.analyzed.v1.json", "examples/answer.analyzed.v1/one.json"}


def test_a_release_is_never_overwritten(contracts: Path) -> None:
    frozen = release("1.2.3", contracts) / "schemas/answer.analyzed.v1.json"
    (contracts / "schemas/answer.analyzed.v1.json").write_text('{"edited": true}')
    with pytest.raises(ReleaseError, match="already released"):
        release("1.2.3", contracts)
    assert frozen.read_text() == "{}"


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", "../1.2.3", ""])
def test_only_a_version_names_a_release(contracts: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="is not a version"):
        release(version, contracts)
    assert not (contracts / "released").exists()


def test_the_command_refuses_while_generated_files_are_out_of_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "differing", lambda *_: [Path("docs/events.md")])
    monkeypatch.setattr(command, "release", lambda *_: pytest.fail("released nevertheless"))
    assert command.main(["1.2.3"]) == 1
    assert "out of date" in capsys.readouterr().err
