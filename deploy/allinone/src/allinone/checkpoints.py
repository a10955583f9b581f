"""How far a file has been imported, so that an import that was cut goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from allinone.data_dir import write_private

_BLOCK = 1 << 20


class ChangedFile(ValueError):
    """What was taken in of a file is no longer what stands in it; says what to do."""


class UnreadableNote(ValueError):
    """How far a file got cannot be read."""


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
    The note holds a digest of all that was taken in: a file that is no longer the same up to there
    cannot go on.
    """

    def __init__(self, folder: Path, file: Path, target: str) -> None:
        name = hashlib.sha256(f"{target}\n{file.resolve()}".encode()).hexdigest()[:32]
        self._note = folder / f"{name}.json"
        self._file = file
        self._digest = hashlib.sha256()

    def read(self) -> Progress:
        """How far it got; from the beginning if nothing is noted.

        Raises:
            ChangedFile: something else stands now where it was taken in.
            UnreadableNote: begin at the beginning; the next note replaces it.
        """
        self._digest = hashlib.sha256()
        if not self._note.exists():
            return Progress()
        found, digest = self._noted()
        self._digest = self._up_to(found)
        if self._digest.hexdigest() != digest:
            raise _changed(self._file, found)
        return found

    def write(self, progress: Progress, chunk: bytes) -> None:
        """Note it with the piece that was taken in last, for the owner's eyes only."""
        self._digest.update(chunk)
        self._note.parent.mkdir(parents=True, exist_ok=True)
        noted = {**asdict(progress), "sha256": self._digest.hexdigest()}
        write_private(self._note, json.dumps(noted))

    def clear(self) -> None:
        """The file is in, whole: the next import of it begins anew."""
        self._note.unlink(missing_ok=True)

    def _noted(self) -> tuple[Progress, str]:
        try:
            noted = json.loads(self._note.read_bytes())
            counts = {field.name: _count(noted[field.name]) for field in fields(Progress)}
            return Progress(**counts), str(noted["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableNote(
                f"how far {self._file} got cannot be read from {self._note}"
            ) from error

    def _up_to(self, progress: Progress) -> hashlib._Hash:
        """Of what stands in the file now up to there. Raises ChangedFile: a line goes on there."""
        digest, left, block = hashlib.sha256(), progress.offset, b"\n"
        with self._file.open("rb") as source:
            while left and (found := source.read(min(left, _BLOCK))):
                digest.update(found)
                left, block = left - len(found), found
            if not block.endswith(b"\n") and source.read(1):
                raise _changed(self._file, progress)
        return digest


def _count(noted: Any) -> int:
    if not isinstance(noted, int) or noted < 0:
        raise ValueError(f"{noted!r} is no count")
    return noted


def _changed(file: Path, progress: Progress) -> ChangedFile:
    return ChangedFile(
        f"{file} has changed since its import was cut: its first {progress.lines} lines are not "
        "those that were sent. --anew begins again with the first line; what has an id or a time "
        "is not taken twice"
    )
