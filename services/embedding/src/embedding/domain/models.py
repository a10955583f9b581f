"""What is kept of conversations, answers and campaigns, and what is computed from them.

Ids that tenants give mean nothing outside their tenant: every key begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""What a text means, as numbers: of length 1, and only comparable with others of its model."""

Kind = Literal["message", "answer"]
"""What can be searched."""


@dataclass(frozen=True, slots=True, order=True)
class UserKey:
    """A user of a tenant."""

    tenant_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said, as it was said. ``id`` follows from what identifies it.

    ``said_at`` is when it was said, as far as that can be (not later than it was heard),
    ``heard_at`` when the platform took it in. ``lineage`` says where it came from.
    """

    id: UUID
    user: UserKey
    conversation_id: str
    message_id: str | None
    role: str
    text: str
    sent_at: datetime
    said_at: datetime
    heard_at: datetime
    lineage: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as the lake has it. ``counted``: it is known to be part of its user's state."""

    message: Message
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered in a visibility run."""

    tenant_id: str
    completion_id: UUID
    run_id: UUID
    model: str
    text: str
    at: datetime
    simulated: bool


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a campaign says and which intents it answers, as of ``changed_at``.

    ``vector`` is that of title and text, made by ``embedding_model``.
    """

    tenant_id: str
    campaign_id: str
    title: str
    text: str
    intents: tuple[str, ...]
    excluded_intents: tuple[str, ...]
    ends_at: datetime | None
    deleted: bool
    changed_at: datetime
    embedding_model: str = ""
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class UserPoint:
    """Where a user stands. A higher ``version`` replaces a lower one."""

    user: UserKey
    version: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class TextPoint:
    """A message or an answer that can be found by meaning; ``text`` is its beginning."""

    id: UUID
    kind: Kind
    tenant_id: str
    text: str
    at: datetime
    user_id: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    completion_id: UUID | None = None
    run_id: UUID | None = None
    model: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """A user who is near, by cosine."""

    user_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was found, by cosine."""

    point: TextPoint
    similarity: float


@dataclass(frozen=True, slots=True)
class Wish:
    """How near what a user says is to an intent; ``latest``: the last message alone is near."""

    intent: str
    score: float
    latest: bool


@dataclass(frozen=True, slots=True)
class Liking:
    """How near what a user says is to what a campaign says."""

    campaign_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who and what is near a user, as seen at ``looked_at``."""

    looked_at: datetime
    neighbours: tuple[Near, ...] = ()
    wishes: tuple[Wish, ...] = ()
    likings: tuple[Liking, ...] = ()
