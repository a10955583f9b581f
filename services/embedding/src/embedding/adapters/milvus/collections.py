"""The two collections, and what stands in their rows.

Conditions compare hexadecimal digests of ids, never the ids: those are the tenants' own words, and
no way to quote them works on a server and on Milvus Lite alike.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

from pymilvus import CollectionSchema, DataType, MilvusClient

from embedding.adapters.documents import point_in, point_out
from embedding.domain.models import TextPoint, UserKey, UserPoint, Vector

Row = dict[str, Any]
DIGEST = 64
ID_BYTES = 800
"""Ids that tenants give have at most 200 characters."""
POINT_BYTES = 16_384
HNSW = {"M": 16, "efConstruction": 64}
PARTITIONS = 64
"""Tenants share them; a condition on the tenant makes a search look into one only."""


def digest(*parts: str) -> str:
    """What a condition compares in place of an id."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def create(client: MilvusClient, name: str, schema: CollectionSchema, consistency: str) -> None:
    """Make a collection with its index if it is missing, and load it."""
    if not client.has_collection(name):
        params = client.prepare_index_params()
        params.add_index("vector", index_type="HNSW", metric_type="COSINE", params=HNSW)
        client.create_collection(
            name,
            schema=schema,
            index_params=params,
            num_partitions=PARTITIONS,
            consistency_level=consistency,
        )
    client.load_collection(name)


def users_schema(dimensions: int) -> CollectionSchema:
    """A row for each user."""
    schema = _schema(dimensions)
    schema.add_field("user_id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("version", DataType.INT64)
    return schema


def texts_schema(dimensions: int) -> CollectionSchema:
    """A row for each message and answer."""
    schema = _schema(dimensions)
    schema.add_field("user", DataType.VARCHAR, max_length=DIGEST)
    schema.add_field("kind", DataType.VARCHAR, max_length=DIGEST)
    schema.add_field("point", DataType.VARCHAR, max_length=POINT_BYTES)
    return schema


def user_row(point: UserPoint, model: str) -> Row:
    """As ``users_schema`` has it."""
    return {
        "id": user_digest(point.user),
        "tenant": digest(point.user.tenant_id),
        "user_id": point.user.user_id,
        "version": point.version,
        "embedding_model": model,
        "vector": point.vector,
    }


def text_row(point: TextPoint, vector: Vector, model: str) -> Row:
    """As ``texts_schema`` has it."""
    whole = {"id": str(point.id), "user_id": point.user_id, **point_out(point)}
    user = "" if point.user_id is None else user_digest(UserKey(point.tenant_id, point.user_id))
    return {
        "id": digest(point.tenant_id, point.kind, str(point.id)),
        "tenant": digest(point.tenant_id),
        "user": user,
        "kind": point.kind,
        "point": json.dumps(whole, ensure_ascii=False),
        "embedding_model": model,
        "vector": vector,
    }


def text_point(tenant_id: str, row: Row) -> TextPoint:
    """The reverse of ``text_row``."""
    whole = json.loads(row["point"])
    return point_in(tenant_id, row["kind"], UUID(whole["id"]), whole["user_id"], whole)


def user_digest(user: UserKey) -> str:
    """The id of a user's row."""
    return digest(user.tenant_id, user.user_id)


def _schema(dimensions: int) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=DIGEST)
    schema.add_field("tenant", DataType.VARCHAR, is_partition_key=True, max_length=DIGEST)
    schema.add_field("embedding_model", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
    return schema
