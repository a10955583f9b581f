"""Finding and putting in Milvus, in threads of its own.

Milvus Lite loses acknowledged rows if it is written to at once from several threads and the
process then dies: one thread does all its work, and what is put is flushed. A server needs
neither: it has a log of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
from bus.errors import Transient, Unavailable
from pymilvus import MilvusClient, MilvusException
from pymilvus.exceptions import ErrorCode

from embedding.adapters.milvus.collections import (
    Row,
    create,
    digest,
    text_point,
    text_row,
    texts_schema,
    user_digest,
    user_row,
    users_schema,
)
from embedding.domain.models import Found, Kind, Near, TextPoint, UserKey, UserPoint, Vector
from embedding.domain.rules import cosine

T = TypeVar("T")
THREADS = 4
SECONDS = 30.0
CANDIDATES = 100
"""What the index is asked for at least: the more, the less it misses (``ef``)."""
NO_CONNECTION = 2
NOT_LOADED = 101
_BUSY = {NO_CONNECTION, ErrorCode.RATE_LIMIT, ErrorCode.FORCE_DENY}


class MilvusVectorIndex:
    """``consistency``: how soon a text that was put is found; a few seconds later is soon enough.

    Users are found at once: of two who are placed at the same time, the search that begins later
    has to see both, or nobody would ever say that they are near.

    ``ca_file`` (PEM) takes the place of the system's CAs for an ``https`` URI.
    """

    def __init__(
        self,
        uri: str,
        model: str,
        dimensions: int,
        *,
        token: str = "",
        consistency: str = "Bounded",
        ca_file: Path | None = None,
    ) -> None:
        self._uri = uri
        self._trust = {} if ca_file is None else {"server_pem_path": str(ca_file)}
        self._token = token
        self._model = model
        self._dimensions = dimensions
        self._consistency = consistency
        self._lite = "://" not in uri
        threads = 1 if self._lite else THREADS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="milvus")
        self._users = f"embedding_users_{dimensions}"
        self._texts = f"embedding_texts_{dimensions}"
        # Whatever they log, with a stack trace, is raised too, or only says what Lite cannot do.
        for name in ("pymilvus", "grpc._server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def open(self) -> None:
        """Connect, and make the collections if they are missing. Raises Unavailable."""
        self._client = await self._run(self._connected)

    async def close(self) -> None:
        """Close the connection."""
        await self._run(self._client.close)
        self._threads.shutdown(wait=False)

    async def put_users(self, points: Sequence[UserPoint]) -> None:
        await self._run(lambda: self._put_users(points))

    async def put_texts(self, points: Sequence[tuple[TextPoint, Vector]]) -> None:
        own = {(point.tenant_id, point.kind, point.id): (point, vec) for point, vec in points}
        rows = [text_row(point, vector, self._model) for point, vector in own.values()]
        await self._run(lambda: self._upsert(self._texts, rows))

    async def nearest(
        self, tenant_id: str, points: Sequence[UserPoint], limit: int
    ) -> Sequence[Sequence[Near]]:
        """One more is asked for than is wanted: the user is their own nearest neighbour."""
        if not points:
            return []
        vectors = [point.vector for point in points]
        where = self._of(tenant_id)
        rows = await self._search(self._users, vectors, where, limit + 1, ["user_id"])
        return [
            [
                Near(hit["entity"]["user_id"], cosine(hit["distance"]))
                for hit in hits
                if hit["entity"]["user_id"] != point.user.user_id
            ][:limit]
            for point, hits in zip(points, rows, strict=True)
        ]

    async def search(
        self, tenant_id: str, vector: Vector, kinds: Sequence[Kind], limit: int
    ) -> Sequence[Found]:
        where = f"{self._of(tenant_id)} and kind in {json.dumps(list(kinds))}"
        (hits,) = await self._search(self._texts, [vector], where, limit, ["kind", "point"])
        return [
            Found(text_point(tenant_id, hit["entity"]), cosine(hit["distance"])) for hit in hits
        ]

    async def remove_user(self, user: UserKey) -> None:
        tenant, own = digest(user.tenant_id), user_digest(user)
        await self._run(lambda: self._remove(tenant, own))

    async def healthy(self) -> bool:
        return bool(await self._run(lambda: self._client.has_collection(self._users)))

    def _connected(self) -> MilvusClient:
        client = MilvusClient(self._uri, token=self._token, timeout=SECONDS, **self._trust)
        create(client, self._users, users_schema(self._dimensions), "Strong")
        create(client, self._texts, texts_schema(self._dimensions), self._consistency)
        return client

    def _put_users(self, points: Sequence[UserPoint]) -> None:
        if not points:
            return
        rows = [user_row(point, self._model) for point in points]
        known = self._client.get(
            self._users, ids=[row["id"] for row in rows], output_fields=["id", "version"]
        )
        versions = {row["id"]: row["version"] for row in known}
        self._upsert(
            self._users, [row for row in rows if versions.get(row["id"], 0) <= row["version"]]
        )

    def _upsert(self, collection: str, rows: Sequence[Row]) -> None:
        if rows:
            self._client.upsert(collection, list(rows), timeout=SECONDS)
            self._settle(collection)

    def _remove(self, tenant: str, user: str) -> None:
        own = f'tenant == "{tenant}"'
        self._client.delete(self._users, filter=f'{own} and id == "{user}"', timeout=SECONDS)
        self._client.delete(self._texts, filter=f'{own} and user == "{user}"', timeout=SECONDS)
        self._settle(self._users)
        self._settle(self._texts)

    def _settle(self, collection: str) -> None:
        if self._lite:
            self._client.flush(collection)

    async def _search(
        self, collection: str, vectors: Sequence[Vector], where: str, limit: int, fields: list[str]
    ) -> list[list[Row]]:
        def search() -> list[list[Row]]:
            found: list[list[Row]] = self._client.search(
                collection,
                data=list(vectors),
                filter=where,
                limit=limit,
                output_fields=fields,
                search_params={"params": {"ef": max(CANDIDATES, limit)}},
                timeout=SECONDS,
            )
            return found

        return await self._run(search)

    def _of(self, tenant_id: str) -> str:
        model = json.dumps(self._model)
        return f'tenant == "{digest(tenant_id)}" and embedding_model == {model}'

    async def _run(self, work: Callable[[], T]) -> T:
        with _translated():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._loaded, work)

    def _loaded(self, work: Callable[[], T]) -> T:
        """Again once the collections are loaded: Lite's server forgets that when it starts anew."""
        try:
            return work()
        except MilvusException as error:
            if error.code != NOT_LOADED:
                raise
        for collection in (self._users, self._texts):
            self._client.load_collection(collection, timeout=SECONDS)
        return work()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's errors into the bus's: down is Unavailable, the rest may be tried again."""
    try:
        yield
    except grpc.RpcError as error:
        raise Unavailable(f"Milvus: {type(error).__name__}: {error}") from error
    except MilvusException as error:
        down = error.retriable or error.code in _BUSY or isinstance(error.code, grpc.StatusCode)
        kind: Any = Unavailable if down else Transient
        raise kind(f"Milvus: {error.code}: {error.message}") from error
