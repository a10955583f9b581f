"""The graph on Neo4j, by its asynchronous driver. One driver per process."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bus.errors import Transient, Unavailable
from neo4j import (
    READ_ACCESS,
    AsyncDriver,
    AsyncGraphDatabase,
    AsyncManagedTransaction,
    AsyncResult,
    TrustCustomCAs,
)
from neo4j.exceptions import (
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from graph_loader.adapters import neo4j_statements as cypher
from graph_loader.adapters.migration import pending
from graph_loader.adapters.neo4j_storing import steps
from graph_loader.adapters.rows import (
    answer_row,
    campaign_of,
    cites_rows,
    deeds,
    edge_of,
    engaged_of,
    intents_of,
    joined,
    key_of,
    names_rows,
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
from graph_loader.domain.region import Reach, Region, changes, pair

RETRY_SECONDS = 5.0
ENGINE = "neo4j"
Auth = tuple[str, str] | None


class Neo4jGraph:
    """One managed transaction for each change; a statement takes all rows of a batch."""

    def __init__(self, driver: AsyncDriver, database: str | None = None) -> None:
        self._driver = driver
        self._database = database

    @classmethod
    async def connect(
        cls,
        url: str,
        auth: Auth = None,
        database: str | None = None,
        ca_file: Path | None = None,
    ) -> Neo4jGraph:
        """Connect and bring the graph up to date. Raises Unavailable, NewerGraph.

        ``ca_file`` (PEM) takes the place of the system's CAs for a URL with ``+s``.
        """
        address, trust = _trusting(url, ca_file)
        driver = AsyncGraphDatabase.driver(
            address,
            **trust,
            auth=auth,
            max_transaction_retry_time=RETRY_SECONDS,
            connection_timeout=RETRY_SECONDS,
            connection_acquisition_timeout=RETRY_SECONDS,
            notifications_min_severity="OFF",
        )
        graph = cls(driver, database)
        try:
            await graph._migrate()
        except BaseException:
            await driver.close()
            raise
        return graph

    async def change(self, reach: Reach, decide: Decide) -> None:
        async def work(transaction: AsyncManagedTransaction) -> None:
            await _run(transaction, cypher.LOCK, keys=reach.tenants, turn=time.time_ns())
            region = await _loaded(transaction, reach)
            before = region.copy()
            decide(region)
            for name, rows in steps(changes(before, region)):
                if rows:
                    more = {"most": rules.STIRRED} if name == "STIR" else {}
                    await _run(transaction, getattr(cypher, name), rows=rows, **more)

        with _translated():
            async with self._driver.session(database=self._database) as session:
                await session.execute_write(work)

    async def people(self, users: Collection[Key]) -> Mapping[Key, Person]:
        keys = [joined(*key) for key in users]
        rows = await self._read(cypher.PEOPLE, keys=keys, neighbours=rules.NEIGHBOURS)
        return {key_of(row[0]): _person(row) for row in rows}

    async def offers(self, wanted: Wanted) -> Offers:
        shared = dict.fromkeys(wanted.engaged, ())
        found = await self._about(cypher.RELATED, wanted.engaged, rules.RELATED)
        targeting = await self._about(cypher.TARGETING, wanted.intents, rules.OFFERED)
        deleted = await self._about(cypher.DELETED, wanted.near, 0)
        return Offers(
            shared | {key_of(key): tuple(Shared(*one) for one in alike) for key, alike in found},
            dict.fromkeys(wanted.intents, ())
            | {key_of(key): tuple(campaigns) for key, campaigns in targeting},
            frozenset(map(key_of, deleted)),
        )

    async def remember(self, affinities: Sequence[Affinity]) -> None:
        rows = [
            {
                "key": joined(*one.key),
                "version": one.version,
                "shown": one.shown,
                "marks": one.marks,
                "read_at": one.read_at,
            }
            for one in sorted(affinities, key=lambda one: one.key)
        ]
        if rows:
            await self._write(cypher.REMEMBER, rows=rows)

    async def waiting(self, limit: int) -> Sequence[Key]:
        return [key_of(key) for key in await self._read(cypher.WAITING, most=limit)]

    async def backlog(self) -> Backlog:
        return Backlog(*await self._read(cypher.BACKLOG))

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        chosen = {joined(one.tenant_id, str(one.completion_id)): one for one in newest(answers)}

        async def work(transaction: AsyncManagedTransaction) -> None:
            rows = {key: answer_row(one) for key, one in chosen.items()}
            put = await _run(transaction, cypher.PUT_ANSWERS, rows=list(rows.values()))
            known = [key for key, was_there in put if was_there]
            taken = [key for key, _ in put]
            names = [row for key in taken for row in names_rows(chosen[key])]
            cites = [row for key in taken for row in cites_rows(chosen[key])]
            if known:
                await _run(transaction, cypher.DROP_ANSWERED, rows=known)
            await _run(transaction, cypher.PUT_ASKED, rows=[rows[key] for key in taken])
            await _run(transaction, cypher.PUT_NAMES, rows=names)
            await _run(transaction, cypher.PUT_CITES, rows=cites)

        with _translated():
            async with self._driver.session(database=self._database) as session:
                await session.execute_write(work)

    async def healthy(self) -> bool:
        return bool(await self._read(cypher.PING))

    async def close(self) -> None:
        await self._driver.close()

    async def _about(self, statement: str, keys: Collection[Key], most: int) -> list[Any]:
        if not keys:
            return []
        return await self._read(statement, keys=[joined(*key) for key in keys], most=most)

    async def _read(self, statement: str, **values: Any) -> list[Any]:
        """A transaction of its own: one round trip, and whoever asked asks again."""
        with _translated():
            async with self._driver.session(
                database=self._database, default_access_mode=READ_ACCESS
            ) as session:
                return await _rows(await session.run(statement, values))

    async def _write(self, statement: str, **values: Any) -> None:
        with _translated():
            async with self._driver.session(database=self._database) as session:
                await session.execute_write(_run, statement, **values)

    async def _migrate(self) -> None:
        with _translated():
            async with self._driver.session(database=self._database) as session:
                applied = await _rows(await session.run(cypher.APPLIED))
                for migration in pending(ENGINE, applied):
                    for statement in migration.statements:
                        await (await session.run(statement)).consume()
                    await (await session.run(cypher.APPLY, name=migration.name)).consume()


async def _run(transaction: AsyncManagedTransaction, /, statement: str, **values: Any) -> list[Any]:
    return await _rows(await transaction.run(statement, values))


async def _rows(result: AsyncResult) -> list[Any]:
    """The list in the only record of a reading statement; a writing one has none."""
    return [row async for record in result for row in record[0]]


async def _loaded(transaction: AsyncManagedTransaction, reach: Reach) -> Region:
    region = Region()

    async def found(statement: str, keys: Collection[Any]) -> list[Any]:
        if not keys:
            return []
        return await _run(transaction, statement, keys=[_flat(key) for key in keys])

    for key, user in await found(cypher.LOAD_USERS, reach.users):
        region.users[key_of(key)] = user_of(user)
        region.said[key_of(key)] = user[1]
    for key, said_at in await found(cypher.LOAD_NAMED, reach.named - reach.users):
        region.said[key_of(key)] = said_at
    for key, other, weight, at, said_at in await found(cypher.LOAD_SIMILAR, reach.neighbours_of):
        region.link(pair(key_of(key), key_of(other)), Similar(weight, at))
        region.said.setdefault(key_of(other), said_at)
    for key, campaign_id, times in await found(cypher.LOAD_ENGAGED, reach.engaged_of):
        region.engaged[key_of(key), campaign_id] = engaged_of(times)
    held = await found(cypher.LOAD_CONVERSATIONS, reach.conversations)
    held += await found(cypher.LOAD_CONVERSATIONS_OF, reach.conversations_of)
    for key, conversation in held:
        region.conversations[edge_of(key)] = Conversation(*conversation)
    for key, campaign in await found(cypher.LOAD_CAMPAIGNS, reach.campaigns):
        region.campaigns[key_of(key)] = campaign_of(campaign)
    hidden = {tombstone(key): key for key in reach.users | (reach.named - region.said.keys())}
    if hidden:
        rows = await _run(transaction, cypher.LOAD_TOMBSTONES, keys=list(hidden))
        region.tombstones = {hidden[key]: at for key, at in rows}
    return region


def _flat(key: Any) -> str:
    """A key, or an edge's key, as one text."""
    first, last = key
    return joined(first, last) if isinstance(first, str) else joined(*first, last)


