"""The graph in a file, on the embedded engine ladybug: one process, no server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from graph_loader.adapters import ladybug_statements as cypher
from graph_loader.adapters.ladybug_session import Session
from graph_loader.adapters.ladybug_storing import add_answer, store
from graph_loader.adapters.rows import (
    campaign_of,
    deeds,
    edge_of,
    engaged_of,
    intents_of,
    joined,
    key_of,
    newest,
    tombstone,
    user_of,
)
from graph_loader.domain import rules
from graph_loader.domain.models import (
    Affinity,
    Answer,
    Backlog,
    Conversation,
    Key,
    Neighbour,
    Offers,
    Person,
    Shared,
    Similar,
    Wanted,
)
from graph_loader.domain.ports import Decide
from graph_loader.domain.region import Changes, Reach, Region, changes, pair

ANSWERS = 25
"""Answers stored at a time: what users wait for comes in between."""


class LadybugGraph:
    """Everything goes through the one thread of the file.

    Who waits is kept in memory, too, oldest first: the engine has no index to find them by.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stale: dict[str, int] = {}
        self._marks: Counter[str] = Counter()

    @classmethod
    async def open(cls, path: Path) -> LadybugGraph:
        """Open a file, made if it is not there. Raises GraphInUse, NewerGraph."""
        graph = cls(await Session.open(path))
        await graph._session.run(graph._load_waiting)
        return graph

    async def change(self, reach: Reach, decide: Decide) -> None:
        def work() -> None:
            with self._session.transaction():
                region = _loaded(self._session.rows, reach)
                before = region.copy()
                decide(region)
                made = changes(before, region)
                store(self._session.rows, before, made)
                fresh = self._newly_stale(made)
                for key, at in fresh.items():
                    self._session.rows(cypher.ADD_WAITING, key=key, at=at)
            self._note(made, fresh)

        await self._session.run(work)

    async def people(self, users: Collection[Key]) -> Mapping[Key, Person]:
        def work() -> Mapping[Key, Person]:
            found = {key: self._person(joined(*key)) for key in users}
            return {key: person for key, person in found.items() if person is not None}

        return await self._session.run(work)

    async def offers(self, wanted: Wanted) -> Offers:
        rows = self._session.rows

        def work() -> Offers:
            shared = {
                key: tuple(Shared(*row) for row in _about(rows, cypher.RELATED, key, rules.RELATED))
                for key in wanted.engaged
            }
            targeting = {
                key: tuple(row[0] for row in _about(rows, cypher.TARGETING, key, rules.OFFERED))
                for key in wanted.intents
            }
            deleted = [key for key in wanted.near if rows(cypher.DELETED, key=joined(*key))]
            return Offers(shared, targeting, frozenset(deleted))

        return await self._session.run(work)

    async def remember(self, affinities: Sequence[Affinity]) -> None:
        def work() -> None:
            with self._session.transaction():
                known = [one for one in affinities if self._publish(one)]
                later = [self._settled(one) for one in known]
            for key, stale_at in later:
                if self._stale.pop(key, 0) and stale_at:
                    self._stale[key] = stale_at

        await self._session.run(work)

    async def waiting(self, limit: int) -> Sequence[Key]:
        def work() -> Sequence[Key]:
            return [key_of(key) for key in islice(self._stale, limit)]

        return await self._session.run(work)

    async def backlog(self) -> Backlog:
        def work() -> Backlog:
            return Backlog(len(self._stale), next(iter(self._stale.values()), 0))

        return await self._session.run(work)

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        chosen = newest(answers)
        for start in range(0, len(chosen), ANSWERS):
            await self._add_some(chosen[start : start + ANSWERS])

    async def healthy(self) -> bool:
        return bool(await self._session.run(lambda: self._session.rows(cypher.PING)))

    async def close(self) -> None:
        await self._session.close()

    async def _add_some(self, answers: Sequence[Answer]) -> None:
        def work() -> None:
            with self._session.transaction():
                for answer in answers:
                    add_answer(self._session.rows, answer)

        await self._session.run(work)

    def _person(self, key: str) -> Person | None:
        found = self._session.rows(cypher.PERSON, key=key)
        if not found:
            return None
        *user, version, shown = found[0]
        return Person(
            user=user_of(user),
            engaged=deeds(self._session.rows(cypher.DEEDS, key=key)),
            neighbours=self._neighbours(key),
            marks=self._marks[key],
            stale_at=self._stale.get(key, 0),
            affinity_version=version,
            shown=shown,
        )

    def _neighbours(self, key: str) -> tuple[Neighbour, ...]:
        found = self._session.rows(cypher.NEIGHBOURS, key=key)
        found.sort(key=lambda row: (-row[1], row[0]))
        strongest = found[: rules.NEIGHBOURS]
        done: dict[str, list[list[Any]]] = {user_id: [] for user_id, _, _ in strongest}
        for user_id, deleted, *deed in self._session.rows(cypher.NEIGHBOURS_DEEDS, key=key):
            if user_id in done and not deleted:
                done[user_id].append(deed)
        return tuple(
            Neighbour(user_id, weight, intents_of(wants), deeds(done[user_id]))
            for user_id, weight, wants in strongest
        )

    def _publish(self, one: Affinity) -> bool:
        """Keep what is told of a user; whether the user is there."""
        key = joined(*one.key)
        found = self._session.rows(cypher.PUBLISHED, key=key)
        if found and found[0][0] < one.version:
            self._session.rows(cypher.SET_PUBLISHED, key=key, version=one.version, shown=one.shown)
        return bool(found)

    def _settled(self, one: Affinity) -> tuple[str, int]:
        """A user who waits no longer (0), or since the reading only."""
        key = joined(*one.key)
        stale_at = 0 if self._marks[key] == one.marks else one.read_at
        if key in self._stale:
            if stale_at:
                self._session.rows(cypher.SET_WAITING, key=key, at=stale_at)
            else:
                self._session.rows(cypher.DROP_WAITING, key=key)
        return key, stale_at

    def _newly_stale(self, made: Changes) -> dict[str, int]:
        marked = {joined(*key): at for key, at in made.marks.items()}
        for intent, at in made.stirred.items():
            for (key,) in _about(self._session.rows, cypher.WANTING, intent, rules.STIRRED):
                marked.setdefault(key, at)
                made.marks.setdefault(key_of(key), at)
        return {key: at for key, at in marked.items() if key not in self._stale}

    def _note(self, made: Changes, fresh: Mapping[str, int]) -> None:
        """In memory once it is stored."""
        for key in made.gone:
            self._stale.pop(joined(*key), None)
            del self._marks[joined(*key)]
        self._stale |= fresh
        self._marks.update(joined(*key) for key in made.marks)

    def _load_waiting(self) -> None:
        rows = self._session.rows(cypher.LOAD_WAITING)
        self._stale = dict(sorted(rows, key=lambda row: (row[1], row[0])))


