"""What an evaluation is given: people with what they said and did, and campaigns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.events.marketing import CampaignChanged, ConversationMessage, GivenId
from pydantic import TypeAdapter, ValidationError

from allinone.json_files import BadFile, read_lines, read_objects, read_text

Json = Mapping[str, Any]
ID_CHARACTERS = 200
_IDS = ("campaign_id", "item_id", "id")
_TITLES = ("title", "name")
_GIVEN_ID = TypeAdapter(GivenId)
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


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
    """The people of a file of JSON lines; ``kind`` keeps those of two files apart.

    Raises:
        BadFile: a line is not what it should be, or the platform does not take what it tells.
    """
    return [_case(row, f"{kind}-{line}", where) for line, where, row in read_lines(path)]


def read_offers(path: Path) -> list[Offer]:
    """Campaigns of a JSON list, of JSON lines, or of a CSV file with an id and a title.

    Raises:
        BadFile: as of people.
    """
    if path.suffix.lower() == ".csv":
        return [_offer(row, where) for where, row in _table(path)]
    if path.suffix.lower() == ".json":
        wanted = "a .json file of campaigns is a list; else give JSON lines"
        return [_offer(row, where) for where, row in read_objects(path, wanted)]
    return [_offer(row, where) for _, where, row in read_lines(path)]


def _table(path: Path) -> Iterator[tuple[str, Json]]:
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        for row in rows:
            yield f"{path}:{rows.line_num}", row
    except csv.Error as error:
        raise BadFile(f"{path}:{rows.reader.line_num}: not CSV: {error}") from error


def _case(row: Json, person: str, where: str) -> Case:
    if not isinstance(row.get("user_id"), str):
        raise BadFile(f"{where}: user_id is missing, or no text")
    user_id = _id(row["user_id"], "user_id", where)
    said = row.get("utterances", row.get("text"))
    if isinstance(said, str):
        said = [said]
    if not isinstance(said, list):
        raise BadFile(f"{where}: give text, or utterances as a list of texts")
    return Case(
        # What is put before makes it another one, also of an id that leaves no room for it.
        person=f"{person}-{user_id}"[:ID_CHARACTERS].rstrip(),
        texts=tuple(_text(one, where) for one in said),
        engaged=_ids(row, "engaged", where),
        known=_ids(row, "known_likes", where),
    )


def _ids(row: Json, name: str, where: str) -> tuple[str, ...]:
    given = row.get(name, [])
    if not isinstance(given, list):
        raise BadFile(f"{where}: {name} is not a list of campaign ids")
    return tuple(dict.fromkeys(_id(one, name, where) for one in given))


def _id(given: Any, name: str, where: str) -> str:
    """A text or a number as an id. Raises BadFile: the platform takes no such id."""
    try:
        return _GIVEN_ID.validate_python(given if _nested(given) else str(given))
    except ValidationError as error:
        raise BadFile(
            f"{where}: {name}: an id has 1 to {ID_CHARACTERS} characters and no blank at its ends"
        ) from error


def _nested(given: Any) -> bool:
    return given is None or isinstance(given, bool | list | dict)


def _text(given: Any, where: str) -> str:
    try:
        return ConversationMessage(text=given, sent_at=_ANY_TIME).text
    except ValidationError as error:
        raise BadFile(f"{where}: what was said: {error.errors()[0]['msg']}") from error


def _offer(row: Json, where: str) -> Offer:
    name = next((name for name in _IDS if row.get(name) not in (None, "")), None)
    if name is None:
        raise BadFile(f"{where}: no {', '.join(_IDS)}")
    campaign_id = _id(row[name], name, where)
    title = next((str(row[name]) for name in _TITLES if row.get(name)), campaign_id)
    offer = Offer(campaign_id, title, str(row.get("text") or ""), _intents(row, where))
    try:
        campaign_event(offer, _ANY_TIME)
    except ValidationError as error:
        problem = error.errors()[0]
        raise BadFile(f"{where}: {problem['loc'][0]}: {problem['msg']}") from error
    return offer


def _intents(row: Json, where: str) -> tuple[str, ...]:
    given = row.get("intents")
    if given is None:
        return ()
    if isinstance(given, str):  # a cell of a table
        given = [intent.strip() for intent in given.split(";") if intent.strip()]
    if not isinstance(given, list):
        raise BadFile(f"{where}: intents is not a list")
    return tuple(map(str, given))


def campaign_event(offer: Offer, changed_at: datetime) -> CampaignChanged:
    """A campaign as the platform is told of it. Raises ValidationError: it does not take it."""
    return CampaignChanged(
        campaign_id=offer.campaign_id,
        title=offer.title[:300],
        text=offer.text[:20_000],
        intents=offer.intents,
        changed_at=changed_at,
    )
