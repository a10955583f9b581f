from __future__ import annotations

from pathlib import Path

from allinone.checkpoints import Checkpoint, Progress
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
    checkpoint(tmp_path).write(progress)
    assert checkpoint(tmp_path).read() == progress == Progress(4, 1, 1, 0)
    checkpoint(tmp_path).clear()
    assert checkpoint(tmp_path).read() == Progress()


def test_another_server_has_a_progress_of_its_own(tmp_path: Path) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0))
    assert checkpoint(tmp_path, target="there").read() == Progress()


def test_a_file_that_has_grown_goes_on_and_one_that_was_changed_begins_anew(tmp_path: Path) -> None:
    checkpoint(tmp_path).write(Progress(4, 1, 1, 0))
    assert checkpoint(tmp_path, b"one\ntwo\nthree\n").read().offset == 4
    assert checkpoint(tmp_path, b"eins\ntwo\n").read() == Progress()
    checkpoint(tmp_path).write(Progress(8, 2, 2, 0))
    assert checkpoint(tmp_path, b"one\n").read() == Progress()


def test_the_note_is_for_its_owner_only_and_holds_no_line(tmp_path: Path) -> None:
    checkpoint(tmp_path, b"secret\n").write(Progress(7, 1, 1, 0))
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
