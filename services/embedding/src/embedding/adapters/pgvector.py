"""The vector index on PostgreSQL with pgvector: HNSW, by cosine, for all tenants together.

A tenant with few rows, or with a small share of all, is compared exactly: an index of all tenants
would be walked through for a long time before it comes upon enough of that one.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np
from bus.stores.postgres import COMMAND_SECONDS, Connection, Pool, translated

from embedding.adapters.documents import point_in, point_out
from embedding.domain.models import Found, Kind, Near, TextPoint, UserKey, UserPoint, Vector
from embedding.domain.recent import Recent
from embedding.domain.rules import cosine

FEW = 3000
"""Rows of a tenant that are compared one by one: it takes about a millisecond."""
SOME, SHARE = 20_000, 10
"""So many are too if they are less than one in ``SHARE`` of all."""
COUNT_SECONDS, COUNTED = 5.0, 1000
"""How long a tenant's number of rows holds, and of how many tenants it is kept."""
CANDIDATES = 100
"""What the index is asked for at least: the more, the less it misses (``hnsw.ef_search``)."""


class PgVectorIndex:
    """Every statement is a transaction of its own: what is put is durable on return."""

    def __init__(self, pool: Pool, model: str) -> None:
        self._pool = pool
        self._model = model
        self._few: Recent[tuple[str, str], tuple[float, bool]] = Recent(COUNTED)

    @classmethod
    async def open(cls, dsn: str, model: str, application: str) -> PgVectorIndex:
        """Connect. Raises Unavailable if the server cannot be reached."""
        with translated():
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=5,
                command_timeout=COMMAND_SECONDS,
                init=_learn_vectors,
                server_settings={
                    "application_name": f"{application} vectors",
                    "hnsw.ef_search": str(CANDIDATES),
                    # Go on until there are enough of the tenant, not of all tenants.
                    "hnsw.iterative_scan": "relaxed_order",
                },
            )
        return cls(pool, model)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def put_users(self, points: Sequence[UserPoint]) -> None:
        """In one order, so that no two writers deadlock."""
        own = sorted({point.user: point for point in points}.values(), key=lambda each: each.user)
        await self._fetch(
            "INSERT INTO user_vectors AS u (tenant_id, user_id, version, embedding_model, vector) "
            "SELECT tenant, usr, version, $5, vector FROM unnest($1::text[], $2::text[], "
            "$3::bigint[], $4::vector[]) AS row (tenant, usr, version, vector) "
            "ON CONFLICT (tenant_id, user_id) DO UPDATE SET version = excluded.version, "
            "embedding_model = excluded.embedding_model, vector = excluded.vector "
            "WHERE u.version <= excluded.version",
            [point.user.tenant_id for point in own],
            [point.user.user_id for point in own],
            [point.version for point in own],
            [_binary(point.vector) for point in own],
            self._model,
        )

    async def put_texts(self, points: Sequence[tuple[TextPoint, Vector]]) -> None:
        """In one order, so that no two writers deadlock."""
        own = {(point.tenant_id, point.kind, point.id): (point, vec) for point, vec in points}
        pairs = [own[key] for key in sorted(own)]
        await self._fetch(
            "INSERT INTO text_vectors (tenant_id, kind, id, user_id, embedding_model, point, "
            "vector) SELECT tenant, kind, id, usr, $7, point::jsonb, vector FROM unnest("
            "$1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::vector[]) "
            "AS row (tenant, kind, id, usr, point, vector) "
            "ON CONFLICT (tenant_id, kind, id) DO UPDATE SET point = excluded.point, "
            "embedding_model = excluded.embedding_model, vector = excluded.vector",
            [point.tenant_id for point, _ in pairs],
            [point.kind for point, _ in pairs],
            [point.id for point, _ in pairs],
            [point.user_id for point, _ in pairs],
            [json.dumps(point_out(point)) for point, _ in pairs],
            [_binary(vector) for _, vector in pairs],
            self._model,
        )

    async def nearest(
        self, tenant_id: str, points: Sequence[UserPoint], limit: int
    ) -> Sequence[Sequence[Near]]:
        few = await self._has_few("user_vectors", tenant_id)
        rows = await self._fetch(
            _NEAREST_OF_FEW if few else _NEAREST,
            tenant_id,
            self._model,
            [point.user.user_id for point in points],
            [_binary(point.vector) for point in points],
            limit,
        )
        found: list[list[Near]] = [[] for _ in points]
        for row in rows:
            found[row["n"] - 1].append(Near(row["user_id"], cosine(row["similarity"])))
        return found

    async def search(
        self, tenant_id: str, vector: Vector, kinds: Sequence[Kind], limit: int
    ) -> Sequence[Found]:
        few = await self._has_few("text_vectors", tenant_id)
        rows = await self._fetch(
            _SEARCH_OF_FEW if few else _SEARCH,
            tenant_id,
            self._model,
            list(kinds),
            _binary(vector),
            limit,
        )
        return [
            Found(
                point_in(
                    tenant_id, row["kind"], row["id"], row["user_id"], json.loads(row["point"])
                ),
                cosine(row["similarity"]),
            )
            for row in rows
        ]

    async def remove_user(self, user: UserKey) -> None:
        await self._fetch(
            "WITH texts AS (DELETE FROM text_vectors WHERE tenant_id = $1 AND user_id = $2) "
            "DELETE FROM user_vectors WHERE tenant_id = $1 AND user_id = $2",
            user.tenant_id,
            user.user_id,
        )

    async def healthy(self) -> bool:
        return bool(await self._pool.fetchval("SELECT true"))

    async def _has_few(self, table: str, tenant_id: str) -> bool:
        """Whether the tenant's rows are to be compared one by one, as of some seconds ago."""
        counted_at, few = self._few.get((table, tenant_id), (-COUNT_SECONDS, True))
        now = time.monotonic()
        if now - counted_at < COUNT_SECONDS:
            return few
        rows = await self._fetch(
            f"SELECT count(*) AS own, (SELECT reltuples FROM pg_class WHERE oid = '{table}'"  # noqa: S608 - our constant
            f"::regclass) AS total FROM (SELECT FROM {table} WHERE tenant_id = $1 LIMIT $2) AS own",
            tenant_id,
            SOME + 1,
        )
        own, total = rows[0]["own"], rows[0]["total"]
        few = bool(own <= FEW or (own <= SOME and own * SHARE < total))
        self._few[table, tenant_id] = (now, few)
        return few

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        with translated():
            return await self._pool.fetch(sql, *arguments)