def _about(rows: Callable[..., list[Any]], statement: str, key: Key, most: int) -> list[list[Any]]:
    return rows(statement, key=joined(*key), most=most)


def _loaded(rows: Callable[..., list[Any]], reach: Reach) -> Region:
    region = Region()
    for key in reach.users:
        for user in rows(cypher.LOAD_USER, key=joined(*key)):
            region.users[key] = user_of(user)
            region.said[key] = user[1]
    for key in reach.neighbours_of:
        for other, weight, at, said_at in rows(cypher.LOAD_SIMILAR, key=joined(*key)):
            region.link(pair(key, key_of(other)), Similar(weight, at))
            region.said.setdefault(key_of(other), said_at)
    for key in reach.named - region.said.keys():
        for (said_at,) in rows(cypher.LOAD_NAMED, key=joined(*key)):
            region.said[key] = said_at
    for key in reach.users | (reach.named - region.said.keys()):
        for (forgotten_at,) in rows(cypher.LOAD_TOMBSTONE, key=tombstone(key)):
            region.tombstones[key] = forgotten_at
    _load_edges(rows, reach, region)
    return region


def _load_edges(rows: Callable[..., list[Any]], reach: Reach, region: Region) -> None:
    for key in reach.engaged_of:
        for campaign_id, *times in rows(cypher.LOAD_ENGAGED, key=joined(*key)):
            region.engaged[key, campaign_id] = engaged_of(times)
    held = [
        row
        for user, other in reach.conversations
        for row in rows(cypher.LOAD_CONVERSATION, key=joined(*user, other))
    ]
    for key in reach.conversations_of:
        held += rows(cypher.LOAD_CONVERSATIONS_OF, key=joined(*key))
    for conversation, *parts in held:
        region.conversations[edge_of(conversation)] = Conversation(*parts)
    for key in reach.campaigns:
        for campaign in rows(cypher.LOAD_CAMPAIGN, key=joined(*key)):
            region.campaigns[key] = campaign_of(campaign)
