"""The call store on each backend, and requests and ends to put into it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID, uuid4

from bus.stores.postgres import Pool
from llm_executor.adapters.memory import MemoryCalls, MemoryCallStore
from llm_executor.adapters.postgres import PostgresCallStore
from llm_executor.domain.models import (
    Ask,
    BudgetOf,
    Claimed,
    Finished,
    Grant,
    Key,
    Queued,
    Room,
)
from llm_executor.domain.ports import CallStore

LANE = "openai/gpt-5"
PARENT = UUID(int=7)
LONG = 3600.0  # seconds: a lease that no test outlives
HEADERS = {"ce_id": "1", "ce_type": "completion.finished.v1"}


class Kit(Protocol):
    """One set of completions, and what a test wants to know of it or do to it."""

    def holder(self) -> CallStore:
        """The store as another process sees it."""

    async def stored(self, key: Key) -> Any:
        """The headers and the body of the stored event, None if there is none."""

    async def published(self, key: Key) -> bool:
        """Whether the stored event is marked as published."""

    async def publish(self, key: Key) -> None:
        """Mark it, as the relay does."""

    async def lapse(self, keys: Collection[Key]) -> None:
        """Let the leases on these run out."""

    async def grow_old(self, key: Key, seconds: float) -> None:
        """Let it have arrived, or be finished, that much earlier."""

    async def money(self, of: Ask) -> tuple[Decimal, Decimal]:
        """What is spent and what is reserved of the ask's budget."""


class MemoryKit:
    """Holders in one process."""

    def __init__(self) -> None:
        self._calls = MemoryCalls()

    def holder(self) -> CallStore:
        return MemoryCallStore(self._calls)

    async def stored(self, key: Key) -> Any:
        finished = self._calls.entries[key].finished
        if finished is None:
            return None
        return {"headers": dict(finished.headers), "event": json.loads(finished.payload)}

    async def published(self, key: Key) -> bool:
        return self._calls.entries[key].published

    async def publish(self, key: Key) -> None:
        self._calls.entries[key].published = True

    async def lapse(self, keys: Collection[Key]) -> None:
        for key in keys:
            self._calls.entries[key].lease_until = time.monotonic() - 1

    async def grow_old(self, key: Key, seconds: float) -> None:
        self._calls.entries[key].accepted -= seconds
        self._calls.entries[key].finished_at -= seconds

    async def money(self, of: Ask) -> tuple[Decimal, Decimal]:
        purse = self._calls.purses[of.key.tenant_id, of.budget.budget_id]
        return purse.spent, purse.reserved


class PostgresKit:
    """Holders over one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def holder(self) -> CallStore:
        return PostgresCallStore(self._pool)

    async def stored(self, key: Key) -> Any:
        document = await self._value("document", key)
        return None if document is None else json.loads(document)

    async def published(self, key: Key) -> bool:
        return await self._value("published_at", key) is not None

    async def publish(self, key: Key) -> None:
        await self._set("published_at = now()", [key])

    async def lapse(self, keys: Collection[Key]) -> None:
        await self._set("lease_until = now() - interval '1 second'", keys)

    async def grow_old(self, key: Key, seconds: float) -> None:
        past = f"- make_interval(secs => {seconds})"
        await self._set(f"created_at = created_at {past}, finished_at = finished_at {past}", [key])

    async def money(self, of: Ask) -> tuple[Decimal, Decimal]:
        row = await self._pool.fetchrow(
            "SELECT spent_usd, reserved_usd FROM budgets WHERE tenant_id = $1 AND budget_id = $2",
            of.key.tenant_id,
            of.budget.budget_id,
        )
        assert row is not None
        return row["spent_usd"], row["reserved_usd"]

    async def _value(self, column: str, key: Key) -> Any:
        return await self._pool.fetchval(
            f"SELECT {column} FROM completions WHERE tenant_id = $1 AND completion_id = $2",
            key.tenant_id,
            key.completion_id,
        )

    async def _set(self, change: str, keys: Collection[Key]) -> None:
        await self._pool.execute(
            f"UPDATE completions SET {change} WHERE (tenant_id, completion_id) IN "
            "(SELECT * FROM unnest($1::text[], $2::uuid[]))",
            [key.tenant_id for key in keys],
            [key.completion_id for key in keys],
        )


def request(
    tenant_id: str = "tenant",
    *,
    completion_id: UUID | None = None,
    lane: str = LANE,
    parent_id: UUID = PARENT,
    interactive: bool = False,
    weight: int = 1,
    fallback: bool | None = None,
    late: bool = False,
    cache_key: str | None = None,
) -> Queued:
    """A request; its body and headers tell it from others."""
    key = Key(tenant_id, completion_id or uuid4())
    ahead = timedelta(hours=-1 if late else 1)
    return Queued(
        key=key,
        lane=lane,
        parent_id=parent_id,
        interactive=interactive,
        weight=weight,
        fallback=fallback,
        deadline=datetime.now(UTC) + ahead,
        headers=(("ce_id", str(key.completion_id).encode()), ("ce_subject", "Größe 🫘".encode())),
        body=b"\x00\xff " + key.completion_id.bytes,
        cache_key=cache_key,
    )


def requests(count: int, tenant_id: str = "tenant", **like: Any) -> list[Queued]:
    """Several requests that differ in their keys only."""
    return [request(tenant_id, **like) for _ in range(count)]


def end(key: Key, text: str = "answer", **like: Any) -> Finished:
    """The end of a completion, answered unless told otherwise."""
    payload = json.dumps({"text": text}, ensure_ascii=False).encode()
    return replace(Finished(key, HEADERS, payload, "answered"), **like)


def keys(items: Iterable[Queued | Claimed]) -> list[Key]:
    """Their keys, in their order."""
    return [item.key for item in items]


def ask(
    key: Key,
    usd: str,
    limit: str = "1",
    budget_id: UUID = UUID(int=1),  # noqa: B008 - immutable
) -> Ask:
    """Money for a call from a budget of that limit."""
    return Ask(key, BudgetOf(budget_id, Decimal(limit)), Decimal(usd))


async def take(store: CallStore, total: int = 100, lane: str = LANE) -> list[Key]:
    """Claim what a lane has, whoever asked for it; the keys."""
    return keys(await store.claim(Room(lane, total, total), LONG))


async def taken(store: CallStore, items: Sequence[Queued]) -> list[Key]:
    """Queue these and claim them all; their keys in that order."""
    await store.accept(items)
    for lane in {item.lane for item in items}:
        await take(store, len(items), lane)
    return keys(items)


async def grants(store: CallStore, *asks: Ask) -> list[Grant]:
    """What budgets say, without what they have left."""
    return [grant for grant, _ in await store.reserve(asks)]