_OWN_USERS = (
    "WITH own AS MATERIALIZED (SELECT user_id, vector FROM user_vectors "
    "WHERE tenant_id = $1 AND embedding_model = $2) "
)
_WANTED = "FROM unnest($3::text[], $4::vector[]) WITH ORDINALITY AS wanted (usr, vector, n) "
_NEAREST_OF_FEW = (
    f"{_OWN_USERS} SELECT n, near.* {_WANTED} CROSS JOIN LATERAL (SELECT user_id, "  # noqa: S608
    "1 - (own.vector <=> wanted.vector) AS similarity FROM own WHERE user_id <> usr "
    "ORDER BY own.vector <=> wanted.vector LIMIT $5) AS near ORDER BY n, similarity DESC"
)
_NEAREST = (
    f"SELECT n, near.* {_WANTED} CROSS JOIN LATERAL (SELECT user_id, "  # noqa: S608 - a constant
    "1 - (u.vector <=> wanted.vector) AS similarity FROM user_vectors AS u "
    "WHERE tenant_id = $1 AND embedding_model = $2 AND user_id <> usr "
    "ORDER BY u.vector::halfvec(384) <=> wanted.vector::halfvec(384) LIMIT $5) AS near "
    "ORDER BY n, similarity DESC"
)
_POINT = "kind, id, user_id, point, 1 - (t.vector <=> $4::vector) AS similarity"
_OWN_TEXTS = (
    "FROM text_vectors AS t WHERE tenant_id = $1 AND embedding_model = $2 AND kind = ANY($3)"
)
_SEARCH_OF_FEW = (
    f"WITH t AS MATERIALIZED (SELECT * {_OWN_TEXTS}) SELECT {_POINT} FROM t "  # noqa: S608
    "ORDER BY t.vector <=> $4::vector LIMIT $5"
)
_SEARCH = (
    f"SELECT * FROM (SELECT {_POINT} {_OWN_TEXTS} "  # noqa: S608 - a constant
    "ORDER BY t.vector::halfvec(384) <=> $4::vector::halfvec(384) LIMIT $5) AS near "
    "ORDER BY similarity DESC"
)


async def _learn_vectors(connection: Connection) -> None:
    """Vectors go to the server as they lie in memory; none is ever read back."""
    await connection.set_type_codec("vector", encoder=_as_it_is, decoder=_as_it_is, format="binary")


def _as_it_is(value: bytes) -> bytes:
    return value


def _binary(vector: Vector) -> bytes:
    """A vector in pgvector's own format: its length, a zero, and the numbers in network order."""
    numbers: bytes = np.asarray(vector, dtype=">f4").tobytes()
    return struct.pack(">HH", len(vector), 0) + numbers
