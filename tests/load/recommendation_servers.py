"""What reads of recommendations are compared with: ``bare PORT REDIS``, ``computed PORT DIR N``.

``bare`` is one GET behind one route: no framework can do less. ``computed`` finds neighbours,
asks the graph and ranks on each read, with our own index, graph and ranking, as a cache miss does
where nothing is made ahead; authentication and limits are left out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

sys.path[0] = str(Path(__file__).resolve().parents[2])

from bus.migrate import migrate  # noqa: E402
from devkit.embedded import EmbeddedPostgres  # noqa: E402
from devkit.marketing import CAMPAIGNS  # noqa: E402
from embedding import app as embedding_app  # noqa: E402
from embedding.adapters import minilm  # noqa: E402
from embedding.adapters.pgvector import PgVectorIndex  # noqa: E402
from embedding.domain.models import UserKey, UserPoint  # noqa: E402
from graph_loader.adapters.postgres import PostgresGraph  # noqa: E402
from graph_loader.domain import changing  # noqa: E402
from graph_loader.domain import models as graph  # noqa: E402
from graph_loader.domain.region import Reach, Region  # noqa: E402
from graph_loader.domain.rules import candidates, wanted  # noqa: E402
from recommender.domain import models as ranking  # noqa: E402
from recommender.domain.catalog import Catalog  # noqa: E402
from recommender.domain.rules import rank  # noqa: E402

TENANT, WIDTH, CLUSTERS, BATCH, SEED = "demo", 384, 200, 200, 7
Handle = Callable[[Request], Awaitable[Response]]
NOW = int(datetime.now(UTC).timestamp() * 1e6)


def user(number: int) -> str:
    """The name of a user."""
    return f"user-{number:06d}"


def bare(address: str) -> Handle:
    """One read of a string."""
    redis = Redis.from_url(address)

    async def read(request: Request) -> Response:
        found: Any = await redis.get(f"rec:{TENANT}:{request.path_params['user_id']}")
        return Response(found[20:], media_type="application/json")

    return read


class Computed:
    """Everything that a list is made of, and nothing made ahead."""

    def __init__(self, index: PgVectorIndex, graph: PostgresGraph, users: int) -> None:
        self._index, self._graph = index, graph
        draw = np.random.default_rng(SEED)
        centres = draw.normal(size=(CLUSTERS, WIDTH))
        rows = centres[draw.integers(0, CLUSTERS, users)] + 0.7 * draw.normal(size=(users, WIDTH))
        self._vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self._campaigns = [campaign["campaign_id"] for campaign in CAMPAIGNS]
        started = datetime(2026, 1, 1, tzinfo=UTC)
        self._catalog = Catalog(
            {one: ranking.Campaign(one, one, started) for one in self._campaigns}
        )

    async def fill(self) -> None:
        """All users: their vectors, then their neighbours and what they clicked."""
        everybody = range(len(self._vectors))
        for start in everybody[::BATCH]:
            await self._index.put_users([self._point(n) for n in everybody[start : start + BATCH]])
        for start in everybody[::BATCH]:
            await self._connect(everybody[start : start + BATCH])

    async def close(self) -> None:
        """Close the connections."""
        await self._index.close()
        await self._graph.close()

    async def read(self, request: Request) -> Response:
        """Neighbours, graph, ranking."""
        name = request.path_params["user_id"]
        near = await self._index.nearest(TENANT, [self._point(int(name[5:]))], 50)
        assert len(near[0]) == 50
        key = (TENANT, name)
        people = await self._graph.people([key])
        offers = await self._graph.offers(wanted(people))
        found = candidates(TENANT, people[key], offers, NOW)
        affinity = ranking.Affinity(
            version=1,
            heard_at=datetime.now(UTC),
            candidates=tuple(
                ranking.Candidate(
                    one.campaign_id,
                    one.affinity,
                    tuple(
                        ranking.Path(p.kind, p.weight, p.users, p.intent, p.campaign_id)
                        for p in one.paths
                    ),
                )
                for one in found
            ),
        )
        listed = rank(ranking.Person(name, affinity), self._catalog, datetime.now(UTC))
        items = [
            {
                "campaign_id": item.campaign_id,
                "score": item.score,
                "reasons": [reason.text for reason in item.reasons],
            }
            for item in listed.items
        ]
        return Response(json.dumps(items), media_type="application/json")

    def _point(self, number: int) -> UserPoint:
        return UserPoint(UserKey(TENANT, user(number)), 1, self._vectors[number])

    async def _connect(self, numbers: Sequence[int]) -> None:
        found = await self._index.nearest(TENANT, [self._point(n) for n in numbers], 50)
        statements = [
            graph.Statement(
                (TENANT, user(n)), 1, NOW, NOW,
                tuple((one.user_id, one.similarity) for one in near), (), (),
            )
            for n, near in zip(numbers, found, strict=True)
        ]  # fmt: skip
        users = frozenset(one.user for one in statements)
        named = frozenset((TENANT, name) for one in statements for name, _ in one.neighbours)

        def decide(region: Region) -> None:
            for one in statements:
                changing.hear(region, one, NOW)
            for n in numbers:
                for step in range(3):
                    campaign = self._campaigns[(n * 7 + step * step) % len(self._campaigns)]
                    deed = graph.Engagement((TENANT, user(n)), campaign, "clicked", NOW, NOW)
                    changing.engage(region, deed, NOW)

        campaigns = frozenset((TENANT, one) for one in self._campaigns)
        await self._graph.change(
            Reach(
                users=users,
                named=named,
                neighbours_of=users,
                engaged_of=users,
                campaigns=campaigns,
            ),
            decide,
        )


async def filled(postgres: EmbeddedPostgres, users: int, graph: str) -> Computed:
    """Vectors and graph of so many users, in the databases that the services would have."""
    dsn = await postgres.database("embedding")
    migrations = Path(embedding_app.__file__).parent / "migrations"
    await migrate(dsn, migrations, with_inbox=False)
    index = await PgVectorIndex.open(dsn, minilm.MODEL, "filling")
    made = Computed(
        index, await PostgresGraph.connect(await postgres.database(graph), "filling"), users
    )
    await made.fill()
    return made


async def computed(folder: str, users: int) -> Handle:
    """Filled and ready to read."""
    postgres = await EmbeddedPostgres.start(Path(folder) / "postgres")
    return (await filled(postgres, users, graph="graph")).read


async def serve(kind: str, port: int, arguments: Sequence[str]) -> None:
    """Say that it is ready, and serve until it is ended."""
    if kind == "bare":
        handle = bare(arguments[0])
    else:
        handle = await computed(arguments[0], int(arguments[1]))
    app = Starlette(routes=[Route("/v1/recommendations/{user_id}", handle)])
    config = uvicorn.Config(app, port=port, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
