"""What counts as said by a user, when, and how near is near."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid5

import numpy as np

from embedding.domain.decay import FAINTEST
from embedding.domain.models import Answer, Liking, Message, TextPoint, UserKey, Vector, Wish

# Fixed for ever: a message that comes again must be found again.
_MESSAGE = UUID("5a2d8c1e-9c0f-5c43-8f0b-6b1d2f9f7e11")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
USER = "user"
EARLY = timedelta(minutes=5)
"""Clocks differ by so much at most; what claims to be said later was said now."""
BEGINNING = 300
"""Characters of a text that a search shows."""
NEAR = 0.35
"""A cosine from which on an intent is meant: of what people of the demo ask, it finds the right
intent in 6 of 10 messages, and a wrong one in 5."""
MOST_WISHES = 20
MOST_LIKINGS = 20


def message_uuid(user: UserKey, conversation_id: str, name: str) -> UUID:
    """The id of a message in the lake: the same for the same message, whoever brings it."""
    parts = [user.tenant_id, user.user_id, conversation_id, name]
    return uuid5(_MESSAGE, json.dumps(parts))


def grave(user: UserKey) -> str:
    """The name of a tombstone: tells whether somebody is meant, but not who."""
    return sha256(json.dumps([user.tenant_id, user.user_id]).encode()).hexdigest()


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def said_at(sent_at: datetime, now: datetime) -> datetime:
    """When something was said, by a clock that may be wrong."""
    return sent_at if sent_at <= now + EARLY else now


def tells(message: Message) -> bool:
    """Whether a message tells of its user: they said it, and it is more than white space."""
    return message.role == USER and bool(message.text.strip())


def label(intent: str) -> str:
    """The name of an intent as people would say it: ``book_flight`` is "book flight"."""
    return " ".join(intent.replace("_", " ").replace("-", " ").replace(".", " ").split())


def intent_vector(name: Vector | None, answers: Sequence[Vector | None]) -> Vector | None:
    """What an intent means: its name, and as much what the campaigns that answer it say.

    On the questions that people of the demo ask, the nearest intent by the name alone is the right
    one of 66 %, by both of 76 %.
    """
    known = [vector for vector in answers if vector is not None]
    parts = ([] if name is None else [name]) + ([np.mean(known, axis=0)] if known else [])
    if not parts:
        return None
    whole = np.sum(parts, axis=0)
    unit: Vector = (whole / max(float(np.linalg.norm(whole)), FAINTEST)).astype(np.float32)
    return unit


def wishes(intents: Sequence[str], vectors: Vector, user: Vector, last: Vector) -> tuple[Wish, ...]:
    """The intents that are near, the nearest first.

    The score is the larger of two cosines: with all that was said, and with the last message,
    which a long history would drown.
    """
    if not intents:
        return ()
    alone = vectors @ last
    scores = np.maximum(vectors @ user, alone)
    order = [at for at in np.argsort(-scores)[:MOST_WISHES] if scores[at] >= NEAR]
    return tuple(
        Wish(intents[at], cosine(scores[at]), latest=bool(alone[at] >= NEAR)) for at in order
    )


def likings(
    campaigns: Sequence[str], vectors: Vector, user: Vector, last: Vector
) -> tuple[Liking, ...]:
    """The campaigns that are nearest, scored as ``wishes`` are."""
    if not campaigns:
        return ()
    scores = np.maximum(vectors @ user, vectors @ last)
    order = np.argsort(-scores)[:MOST_LIKINGS]
    return tuple(Liking(campaigns[at], cosine(scores[at])) for at in order)


def message_point(message: Message) -> TextPoint:
    """A message as a search finds it."""
    return TextPoint(
        id=message.id,
        kind="message",
        tenant_id=message.user.tenant_id,
        text=message.text[:BEGINNING],
        at=message.said_at,
        user_id=message.user.user_id,
        conversation_id=message.conversation_id,
        message_id=message.message_id,
    )


def answer_point(answer: Answer) -> TextPoint:
    """An answer as a search finds it."""
    return TextPoint(
        id=answer.completion_id,
        kind="answer",
        tenant_id=answer.tenant_id,
        text=answer.text[:BEGINNING],
        at=answer.at,
        completion_id=answer.completion_id,
        run_id=answer.run_id,
        model=answer.model,
        simulated=answer.simulated,
    )


def cosine(value: float) -> float:
    """Within -1 and 1, which rounding may leave by a hair."""
    return min(1.0, max(-1.0, float(value)))
