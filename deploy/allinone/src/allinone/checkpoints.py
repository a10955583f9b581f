"""How far a file has been imported, so that an import that was cut goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from allinone.data_dir import write_private


@dataclass(frozen=True)
class Progress:
    """What of a file has been taken in: up to a byte and a line, with how many lines were bad."""

    offset: int = 0
    lines: int = 0
    accepted: int = 0
    rejected: int = 0

    def after(self, chunk: bytes, accepted: int, rejected: int) -> Progress:
        """With one more piece of whole lines."""
        return Progress(
            self.offset + len(chunk),
            self.lines + chunk.count(b"\n") + (not chunk.endswith(b"\n")),
            self.accepted + accepted,
            self.rejected + rejected,
        )


class Checkpoint:
    """The progress of one file into one route of one server, kept in the data directory.

    What is sent twice is taken once, so that a crash between an answer and its note harms nothing.
    A file whose beginning has changed is another file.
    """

    def __init__(self, folder: Path, file: Path, target: str) -> None:
        name = hashlib.sha256(f"{target}\n{file.resolve()}".encode()).hexdigest()[:32]
        self._note = folder / f"{name}.json"
        self._file = file

    def read(self) -> Progress:
        """How far it got, from the beginning if there is no note of this very content."""
        if not self._note.exists():
            return Progress()
        noted = json.loads(self._note.read_text())
        digest = noted.pop("digest")
        found = Progress(**noted)
        same = found.offset <= self._file.stat().st_size and digest == self._digest(found.offset)
        return found if same else Progress()

    def write(self, progress: Progress) -> None:
        """Note it, for the owner's eyes only."""
        self._note.parent.mkdir(parents=True, exist_ok=True)
        noted = {**asdict(progress), "digest": self._digest(progress.offset)}
        write_private(self._note, json.dumps(noted))

    def clear(self) -> None:
        """The file is in, whole: the next import of it begins anew."""
        self._note.unlink(missing_ok=True)

    def _digest(self, size: int) -> str:
        """Of the first megabyte of what was taken in: enough to tell files apart, quick to read."""
        with self._file.open("rb") as source:
            return hashlib.sha256(source.read(min(size, 1 << 20))).hexdigest()
