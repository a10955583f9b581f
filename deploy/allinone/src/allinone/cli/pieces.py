"""Files of lines in pieces: each as sent, and what is told of the lines that were left out."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from allinone.cli.shell import err
from allinone.client import NoLineTaken

Json = dict[str, Any]


def pieces(file: Path, size: int, offset: int = 0) -> Iterator[bytes]:
    """Whole lines of about ``size`` bytes together."""
    with file.open("rb") as source:
        source.seek(offset)
        while lines := source.readlines(size):
            yield b"".join(lines)


def taken(piece: bytes, send: Callable[[], Json]) -> Json:
    """The answer to a piece of JSON lines: at least accepted, rejected and errors.

    A piece need not hold a good line for the file to go on: one of bad lines is answered as one of
    bad and good lines is, and one of blank lines is not sent. Raises ClientError.
    """
    found = sum(bool(line.strip()) for line in piece.removeprefix(BOM_UTF8).split(b"\n"))
    if not found:
        return {"accepted": 0, "rejected": 0, "errors": []}
    try:
        return send()
    except NoLineTaken as error:
        return {"accepted": 0, "rejected": found, "errors": error.errors}


def tell_left_out(file: Path, lines_before: int, answer: Json) -> None:
    """Print the bad lines of a piece by their numbers in the file; the gateway lists a thousand."""
    for bad in answer["errors"]:
        err.print(
            f"{file}:{lines_before + bad['line']}: {bad['error']}", markup=False, soft_wrap=True
        )
    more = answer["rejected"] - len(answer["errors"])
    if more > 0:
        err.print(
            f"{file}: {more} more lines are left out, not listed", markup=False, soft_wrap=True
        )
