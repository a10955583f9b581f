"""Loads regions from PostgreSQL and stores what a change did to them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import asyncpg
from bus.stores.postgres import Connection

from graph_loader.adapters import postgres_statements as sql
from graph_loader.adapters.rows import (
    campaign_of,
    campaign_row,
    columns_of,
    engaged_of,
    tombstone,
    user_of,
    user_row,
)
from graph_loader.domain import rules
from graph_loader.domain.models import Conversation, Key, Pair, Similar, User
from graph_loader.domain.region import Changes, Reach, Region, pair


class Storing:
    """One change inside an open transaction: it remembers the numbers of what it loaded."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._users: dict[Key, int] = {}
        self._campaigns: dict[Key, int] = {}

    async def load(self, reach: Reach) -> Region:
        """The region that ``reach`` names."""
        region = Region()
        await self._load_users(region, reach)
        await self._load_similar(region, reach)
        await self._load_edges(region, reach)
        hidden = {tombstone(key): key for key in reach.users | (reach.named - region.said.keys())}
        for key, forgotten_at in await self._all(sql.LOAD_TOMBSTONES, list(hidden)):
            region.tombstones[hidden[key]] = forgotten_at
        return region

    async def store(self, made: Changes) -> None:
        """What a change did, in an order in which every edge finds its ends."""
        await self._store_users(made)
        await self._store_wants(made)
        await self._run(sql.DROP_SIMILAR, *columns_of(2, map(self._ends, made.parted)))
        similar = [(*self._ends(ends), edge.weight, edge.at) for ends, edge in made.similar.items()]
        await self._run(sql.PUT_SIMILAR, *columns_of(4, sorted(similar)))
        await self._store_campaigns(made)
        await self._store_engaged(made)
        await self._store_conversations(made)
        marks = sorted((self._users[key], at) for key, at in made.marks.items())
        await self._run(sql.MARK, *columns_of(2, marks))
        stirred = [(*key, at) for key, at in made.stirred.items()]
        if stirred:
            await self._connection.execute(sql.STIR, *columns_of(3, stirred), rules.STIRRED)

    async def _load_users(self, region: Region, reach: Reach) -> None:
        for tenant, user_id, no, *user in await self._found(sql.LOAD_USERS, reach.users):
            key = (tenant, user_id)
            self._users[key] = no
            region.users[key] = user_of(user)
            region.said[key] = user[1]
        for tenant, user_id, no, said_at in await self._found(
            sql.LOAD_NAMED, reach.named - reach.users
        ):
            self._users[tenant, user_id] = no
            region.said[tenant, user_id] = said_at

    async def _load_similar(self, region: Region, reach: Reach) -> None:
        of = self._numbers(reach.neighbours_of)
        for no, other_no, other_id, said_at, weight, at in await self._all(
            sql.LOAD_SIMILAR, list(of)
        ):
            other = (of[no][0], other_id)
            self._users[other] = other_no
            region.link(pair(of[no], other), Similar(weight, at))
            region.said.setdefault(other, said_at)

    async def _load_edges(self, region: Region, reach: Reach) -> None:
        of = self._numbers(reach.engaged_of)
        for no, campaign_no, campaign_id, *times in await self._all(sql.LOAD_ENGAGED, list(of)):
            self._campaigns[of[no][0], campaign_id] = campaign_no
            region.engaged[of[no], campaign_id] = engaged_of(times)
        wanted = [(self._users[key], one) for key, one in reach.conversations if key in self._users]
        whole = list(self._numbers(reach.conversations_of))
        held = await self._all(sql.LOAD_CONVERSATIONS, *columns_of(2, wanted))
        held += await self._all(sql.LOAD_CONVERSATIONS_OF, whole)
        users = {no: key for key, no in self._users.items()} if held else {}
        for no, conversation_id, *parts in held:
            region.conversations[users[no], conversation_id] = Conversation(*parts)
        for tenant, campaign_id, no, *campaign in await self._found(
            sql.LOAD_CAMPAIGNS, reach.campaigns
        ):
            self._campaigns[tenant, campaign_id] = no
            region.campaigns[tenant, campaign_id] = campaign_of(campaign)

    async def _store_users(self, made: Changes) -> None:
        await self._run(sql.REMOVE_USERS, [self._users[key] for key in made.gone])
        put = {**dict.fromkeys(made.named, User()), **made.users}
        rows = [tuple(user_row(key, put[key]).values())[1:] for key in sorted(put)]
        for tenant, user_id, no in await self._all(sql.PUT_USERS, *columns_of(8, rows)):
            self._users[tenant, user_id] = no
        buried = [(tombstone(key), at) for key, at in made.tombstones.items()]
        await self._run(sql.PUT_TOMBSTONES, *columns_of(2, sorted(buried)))

    async def _store_wants(self, made: Changes) -> None:
        await self._run(sql.DROP_WANTS, [self._users[key] for key in made.wants])
        rows = [
            (self._users[key], key[0], wish.intent, wish.score, made.users[key].said_at)
            for key, wishes in made.wants.items()
            for wish in wishes
        ]
        await self._run(sql.PUT_WANTS, *columns_of(5, rows))

    async def _store_campaigns(self, made: Changes) -> None:
        rows = [
            tuple(campaign_row(key, made.campaigns[key]).values())[1:]
            for key in sorted(made.campaigns)
        ]
        for tenant, campaign_id, no in await self._all(sql.PUT_CAMPAIGNS, *columns_of(6, rows)):
            self._campaigns[tenant, campaign_id] = no
        await self._run(sql.DROP_TARGETS, [self._campaigns[key] for key in made.targets])
        targets = [
            (key[0], intent, self._campaigns[key])
            for key, intents in made.targets.items()
            for intent in intents
        ]
        await self._run(sql.PUT_TARGETS, *columns_of(3, targets))

    async def _store_engaged(self, made: Changes) -> None:
        left = [(self._users[user], self._campaigns[user[0], one]) for user, one in made.left]
        await self._run(sql.DROP_ENGAGED, *columns_of(2, left))
        engaged = [
            (self._users[user], self._campaigns[user[0], one], *edge.at, *edge.taken)
            for (user, one), edge in made.engaged.items()
        ]
        await self._run(sql.PUT_ENGAGED, *columns_of(10, engaged))
        shared = [(*key, by) for key, by in sorted(made.shared.items())]
        await self._run(sql.ADD_SHARED, *columns_of(4, shared))
        fans = [(*key, by) for key, by in sorted(made.fans.items())]
        await self._run(sql.ADD_FANS, *columns_of(3, fans))

    async def _store_conversations(self, made: Changes) -> None:
        closed = [(self._users[user], one) for user, one in made.closed]
        await self._run(sql.DROP_CONVERSATIONS, *columns_of(2, closed))
        rows = [
            (self._users[user], conversation_id, one.taken_at, one.event_id, one.file, one.line)
            for (user, conversation_id), one in made.conversations.items()
        ]
        await self._run(sql.PUT_CONVERSATIONS, *columns_of(6, rows))

    def _ends(self, ends: Pair) -> tuple[int, int]:
        one, other = sorted((self._users[ends[0]], self._users[ends[1]]))
        return one, other

    def _numbers(self, keys: Collection[Key]) -> dict[int, Key]:
        return {self._users[key]: key for key in keys if key in self._users}

    async def _found(self, statement: str, keys: Collection[Key]) -> list[asyncpg.Record]:
        return await self._all(statement, *columns_of(2, keys))

    async def _all(self, statement: str, *columns: list[Any]) -> list[asyncpg.Record]:
        return await self._connection.fetch(statement, *columns) if columns[0] else []

    async def _run(self, statement: str, *columns: list[Any]) -> None:
        if columns[0]:
            await self._connection.execute(statement, *columns)
