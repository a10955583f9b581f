"""What the domain needs: a model, a lake of what was said, and an index of what is near."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from embedding.domain.models import (
    Answer,
    Campaign,
    Found,
    Kept,
    Kind,
    Message,
    Near,
    TextPoint,
    UserKey,
    UserPoint,
    Vector,
)
from embedding.domain.states import UserState


class Embedder(Protocol):
    """Turns texts into vectors, off the event loop."""

    @property
    def model(self) -> str:
        """``name@version``: vectors are comparable if it is the same."""

    async def embed(self, kind: str, texts: Sequence[str]) -> Sequence[Vector | None]:
        """A vector for each text, None for one that has nothing the model knows.

        ``kind`` says in the metrics what was embedded.
        """


class Lake(Protocol):
    """Raw conversations and answers, and the state of each user. Every write is durable.

    Only single documents change at once: what needs more than one is safe to be done again.
    Every method raises Unavailable when the store is down.
    """

    async def forgotten(self, users: Collection[UserKey]) -> Mapping[UserKey, datetime]:
        """Those of the users who were forgotten, and when."""

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        """Keep what is new; the messages as they were first kept, in the given order."""

    async def mark_counted(self, messages: Collection[UUID]) -> None:
        """Remember that these are part of their users' states."""

    async def states(self, users: Collection[UserKey]) -> Mapping[UserKey, UserState]:
        """The states of those users who have one."""

    async def save_states(self, states: Sequence[tuple[UserState, int]]) -> Collection[UserKey]:
        """Write states, each if the stored version is the given one (0: none is stored).

        Returns the users whose state was written.
        """

    async def drop_state(self, user: UserKey, version: int) -> bool:
        """Remove a state if it is of that version; whether none is left."""

    async def forget(self, user: UserKey, at: datetime) -> int:
        """Remember that (the latest time stays), then remove the messages heard up to then.

        What is remembered tells whether somebody is meant, but not who. Returns how many went.
        """

    async def next_user(self, after: UserKey | None) -> UserKey | None:
        """The user with messages who comes next in the lake's order."""

    async def messages_of(self, user: UserKey, after: UUID | None, limit: int) -> Sequence[Kept]:
        """Messages of a user by id."""

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        """Keep what is new."""

    async def answers_after(self, after: tuple[str, UUID] | None, limit: int) -> Sequence[Answer]:
        """Answers by tenant and id."""

    async def put_campaigns(self, campaigns: Sequence[Campaign]) -> Sequence[bool]:
        """Keep each if no later state of it is known; whether it was kept."""

    async def campaigns(self, tenant_id: str) -> Sequence[Campaign]:
        """All of a tenant that are not deleted."""

    async def tenants(self) -> Sequence[str]:
        """Those that have campaigns."""

    async def healthy(self) -> bool:
        """Whether the store answers."""


class VectorIndex(Protocol):
    """Vectors of one model, to be found by nearness. What is put is durable on return.

    A tenant finds its own only. Every method raises Unavailable when the index is down.
    """

    async def put_users(self, points: Sequence[UserPoint]) -> None:
        """Insert or replace; a lower version than the known one changes nothing."""

    async def put_texts(self, points: Sequence[tuple[TextPoint, Vector]]) -> None:
        """Insert or replace."""

    async def nearest(
        self, tenant_id: str, points: Sequence[UserPoint], limit: int
    ) -> Sequence[Sequence[Near]]:
        """For each point the nearest other users of the tenant, the nearest first.

        A point need not be one that was put, and its user need not be anybody.
        """

    async def search(
        self, tenant_id: str, vector: Vector, kinds: Sequence[Kind], limit: int
    ) -> Sequence[Found]:
        """The nearest texts of the tenant, the nearest first."""

    async def remove_user(self, user: UserKey) -> None:
        """Remove a user and all that they said."""

    async def healthy(self) -> bool:
        """Whether the index answers."""


class Clock(Protocol):
    """Wall time."""

    def now(self) -> datetime:
        """The time now, with time zone UTC."""
