"""What the services' databases in PostgreSQL hold at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

REJECTIONS = 'SELECT tenant_id, topic, partition, "offset", service FROM rejected_events'
_GATEWAY = {
    "completions": "SELECT completion_id::text, run_id::text, analyzed FROM completions",
    "answers": "SELECT completion_id::text FROM answers",
    "analyses": "SELECT completion_id::text FROM analyses WHERE revision = 1",
    "findings": "SELECT completion_id::text, named FROM findings WHERE revision = 1",
    "campaigns": "SELECT campaign_id, changed_at FROM campaigns",
    "keys": "SELECT key FROM idempotent_requests",
    "rejections": REJECTIONS,
}
_MENTIONS = {
    "answers": "SELECT completion_id::text FROM answers WHERE NOT parked",
    "analyses": "SELECT completion_id::text, mentions::text FROM analyses",
    "brand_sets": "SELECT run_id::text FROM brand_sets",
}
_EXECUTOR = {
    "completions": "SELECT completion_id::text, document ->> 'event' AS event FROM completions",
}
_UNPUBLISHED = {
    "gateway": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "mentions": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "completions": "SELECT count(*) FROM completions "
    "WHERE document IS NULL OR published_at IS NULL",
}
Rows = Sequence[Any]


@dataclass(frozen=True)
class Relational:
    """Rows by table, of each of the three databases; ``unpublished`` by database."""

    gateway: dict[str, Rows]
    mentions: dict[str, Rows]
    executor: dict[str, Rows]
    unpublished: dict[str, int]

    def run_of(self) -> dict[str, str]:
        """Every completion that the gateway planned, with its run."""
        return {row["completion_id"]: row["run_id"] for row in self.gateway["completions"]}

    def ends(self) -> dict[str, dict[str, Any]]:
        """The stored end of each completion, by its id."""
        rows = self.executor["completions"]
        return {row["completion_id"]: json.loads(row["event"]) for row in rows if row["event"]}

    def analyzed(self) -> Counter[str]:
        """By run, how many of its completions the gateway has analysed."""
        return Counter(row["run_id"] for row in self.gateway["completions"] if row["analyzed"])


async def read_relational(url: str) -> Relational:
    """Everything, from the server at ``url``."""
    return Relational(
        await _rows(f"{url}/gateway", _GATEWAY),
        await _rows(f"{url}/mentions", _MENTIONS),
        await _rows(f"{url}/completions", _EXECUTOR),
        await read_unpublished(url),
    )


async def read_unpublished(url: str) -> dict[str, int]:
    """Rows that are still owed to the log, or to be called, by database."""
    found = {}
    for name, query in _UNPUBLISHED.items():
        rows = await _rows(f"{url}/{name}", {"count": query})
        found[name] = int(rows["count"][0][0])
    return found


async def read_rejections(url: str) -> Rows:
    """What tenants see of what was refused."""
    return (await _rows(f"{url}/gateway", {"rejections": REJECTIONS}))["rejections"]


async def _rows(dsn: str, queries: dict[str, str]) -> dict[str, Rows]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: await connection.fetch(query) for name, query in queries.items()}
    finally:
        await connection.close()
