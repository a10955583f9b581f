"""JSON shapes of what users said and did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

from contracts.events.base import OfOurTime, Slug
from contracts.events.marketing import (
    ConversationMessage,
    ConversationRecorded,
    EngagementKind,
    EngagementRecorded,
    GivenId,
    LineOf,
)
from pydantic import BaseModel, ConfigDict, Field, model_validator
from runtime.ids import new_id

from gateway.domain.marketing import said_id
from gateway.schemas.common import RequestBody
from gateway.schemas.lines import BadLine

MAX_CHARACTERS = 1_000_000
# Fixed for ever: a file that is sent again must be known again.
_LINES = UUID("c2c9e3ae-52cc-5a57-9c55-2f7a0d6f9c31")
Said = Annotated[str, Field(max_length=MAX_CHARACTERS)]


class MessageIn(RequestBody):
    """One thing said."""

    message_id: GivenId | None = Field(
        default=None, description="without one its place in the conversation tells it from others"
    )
    role: Slug = Field(default="user", description="only what users say tells of them")
    text: Said
    sent_at: OfOurTime | None = Field(default=None, description="left out: the conversation's")


class ConversationIn(RequestBody):
    """A conversation, or a part of one: its ``messages``, or one ``text`` that the user said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "conversation_id": "c-1001",
                    "user_id": "u-ada",
                    "messages": [
                        {"message_id": "m-1", "text": "What does an espresso machine cost?"},
                        {"message_id": "m-2", "role": "assistant", "text": "From 240 euros."},
                    ],
                },
                {"conversation_id": "c-1002", "user_id": "u-ben", "text": "Is there a discount?"},
            ]
        },
    )

    conversation_id: GivenId
    user_id: GivenId
    messages: list[MessageIn] | None = Field(default=None, min_length=1, max_length=1000)
    text: Said | None = None
    sent_at: OfOurTime | None = Field(default=None, description="left out: now")
    channel: Annotated[str, Field(max_length=100)] | None = None
    locale: Annotated[str, Field(max_length=35)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ConversationIn:
        if (self.messages is None) == (self.text is None):
            raise ValueError("give either messages or text")
        return self


class EngagementIn(RequestBody):
    """What a user did with a campaign, which need not be known yet."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "engagement_id": "e-1",
                    "user_id": "u-ben",
                    "campaign_id": "espresso-week",
                    "kind": "click",
                }
            ]
        },
    )

    engagement_id: GivenId | None = Field(
        default=None,
        description="sent twice it counts once; left out: what is alike in all else, with the same "
        "happened_at, counts once",
    )
    user_id: GivenId
    campaign_id: GivenId
    kind: EngagementKind
    happened_at: OfOurTime | None = Field(default=None, description="left out: now")


class EngagementLine(EngagementIn):
    """One of many: it has to say when."""

    happened_at: OfOurTime


class ConversationAccepted(BaseModel):
    """It is stored, and on its way."""

    conversation_id: str
    user_id: str
    messages: int
    event_id: UUID


class EngagementAccepted(BaseModel):
    """It is stored, and on its way."""

    engagement_id: str
    user_id: str
    campaign_id: str
    event_id: UUID


class LinesAccepted(BaseModel):
    """The good lines are stored, and on their way."""

    accepted: int
    rejected: int
    errors: list[BadLine] = Field(description="the first thousand lines that were left out")


def conversation_event(
    body: ConversationIn, now: datetime, line_of: LineOf | None
) -> ConversationRecorded:
    """A conversation as it is told on; what has no time was sent now.

    Of a line of a file, the line is the identity of what has neither id nor time: the file may be
    sent again.
    """
    said = tuple(
        _message(item, place, body.sent_at, now, line_of)
        for place, item in enumerate(body.messages or ())
    )
    return ConversationRecorded(
        conversation_id=body.conversation_id,
        user_id=body.user_id,
        messages=said or (_only_message(body, now, line_of),),
        channel=body.channel,
        locale=body.locale,
        line_of=line_of,
    )


def engagement_event(
    body: EngagementIn, now: datetime, line_of: LineOf | None
) -> EngagementRecorded:
    """An engagement as it is told on; what has no time happened now."""
    return EngagementRecorded(
        engagement_id=body.engagement_id or _engagement_id(body, line_of),
        user_id=body.user_id,
        campaign_id=body.campaign_id,
        kind=body.kind,
        happened_at=body.happened_at or now,
        line_of=line_of,
    )


def _message(
    item: MessageIn, place: int, of_all: datetime | None, now: datetime, line_of: LineOf | None
) -> ConversationMessage:
    sent_at = item.sent_at or of_all
    message_id = item.message_id
    if message_id is None and sent_at is None and line_of is not None:
        message_id = _in_file(line_of, str(place), item.text)
    return ConversationMessage(
        message_id=message_id, role=item.role, text=item.text, sent_at=sent_at or now
    )


def _only_message(
    body: ConversationIn, now: datetime, line_of: LineOf | None
) -> ConversationMessage:
    """It has an id, as its place says nothing: each part of the conversation may come like this.

    With a time the same text is the same message, so that a file may be sent twice.
    """
    text, at = body.text or "", body.sent_at
    if at is not None:
        message_id = said_id(at, body.user_id, body.conversation_id, text)
    else:
        message_id = str(new_id()) if line_of is None else _in_file(line_of, "", text)
    return ConversationMessage(message_id=message_id, text=text, sent_at=at or now)


def _engagement_id(body: EngagementIn, line_of: LineOf | None) -> str:
    if body.happened_at is not None:
        return said_id(body.happened_at, body.user_id, body.campaign_id, body.kind)
    return str(new_id()) if line_of is None else _in_file(line_of, body.user_id, body.campaign_id)


def _in_file(line_of: LineOf, *more: str) -> str:
    """An id of what a line says: the same whenever that line of that file is sent."""
    return str(uuid5(_LINES, "\n".join((line_of.file, str(line_of.line), *more))))
