"""The lake on PostgreSQL: raw documents as JSONB, a user's state as one row."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
from bus.stores.postgres import Pool, translated

from embedding.adapters.documents import (
    answer_in,
    answer_out,
    campaign_in,
    campaign_out,
)
from embedding.domain.decay import DecayedMean, Newest
from embedding.domain.models import Answer, Campaign, Kept, Message, UserKey
from embedding.domain.rules import grave
from embedding.domain.states import UserState


class PostgresLake:
    """One statement for each call, in a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def forgotten(self, users: Collection[UserKey]) -> Mapping[UserKey, datetime]:
        graves = {grave(user): user for user in users}
        rows = await self._fetch(
            "SELECT grave, forgotten_at FROM tombstones WHERE grave = ANY($1::text[])",
            list(graves),
        )
        return {graves[row["grave"]]: row["forgotten_at"] for row in rows}

    async def add_messages(self, messages: Sequence[Message]) -> Sequence[Kept]:
        """Insert in one order, so that no two writers deadlock; then read what is there."""
        new = sorted({item.id: item for item in messages}.values(), key=lambda item: item.id)
        await self._fetch(
            "INSERT INTO messages (id, tenant_id, user_id, conversation_id, said_at, heard_at, "
            "document) SELECT id, tenant, usr, conversation, said, heard, document::jsonb "
            "FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], "
            "$6::timestamptz[], $7::text[]) AS row (id, tenant, usr, conversation, said, heard, "
            "document) ON CONFLICT DO NOTHING",
            [item.id for item in new],
            [item.user.tenant_id for item in new],
            [item.user.user_id for item in new],
            [item.conversation_id for item in new],
            [item.said_at for item in new],
            [item.heard_at for item in new],
            [json.dumps(_message_out(item)) for item in new],
        )
        rows = await self._fetch(
            f"SELECT {_MESSAGE} FROM messages WHERE id = ANY($1::uuid[])",  # noqa: S608 - a constant
            [item.id for item in new],
        )
        kept = {row["id"]: _kept(row) for row in rows}
        # One that is gone again was forgotten by somebody else, which the caller will see.
        return [kept[item.id] for item in messages if item.id in kept]

    async def mark_counted(self, messages: Collection[UUID]) -> None:
        if messages:
            await self._fetch(
                "UPDATE messages SET counted = true WHERE id = ANY($1::uuid[]) AND NOT counted",
                list(messages),
            )

    async def states(self, users: Collection[UserKey]) -> Mapping[UserKey, UserState]:
        rows = await self._fetch(
            f"SELECT {_STATE} FROM states JOIN unnest($1::text[], $2::text[]) "  # noqa: S608 - a constant
            "AS wanted (tenant_id, user_id) USING (tenant_id, user_id)",
            [user.tenant_id for user in users],
            [user.user_id for user in users],
        )
        found = map(_state, rows)
        return {state.user: state for state in found}

    async def save_states(self, states: Sequence[tuple[UserState, int]]) -> Collection[UserKey]:
        """All in one statement, each if its version is still the one it was made from."""
        if not states:
            return []
        pairs = sorted(states, key=lambda pair: pair[0].user)
        columns = zip(*(_state_out(*pair) for pair in pairs), strict=True)
        rows = await self._fetch(_SAVE_STATES, *map(list, columns))
        return [UserKey(*row) for row in rows]

    async def drop_state(self, user: UserKey, version: int) -> bool:
        rows = await self._fetch(
            "WITH gone AS (DELETE FROM states WHERE tenant_id = $1 AND user_id = $2 "
            "AND version = $3 RETURNING 1) SELECT EXISTS (SELECT FROM gone) OR NOT EXISTS "
            "(SELECT FROM states WHERE tenant_id = $1 AND user_id = $2) AS none_left",
            user.tenant_id,
            user.user_id,
            version,
        )
        return bool(rows[0]["none_left"])

    async def forget(self, user: UserKey, at: datetime) -> int:
        """The tombstone is there for others before anything goes."""
        await self._fetch(
            "INSERT INTO tombstones AS t (grave, forgotten_at) VALUES ($1, $2) "
            "ON CONFLICT (grave) DO UPDATE "
            "SET forgotten_at = greatest(t.forgotten_at, excluded.forgotten_at)",
            grave(user),
            at,
        )
        gone = await self._fetch(
            "DELETE FROM messages WHERE tenant_id = $1 AND user_id = $2 AND heard_at <= "
            "(SELECT forgotten_at FROM tombstones WHERE grave = $3) RETURNING id",
            user.tenant_id,
            user.user_id,
            grave(user),
        )
        return len(gone)

    async def next_user(self, after: UserKey | None) -> UserKey | None:
        rows = await self._fetch(
            "SELECT tenant_id, user_id FROM messages WHERE (tenant_id, user_id) > ($1, $2) "
            "ORDER BY tenant_id, user_id LIMIT 1",
            "" if after is None else after.tenant_id,
            "" if after is None else after.user_id,
        )
        return UserKey(*rows[0]) if rows else None

    async def messages_of(self, user: UserKey, after: UUID | None, limit: int) -> Sequence[Kept]:
        rows = await self._fetch(
            f"SELECT {_MESSAGE} FROM messages WHERE tenant_id = $1 AND user_id = $2 "  # noqa: S608 - a constant
            "AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4",
            user.tenant_id,
            user.user_id,
            after,
            limit,
        )
        return [_kept(row) for row in rows]

    async def add_answers(self, answers: Sequence[Answer]) -> None:
        await self._fetch(
            "INSERT INTO answers (tenant_id, completion_id, document) "
            "SELECT tenant, completion, document::jsonb FROM unnest($1::text[], $2::uuid[], "
            "$3::text[]) AS row (tenant, completion, document) ORDER BY tenant, completion "
            "ON CONFLICT DO NOTHING",
            [item.tenant_id for item in answers],
            [item.completion_id for item in answers],
            [json.dumps(answer_out(item)) for item in answers],
        )

    async def answers_after(self, after: tuple[str, UUID] | None, limit: int) -> Sequence[Answer]:
        rows = await self._fetch(
            "SELECT tenant_id, completion_id, document FROM answers "
            "WHERE (tenant_id, completion_id) > ($1, $2) "
            "ORDER BY tenant_id, completion_id LIMIT $3",
            *(after or ("", UUID(int=0))),
            limit,
        )
        return [
            answer_in(row["tenant_id"], row["completion_id"], json.loads(row["document"]))
            for row in rows
        ]

    async def put_campaigns(self, campaigns: Sequence[Campaign]) -> Sequence[bool]:
        return [bool(await self._put_campaign(item)) for item in campaigns]

    async def campaigns(self, tenant_id: str) -> Sequence[Campaign]:
        rows = await self._fetch(
            "SELECT campaign_id, changed_at, document FROM campaigns "
            "WHERE tenant_id = $1 AND NOT deleted",
            tenant_id,
        )
        return [
            campaign_in(
                tenant_id, row["campaign_id"], row["changed_at"], json.loads(row["document"])
            )
            for row in rows
        ]

    async def tenants(self) -> Sequence[str]:
        rows = await self._fetch("SELECT DISTINCT tenant_id FROM campaigns ORDER BY tenant_id")
        return [row["tenant_id"] for row in rows]

    async def healthy(self) -> bool:
        return bool(await self._pool.fetchval("SELECT true"))

    async def _put_campaign(self, campaign: Campaign) -> Sequence[asyncpg.Record]:
        return await self._fetch(
            "INSERT INTO campaigns AS c (tenant_id, campaign_id, changed_at, deleted, document) "
            "VALUES ($1, $2, $3, $4, $5::jsonb) ON CONFLICT (tenant_id, campaign_id) DO UPDATE "
            "SET changed_at = excluded.changed_at, deleted = excluded.deleted, "
            "document = excluded.document WHERE c.changed_at <= excluded.changed_at RETURNING 1",
            campaign.tenant_id,
            campaign.campaign_id,
            campaign.changed_at,
            campaign.deleted,
            json.dumps(campaign_out(campaign)),
        )

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        with translated():
            return await self._pool.fetch(sql, *arguments)


