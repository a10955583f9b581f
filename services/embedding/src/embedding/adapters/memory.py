"""Lake and index in memory: exact, and gone with the process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
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
from embedding.domain.rules import cosine, grave
from embedding.domain.states import UserState


class MemoryLake:
    """Dictionaries of documents, as a document store would hold them."""

    def __init__(self) -> None:
        self.messages: dict[UUID, Kept] = {}
        self.stored: dict[UserKey, UserState] = {}
        self.graves: dict[str, datetime] = {}
        self.answers: dict[tuple[str, UUID], Answer] = {}
        self.known_campaigns: dict[tuple[str, str], Campaign] = {}

    async def forgotten(self, users: Collection[UserKey]) -> Mapping[UserKey, datetime]:
        """Looked up by what they are named after."""
        return {user: self.graves[grave(user)] for user in users if grave(user) in self.graves}

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        """The first of an id stays."""
        for item in messages:
            self.messages.setdefault(item.id, Kept(item))
        return [self.messages[item.id] for item in messages]

    async def mark_counted(self, messages: Collection[UUID]) -> None:
        """Those that are still there."""
        for each in messages:
            if each in self.messages:
                self.messages[each] = replace(self.messages[each], counted=True)

    async def states(self, users: Collection[UserKey]) -> Mapping[UserKey, UserState]:
        """As they are now."""
        return {user: self.stored[user] for user in users if user in self.stored}

    async def save_states(self, states: Sequence[tuple[UserState, int]]) -> Collection[UserKey]:
        """Compared and set at once: nothing else runs meanwhile."""
        written = [state for state, base in states if self._version(state.user) == base]
        self.stored |= {state.user: state for state in written}
        return [state.user for state in written]

    async def drop_state(self, user: UserKey, version: int) -> bool:
        """Compared and removed at once."""
        if self._version(user) == version:
            self.stored.pop(user, None)
        return user not in self.stored

    async def forget(self, user: UserKey, at: datetime) -> int:
        """First the tombstone."""
        at = self.graves[grave(user)] = max(at, self.graves.get(grave(user), at))
        gone = [
            each
            for each, kept in self.messages.items()
            if kept.message.user == user and kept.message.heard_at <= at
        ]
        for each in gone:
            del self.messages[each]
        return len(gone)

    async def next_user(self, after: UserKey | None) -> UserKey | None:
        """In Python's order of texts."""
        users = sorted({kept.message.user for kept in self.messages.values()})
        return next((user for user in users if after is None or user > after), None)

    async def messages_of(self, user: UserKey, after: UUID | None, limit: int) -> Sequence[Kept]:
        """Sorted anew each time."""
        own = [kept for kept in self.messages.values() if kept.message.user == user]
        own.sort(key=lambda kept: kept.message.id)
        return [kept for kept in own if after is None or kept.message.id > after][:limit]

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        """The first of an id stays."""
        for item in answers:
            self.answers.setdefault((item.tenant_id, item.completion_id), item)

    async def answers_after(self, after: tuple[str, UUID] | None, limit: int) -> Sequence[Answer]:
        """Sorted anew each time."""
        keys = sorted(key for key in self.answers if after is None or key > after)
        return [self.answers[key] for key in keys[:limit]]

    async def put_campaigns(self, campaigns: Sequence[Campaign]) -> Sequence[bool]:
        """One after the other."""
        return [self._put_campaign(item) for item in campaigns]

    async def campaigns(self, tenant_id: str) -> Sequence[Campaign]:
        """In the order in which they came."""
        own = [item for item in self.known_campaigns.values() if item.tenant_id == tenant_id]
        return [item for item in own if not item.deleted]

    async def tenants(self) -> Sequence[str]:
        """By name."""
        return sorted({tenant for tenant, _ in self.known_campaigns})

    async def healthy(self) -> bool:
        """Always."""
        return True

    def _version(self, user: UserKey) -> int:
        return self.stored[user].version if user in self.stored else 0

    def _put_campaign(self, campaign: Campaign) -> bool:
        key = (campaign.tenant_id, campaign.campaign_id)
        known = self.known_campaigns.get(key)
        if known is not None and known.changed_at > campaign.changed_at:
            return False
        self.known_campaigns[key] = campaign
        return True


class MemoryVectorIndex:
    """Compares with everything."""

    def __init__(self) -> None:
        self.users: dict[UserKey, UserPoint] = {}
        self.texts: dict[tuple[str, Kind, UUID], tuple[TextPoint, Vector]] = {}

    async def put_users(self, points: Sequence[UserPoint]) -> None:
        """The higher version stays."""
        for point in points:
            known = self.users.get(point.user, point)
            self.users[point.user] = known if known.version > point.version else point

    async def put_texts(self, points: Sequence[tuple[TextPoint, Vector]]) -> None:
        """The last one stays."""
        for point, vector in points:
            self.texts[point.tenant_id, point.kind, point.id] = (point, vector)

    async def nearest(
        self, tenant_id: str, points: Sequence[UserPoint], limit: int
    ) -> Sequence[Sequence[Near]]:
        """By all cosines."""
        own = [point for point in self.users.values() if point.user.tenant_id == tenant_id]
        return [self._nearest(own, point, limit) for point in points]

    async def search(
        self, tenant_id: str, vector: Vector, kinds: Sequence[Kind], limit: int
    ) -> Sequence[Found]:
        """By all cosines."""
        found = [
            Found(point, cosine(float(own @ vector)))
            for point, own in self.texts.values()
            if point.tenant_id == tenant_id and point.kind in kinds
        ]
        found.sort(key=lambda each: -each.similarity)
        return found[:limit]

    async def remove_user(self, user: UserKey) -> None:
        """Point and texts."""
        self.users.pop(user, None)
        for key, (point, _) in list(self.texts.items()):
            if (point.tenant_id, point.user_id) == (user.tenant_id, user.user_id):
                del self.texts[key]

    async def healthy(self) -> bool:
        """Always."""
        return True

    def _nearest(self, own: Sequence[UserPoint], point: UserPoint, limit: int) -> list[Near]:
        near = [
            Near(each.user.user_id, cosine(float(each.vector @ point.vector)))
            for each in own
            if each.user != point.user
        ]
        near.sort(key=lambda each: -each.similarity)
        return near[:limit]
