"""What an evaluation is given: people with what they said and did, and campaigns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]
_IDS = ("campaign_id", "item_id", "id")
_TITLES = ("title", "name")


class BadFile(ValueError):
    """A file cannot be read as what it should be; says where and what to do."""


@dataclass(frozen=True)
class Case:
    """One person as one line tells of them; a user id that comes twice is two people.

    ``engaged`` is what they engaged with afterwards: in a test file what is to be found.
    ``known`` is what they had engaged with before: it is never recommended.
    """

    person: str
    texts: tuple[str, ...]
    engaged: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """A campaign that can be recommended."""

    campaign_id: str
    title: str
    text: str = ""
    intents: tuple[str, ...] = ()


def read_cases(path: Path, kind: str) -> list[Case]:
    """The people of a file of JSON lines; ``kind`` keeps those of two files apart."""
    return [_case(row, f"{kind}-{line}", f"{path}:{line}") for line, row in _rows(path)]


def read_offers(path: Path) -> list[Offer]:
    """Campaigns of a JSON list, of JSON lines, or of a CSV file with an id and a title."""
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(line, dict(row)) for line, row in enumerate(csv.DictReader(file), 2)]
        return [_offer(row, f"{path}:{line}") for line, row in rows]
    if path.suffix.lower() == ".json":
        found = _parsed(path.read_text(encoding="utf-8"), str(path))
        if not isinstance(found, list):
            raise BadFile(f"{path}: a .json file of campaigns is a list; else give JSON lines")
        return [
            _offer(_object(row, f"{path}[{at}]"), f"{path}[{at}]") for at, row in enumerate(found)
        ]
    return [_offer(row, f"{path}:{line}") for line, row in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[int, Json]]:
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                where = f"{path}:{line}"
                yield line, _object(_parsed(text, where), where)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFile(f"{where}: not JSON: {error.msg} at column {error.colno}") from error


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise BadFile(f"{where}: not a JSON object")
    return value


def _case(row: Json, person: str, where: str) -> Case:
    if not isinstance(row.get("user_id"), str):
        raise BadFile(f"{where}: user_id is missing")
    said = row.get("utterances", row.get("text"))
    if isinstance(said, str):
        said = [said]
    if not isinstance(said, list):
        raise BadFile(f"{where}: give text, or utterances as a list of texts")
    return Case(
        person=f"{person}-{row['user_id']}",
        texts=tuple(map(str, said)),
        engaged=_ids(row, "engaged", where),
        known=_ids(row, "known_likes", where),
    )


def _ids(row: Json, name: str, where: str) -> tuple[str, ...]:
    given = row.get(name, [])
    if not isinstance(given, list):
        raise BadFile(f"{where}: {name} is not a list of campaign ids")
    return tuple(dict.fromkeys(map(str, given)))


def _offer(row: Json, where: str) -> Offer:
    campaign_id = next((str(row[name]) for name in _IDS if row.get(name)), None)
    if campaign_id is None:
        raise BadFile(f"{where}: no {', '.join(_IDS)}")
    title = next((str(row[name]) for name in _TITLES if row.get(name)), campaign_id)
    intents = row.get("intents") or ()
    return Offer(campaign_id, title, str(row.get("text") or ""), tuple(map(str, intents)))