_MESSAGE = "id, tenant_id, user_id, conversation_id, said_at, heard_at, counted, document"
_STATE = (
    "tenant_id, user_id, version, recipe, total, weight, count, newest_at, newest, last, "
    "heard_at, pending"
)
_SAVE_STATES = (
    "WITH new AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], "  # noqa: S608 - a constant
    "$5::bytea[], $6::float8[], $7::bigint[], $8::timestamptz[], $9::text[], $10::bytea[], "
    f"$11::timestamptz[], $12::text[], $13::bigint[]) AS row ({_STATE}, base)), "
    "updated AS (UPDATE states AS s SET version = n.version, recipe = n.recipe, "
    "total = n.total, weight = n.weight, count = n.count, newest_at = n.newest_at, "
    "newest = n.newest, last = n.last, heard_at = n.heard_at, pending = n.pending::uuid[] "
    "FROM new AS n WHERE s.tenant_id = n.tenant_id AND s.user_id = n.user_id "
    "AND s.version = n.base RETURNING s.tenant_id, s.user_id), "
    f"inserted AS (INSERT INTO states ({_STATE}) SELECT tenant_id, user_id, version, recipe, "
    "total, weight, count, newest_at, newest, last, heard_at, pending::uuid[] FROM new "
    "WHERE base = 0 ON CONFLICT DO NOTHING RETURNING tenant_id, user_id) "
    "SELECT * FROM updated UNION ALL SELECT * FROM inserted"
)


def _message_out(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "role": message.role,
        "text": message.text,
        "sent_at": message.sent_at.isoformat(),
        "lineage": message.lineage,
    }


def _kept(row: asyncpg.Record) -> Kept:
    document = json.loads(row["document"])
    message = Message(
        id=row["id"],
        user=UserKey(row["tenant_id"], row["user_id"]),
        conversation_id=row["conversation_id"],
        said_at=row["said_at"],
        heard_at=row["heard_at"],
        **{**document, "sent_at": datetime.fromisoformat(document["sent_at"])},
    )
    return Kept(message, row["counted"])


def _state_out(state: UserState, base: int) -> tuple[Any, ...]:
    mean = state.mean
    return (
        state.user.tenant_id,
        state.user.user_id,
        state.version,
        state.recipe,
        mean.total.astype("<f8").tobytes(),
        mean.weight,
        mean.count,
        mean.newest.at,
        mean.newest.name,
        mean.newest.vector.astype("<f4").tobytes(),
        state.heard_at,
        # An array of arrays would want them all of one length.
        f"{{{','.join(map(str, state.pending))}}}",
        base,
    )


def _state(row: asyncpg.Record) -> UserState:
    last = np.frombuffer(row["last"], dtype="<f4").astype(np.float32)
    total = np.frombuffer(row["total"], dtype="<f8").astype(np.float64)
    newest = Newest(row["newest_at"], row["newest"], last)
    return UserState(
        user=UserKey(row["tenant_id"], row["user_id"]),
        version=row["version"],
        recipe=row["recipe"],
        mean=DecayedMean(total, row["weight"], row["count"], newest),
        heard_at=row["heard_at"],
        pending=tuple(row["pending"]),
    )
