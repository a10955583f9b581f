"""What is told of users, read from one JSON object or from lines of NDJSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from bus.outbox import OutboxRow
from contracts.events.base import Event
from contracts.events.marketing import ConversationRecorded, EngagementRecorded, LineOf
from contracts.topics import CONVERSATION_RECORDED, ENGAGEMENT_RECORDED, Topic
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from gateway.commands.events import Origins
from gateway.domain.errors import EventTooLarge, UnsupportedMedia
from gateway.middleware import unreadable_json
from gateway.schemas.common import RequestBody
from gateway.schemas.facts import (
    ConversationIn,
    EngagementIn,
    EngagementLine,
    conversation_event,
    engagement_event,
)
from gateway.schemas.lines import NDJSON, BadLine, complaint, ndjson_lines

JSON = "application/json"
B = TypeVar("B", bound=RequestBody)
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Source:
    """The file that a request was read from, as the client tells."""

    file: str | None
    first_line: int

    def line(self, number: int) -> LineOf | None:
        """Where the ``number``-th line of the request stood, counted from 1."""
        if self.file is None:
            return None
        return LineOf(file=self.file, line=self.first_line + number - 1)


@dataclass(frozen=True)
class Kind(Generic[B, E]):
    """One kind of fact: how it comes, what is told of it, and what is answered.

    ``named`` are the parts of the answer that follow from the request, ``made`` the others: those
    alone are stored with an Idempotency-Key, so that nothing of a user is kept longer than events.
    """

    body: type[B]
    line: type[B]
    topic: Topic[E]
    event: Callable[[B, datetime, LineOf | None], E]
    named: Callable[[E], dict[str, str]]
    made: Callable[[B, E], dict[str, Any]]
    needs: str


CONVERSATION: Kind[ConversationIn, ConversationRecorded] = Kind(
    ConversationIn,
    ConversationIn,
    CONVERSATION_RECORDED,
    conversation_event,
    lambda event: {"conversation_id": event.conversation_id, "user_id": event.user_id},
    lambda _, event: {"messages": len(event.messages)},
    "conversation_id, user_id, and messages or text",
)
ENGAGEMENT: Kind[EngagementIn, EngagementRecorded] = Kind(
    EngagementIn,
    EngagementLine,
    ENGAGEMENT_RECORDED,
    engagement_event,
    lambda event: event.model_dump(include={"engagement_id", "user_id", "campaign_id"}),
    lambda body, event: {} if body.engagement_id else {"engagement_id": event.engagement_id},
    "user_id, campaign_id, kind and happened_at",
)


@dataclass(frozen=True)
class Taking(Generic[B, E]):
    """What a request tells, on its way to becoming events."""

    kind: Kind[B, E]
    origins: Origins
    source: Source

    def event(self, body: B, number: int) -> E:
        """What is told of the ``number``-th line."""
        return self.kind.event(body, self.origins.now, self.source.line(number))

    def rows(self, body: bytes) -> tuple[list[OutboxRow], list[BadLine]]:
        """Each line as an event, or what is wrong with it; empty ones are neither."""
        good: list[OutboxRow] = []
        bad: list[BadLine] = []
        for number, found in ndjson_lines(body):
            row = found if isinstance(found, str) else self._row(found, number)
            if isinstance(row, str):
                bad.append(BadLine(line=number, error=row))
            else:
                good.append(row)
        return good, bad

    def _row(self, found: Any, number: int) -> OutboxRow | str:
        try:
            event = self.event(self.kind.line.model_validate(found), number)
            return self.origins.row(self.kind.topic, event)
        except ValidationError as error:
            return complaint(error)
        except EventTooLarge as error:
            return str(error)


def object_of(body: bytes) -> Any:
    """The value of a body. Raises HTTPException 400; UnsupportedMedia: it is a list."""
    unreadable = unreadable_json(body)
    if unreadable is not None:
        raise HTTPException(400, unreadable)
    found = json.loads(body)
    if isinstance(found, list):
        raise unsupported("a JSON array is not taken")
    return found


def valid(model: type[B], given: Any) -> B:
    """A value as a model has it. Raises RequestValidationError, as of other bodies."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in found]
        ) from error


def unsupported(said: str) -> UnsupportedMedia:
    """What is said of a body of another kind."""
    return UnsupportedMedia(
        said, f"send one object as {JSON}; many as lines, one object each, as {NDJSON}"
    )
