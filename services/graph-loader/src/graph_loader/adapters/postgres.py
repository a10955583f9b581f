"""The graph on PostgreSQL, for where there is no Neo4j: edges are rows, a hop is a join."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from bus.migrate import NewerSchema, migrate
from bus.stores.postgres import Connection, Pool, connect, translated

from graph_loader.adapters import postgres_statements as sql
from graph_loader.adapters.migration import MIGRATIONS
from graph_loader.adapters.postgres_storing import Storing
from graph_loader.adapters.rows import columns_of, deeds, intents_of, newest, storable, user_of
from graph_loader.domain import rules
from graph_loader.domain.errors import NewerGraph
from graph_loader.domain.models import (
    Affinity,
    Answer,
    Backlog,
    Key,
    Neighbour,
    Offers,
    Person,
    Shared,
    Wanted,
)
from graph_loader.domain.ports import Decide
from graph_loader.domain.region import Reach, changes

Record = asyncpg.Record


class PostgresGraph:
    """Plain SQL, all rows of a batch in one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, dsn: str, application: str, folder: Path = MIGRATIONS) -> PostgresGraph:
        """Connect and bring the database up to date. Raises Unavailable, NewerGraph."""
        try:
            await migrate(dsn, folder, with_inbox=False)
        except NewerSchema as error:
            raise NewerGraph(str(error)) from error
        return cls(await connect(dsn, application))

    async def change(self, reach: Reach, decide: Decide) -> None:
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql.LOCK, reach.tenants)
                storing = Storing(connection)
                region = await storing.load(reach)
                before = region.copy()
                decide(region)
                await storing.store(changes(before, region))

    async def people(self, users: Collection[Key]) -> Mapping[Key, Person]:
        with translated():
            async with self._pool.acquire() as connection:
                nodes = await _about(connection, sql.PEOPLE, users)
                mine = [row[2] for row in nodes]
                near: dict[int, list[Record]] = {no: [] for no in mine}
                for row in await connection.fetch(sql.NEIGHBOURS, mine, rules.NEIGHBOURS):
                    near[row[0]].append(row)
                others = {row[1] for rows in near.values() for row in rows}
                done: dict[int, list[Record]] = {}
                for row in await connection.fetch(sql.DEEDS, list(others.union(mine))):
                    done.setdefault(row[0], []).append(row)
        return {(row[0], row[1]): _person(row, near[row[2]], done) for row in nodes}

    async def offers(self, wanted: Wanted) -> Offers:
        shared: dict[Key, list[Shared]] = {key: [] for key in wanted.engaged}
        targeting: dict[Key, list[str]] = {key: [] for key in wanted.intents}
        with translated():
            async with self._pool.acquire() as connection:
                alike = await _about(connection, sql.RELATED, wanted.engaged, rules.RELATED)
                offered = await _about(connection, sql.TARGETING, wanted.intents, rules.OFFERED)
                deleted = await _about(connection, sql.DELETED, wanted.near)
        for tenant, mine, *found in alike:
            shared[tenant, mine].append(Shared(*found))
        for tenant, intent, campaign_id in offered:
            targeting[tenant, intent].append(campaign_id)
        return Offers(
            {key: tuple(found) for key, found in shared.items()},
            {key: tuple(found) for key, found in targeting.items()},
            frozenset((tenant, campaign_id) for tenant, campaign_id in deleted),
        )

    async def remember(self, affinities: Sequence[Affinity]) -> None:
        rows = [(*one.key, one.version, one.shown, one.marks, one.read_at) for one in affinities]
        if rows:
            with translated():
                await self._pool.execute(sql.REMEMBER, *map(list, zip(*rows, strict=True)))

    async def waiting(self, limit: int) -> Sequence[Key]:
        rows = await self._fetch(sql.WAITING, limit)
        return [(tenant, user_id) for tenant, user_id in rows]

    async def backlog(self) -> Backlog:
        ((waiting, oldest),) = await self._fetch(sql.BACKLOG)
        return Backlog(waiting, oldest)

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        chosen = {(one.tenant_id, one.completion_id): one for one in newest(answers)}
        columns = columns_of(7, map(_answer, chosen.values()))
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                if not chosen:
                    return
                put = await connection.fetch(sql.PUT_ANSWERS, *columns)
                taken = {no: chosen[tenant, completion] for tenant, completion, no in put}
                await connection.execute(sql.DROP_NAMES, list(taken))
                await connection.execute(sql.DROP_CITES, list(taken))
                await connection.execute(sql.PUT_NAMES, *_names(taken))
                await connection.execute(sql.PUT_CITES, *_cites(taken))

    async def healthy(self) -> bool:
        return bool(await self._pool.fetchval("SELECT true"))

    async def close(self) -> None:
        await self._pool.close()

    async def _fetch(self, statement: str, *values: Any) -> list[Record]:
        with translated():
            return await self._pool.fetch(statement, *values)


async def _about(
    connection: Connection, statement: str, keys: Collection[Key], *more: Any
) -> list[Record]:
    if not keys:
        return []
    tenants, ids = zip(*keys, strict=True)
    return await connection.fetch(statement, tenants, ids, *more)


def _person(row: Record, near: Sequence[Record], done: Mapping[int, Sequence[Record]]) -> Person:
    _, _, no, *user, marks, stale_at, version, shown = row
    return Person(
        user=user_of(user),
        engaged=deeds(list(one[2:]) for one in done.get(no, ())),
        neighbours=tuple(
            Neighbour(
                user_id,
                weight,
                intents_of(wants),
                deeds(list(one[2:]) for one in done.get(other, ()) if not one[1]),
            )
            for _, other, user_id, weight, wants in near
        ),
        marks=marks,
        stale_at=stale_at,
        affinity_version=version,
        shown=shown,
    )


def _answer(answer: Answer) -> tuple[Any, ...]:
    return (
        answer.tenant_id,
        answer.completion_id,
        answer.revision,
        answer.analyzed_at,
        answer.prompt_id,
        answer.model,
        answer.simulated,
    )


def _names(taken: Mapping[int, Answer]) -> list[list[Any]]:
    rows = [
        (no, answer.tenant_id, one.brand_id, one.outcome, one.rank, one.sentiment)
        for no, answer in taken.items()
        for one in answer.names
    ]
    return columns_of(6, rows)


def _cites(taken: Mapping[int, Answer]) -> list[list[Any]]:
    rows = [
        (no, answer.tenant_id, domain)
        for no, answer in taken.items()
        for domain in sorted(set(map(storable, answer.domains)))
    ]
    return columns_of(3, rows)
