from __future__ import annotations

from pathlib import Path

import pytest
from allinone.checkpoints import ChangedFile, Checkpoint, Progress, UnreadableNote
from hypothesis import given
from hypothesis import strategies as st


def checkpoint(tmp_path: Path, content: bytes = b"one\ntwo\n", target: str = "here") -> Checkpoint:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(content)
    return Checkpoint(tmp_path / "notes", file, target)


def test_a_file_that_was_never_sent_begins_at_its_beginning(tmp_path: Path) -> None:
    assert checkpoint(tmp_path).read() == Progress()


def test_progress_is_found_again_until_it_is_cleared(tmp_path: Path) -> None:
    progress = Progress().after(b"one\n", accepted=1, rejected=0)
    checkpoint(tmp_path).write(progress, b"one\n")
    assert checkpoint(tmp_path).read() == progress == Progress(4, 1, 1, 0)
    checkpoint(tmp_path).clear()
    assert checkpoint(tmp_path).read() == Progress()


def test_another_server_has_a_progress_of_its_own(tmp_path: Path) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0), b"one\n")
    assert checkpoint(tmp_path, target="there").read() == Progress()


def test_an_import_that_went_on_can_be_cut_again(tmp_path: Path) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0), b"one\n")
    second = checkpoint(tmp_path)
    second.write(second.read().after(b"two\n", 1, 0), b"two\n")
    assert checkpoint(tmp_path).read() == Progress(8, 2, 2, 0)


def test_a_file_that_has_grown_by_whole_lines_goes_on(tmp_path: Path) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0), b"one\n")
    assert checkpoint(tmp_path, b"one\ntwo\nthree\n").read().offset == 4
    checkpoint(tmp_path, b"one\ntwo").write(Progress(7, 2, 2, 0), b"one\ntwo")
    assert checkpoint(tmp_path, b"one\ntwo").read().offset == 7


@pytest.mark.parametrize("now", [b"eins\ntwo\n", b"one\n", b"", b"one\ntwofold\n"])
def test_a_file_that_was_changed_cannot_go_on(tmp_path: Path, now: bytes) -> None:
    checkpoint(tmp_path).write(Progress(7, 2, 2, 0), b"one\ntwo")
    with pytest.raises(ChangedFile, match=r"has changed.*first 2 lines.*--anew"):
        checkpoint(tmp_path, now).read()


def test_a_change_behind_the_first_megabyte_is_seen(tmp_path: Path) -> None:
    content = b"x" * (3 << 20) + b"\nlast\n"
    checkpoint(tmp_path, content).write(Progress(len(content), 2, 2, 0), content)
    assert checkpoint(tmp_path, content + b"more\n").read().lines == 2
    with pytest.raises(ChangedFile):
        checkpoint(tmp_path, content.replace(b"last", b"LAST")).read()


@pytest.mark.parametrize(
    "note",
    [
        "",
        "[]",
        "\x00\xff",
        '{"offset": 4}',
        '{"offset": "4", "lines": 1, "accepted": 1, "rejected": 0, "sha256": ""}',
        '{"offset": -4, "lines": 1, "accepted": 1, "rejected": 0, "sha256": ""}',
        None,
    ],
)
def test_a_note_that_cannot_be_read_is_told_and_can_be_replaced(
    tmp_path: Path, note: str | None
) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0), b"one\n")
    [path] = (tmp_path / "notes").iterdir()
    path.write_bytes(b"\xff" if note is None else note.encode())
    found = checkpoint(tmp_path)
    with pytest.raises(UnreadableNote, match=str(path)):
        found.read()
    found.write(Progress(4, 1, 1, 0), b"one\n")
    assert checkpoint(tmp_path).read().offset == 4


def test_the_note_is_for_its_owner_only_and_holds_no_line(tmp_path: Path) -> None:
    checkpoint(tmp_path, b"secret\n").write(Progress(7, 1, 1, 0), b"secret\n")
    [note] = (tmp_path / "notes").iterdir()
    assert note.stat().st_mode & 0o077 == 0
    assert "secret" not in note.read_text()


@given(st.lists(st.binary(max_size=5).map(lambda line: line.replace(b"\n", b"")), min_size=1))
def test_lines_are_counted_as_an_editor_does(lines: list[bytes]) -> None:
    progress = Progress()
    for line in lines[:-1]:
        progress = progress.after(line + b"\n", 1, 0)
    progress = progress.after(lines[-1] + b"x", 1, 0)  # the last line of many files has no end
    assert progress.lines == len(lines)
