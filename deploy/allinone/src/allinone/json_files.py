"""Files of JSON as people have them; what is wrong with one is told by file and line."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class BadFile(ValueError):
    """A file cannot be read as what it should be; says where and what to do."""


def read_text(path: Path) -> str:
    """The text of a file, without the mark that some editors begin one with. Raises BadFile."""
    return _decoded(path.read_bytes(), path, 1)


def read_json(path: Path) -> Any:
    """The value of a file. Raises BadFile."""
    return _parsed(path.read_bytes(), path, 1)


def read_object(path: Path) -> Json:
    """The one object of a file. Raises BadFile."""
    return _object(read_json(path), str(path))


def read_objects(path: Path, wanted: str) -> list[tuple[str, Json]]:
    """Each object of a list with where it stands. Raises BadFile, with ``wanted`` for no list."""
    found = read_json(path)
    if not isinstance(found, list):
        raise BadFile(f"{path}: {wanted}")
    places = [f"{path}[{at}]" for at in range(len(found))]
    return [(place, _object(value, place)) for place, value in zip(places, found, strict=True)]


def read_lines(path: Path) -> Iterator[tuple[int, str, Json]]:
    """The object of each line that is not blank, after its number and where it stands.

    Raises:
        BadFile: a line is no object.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if raw.removeprefix(BOM_UTF8).strip():
                where = f"{path}:{number}"
                yield number, where, _object(_parsed(raw, path, number), where)


def _decoded(content: bytes, path: Path, line: int) -> str:
    content = content.removeprefix(BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        raise BadFile(f"{path}:{line}: not UTF-8: save the file in that encoding") from error


def _parsed(content: bytes, path: Path, line: int) -> Any:
    text = _decoded(content, path, line)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line += error.lineno - 1
        raise BadFile(f"{path}:{line}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise BadFile(f"{path}:{line}: not JSON that can be read: {error}") from error


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise BadFile(f"{where}: not a JSON object")
    return value
