"""What the stores without transactions hold at the end: MongoDB, Milvus, Neo4j and Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from devkit.stack import Servers
from neo4j import AsyncGraphDatabase
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

_MOST = 16_000
_CYPHER = {
    "users": "MATCH (u:User) RETURN u.user_id, u.version",
    "conversations": "MATCH (u:User)-[:HELD]->(c:Conversation) RETURN c.conversation_id",
    "engaged": "MATCH (u:User)-[e:ENGAGED]->(c:Campaign) RETURN u.user_id, c.campaign_id, "
    "e.seen, e.clicked, e.converted, e.dismissed",
    "fans": "MATCH (c:Campaign) RETURN c.campaign_id, c.fans",
    "shared": "MATCH (a:Campaign)-[s:SHARED]->(b:Campaign) WHERE s.users <> 0 "
    "RETURN a.campaign_id, b.campaign_id, s.users",
    "answers": "MATCH (a:Answer)-[:BY]->(:Model) MATCH (a)-[:TO]->(:Prompt) RETURN a.completion_id",
    "names": "MATCH (a:Answer)-[n:NAMES]->(:Brand) RETURN a.completion_id",
    "stale": "MATCH (u:User) WHERE u.stale_at IS NOT NULL RETURN u.user_id",
}
_LISTS, _BOARD = "rec:demo:", "recommender:{demo}:"


@dataclass(frozen=True)
class Sinks:
    """``lake`` and ``graph``: rows by collection or question; ``vectors`` by collection.

    ``lists`` are the versions of the gateway's lists by user, ``board`` what the recommender knows:
    a hash, or a sorted set as its members, by key without its prefix.
    """

    lake: Mapping[str, Sequence[Any]]
    vectors: Mapping[str, Sequence[Any]]
    graph: Mapping[str, Sequence[Sequence[Any]]]
    lists: Mapping[str, int]
    board: Mapping[str, Any]


async def read_sinks(servers: Servers) -> Sinks:
    """Everything."""
    redis = servers["redis"].url
    return Sinks(
        await _lake(servers["mongo"].url),
        _apart(servers["milvus"].url),
        await read_graph(servers["neo4j"].url),
        await _versions(f"{redis}/0"),
        await _board(f"{redis}/1"),
    )


async def _lake(url: str) -> dict[str, Sequence[Any]]:
    async with AsyncMongoClient[dict[str, Any]](url, uuidRepresentation="standard") as client:
        database = client["lake"]
        names = ("messages", "states", "answers", "campaigns")
        return {name: await database[name].find({}).to_list() for name in names}


def _apart(url: str) -> dict[str, Sequence[Any]]:
    """In a process of its own: who has loaded gRPC must not fork, as a start of a service does."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_vectors, (url,))


def _vectors(url: str) -> dict[str, Sequence[Any]]:
    from pymilvus import MilvusClient

    client = MilvusClient(url)
    fields = {"users": ["user_id", "version"], "texts": ["kind", "point"]}
    found: dict[str, Sequence[Any]] = {}
    try:
        for collection in client.list_collections():
            kind = "users" if "users" in collection else "texts"
            client.load_collection(collection)
            rows = client.query(collection, output_fields=fields[kind], limit=_MOST)
            found[kind] = [dict(row) for row in rows]
    finally:
        client.close()
    return found


async def read_graph(url: str, *questions: str) -> dict[str, Sequence[Sequence[Any]]]:
    """The answers to some of the questions, or to all."""
    async with AsyncGraphDatabase.driver(url) as driver:
        answers = {name: await driver.execute_query(_CYPHER[name]) for name in questions or _CYPHER}
    return {name: [each.values() for each in found.records] for name, found in answers.items()}


async def _versions(url: str) -> dict[str, int]:
    """A list is its version in 20 digits and its JSON."""
    async with Redis.from_url(url) as redis:
        keys = [key async for key in redis.scan_iter(f"{_LISTS}*")]
        return {
            key.decode().removeprefix(_LISTS): int((await redis.get(key) or b"0")[:20])
            for key in keys
        }


async def _board(url: str) -> dict[str, Any]:
    async with Redis.from_url(url) as redis:
        return {
            key.decode().removeprefix(_BOARD): await _value(redis, key)
            async for key in redis.scan_iter(f"{_BOARD}*")
        }


async def _value(redis: Redis, key: bytes) -> Any:
    kind = await redis.type(key)
    if kind == b"hash":
        return await redis.hgetall(key)
    if kind == b"zset":
        return await redis.zrange(key, 0, -1)
    return None


def point_of(row: Mapping[str, Any]) -> str:
    """Which message or answer a row of the index is."""
    return f"{row['kind']} {json.loads(row['point'])['id']}"