def _person(row: Sequence[Any]) -> Person:
    _, user, marks, stale_at, version, shown, engaged, neighbours = row
    return Person(
        user=user_of(user),
        engaged=deeds(engaged),
        neighbours=tuple(
            Neighbour(user_id, weight, intents_of(wants), deeds(edges))
            for user_id, weight, wants, edges in neighbours
        ),
        marks=marks,
        stale_at=stale_at,
        affinity_version=version,
        shown=shown,
    )


def _trusting(url: str, ca_file: Path | None) -> tuple[str, dict[str, Any]]:
    """The driver takes a CA only beside a URL that leaves TLS open."""
    if ca_file is None:
        return url, {}
    trust = {"encrypted": True, "trusted_certificates": TrustCustomCAs(str(ca_file))}
    return url.replace("+s://", "://", 1), trust


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into the bus's: down is Unavailable, a lost race Transient."""
    try:
        yield
    except (ServiceUnavailable, SessionExpired, OSError) as error:
        raise Unavailable(f"Neo4j: {type(error).__name__}: {error}") from error
    except TransientError as error:
        lost_race = str(error.code).startswith("Neo.TransientError.Transaction")
        kind = Transient if lost_race else Unavailable
        raise kind(f"Neo4j: {error.code}: {error.message}") from error
    except DriverError as error:
        raise Unavailable(f"Neo4j: {type(error).__name__}: {error}") from error
    except Neo4jError as error:
        if str(error.code).startswith(("Neo.ClientError.Security", "Neo.DatabaseError")):
            raise Unavailable(f"Neo4j: {error.code}: {error.message}") from error
        raise
