"""Campaigns on PostgreSQL, and the events of users that an outbox still keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from bus.stores.postgres import Connection, Pool, translated

from gateway.domain.marketing import Campaign, FrequencyCap

_INSERT = """
INSERT INTO campaigns (tenant_id, campaign_id, title, text, intents, starts_at, ends_at, budget,
                       excluded_users, excluded_intents, cap_impressions, cap_hours, deleted,
                       changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (tenant_id, campaign_id) DO UPDATE SET
    title = excluded.title, text = excluded.text, intents = excluded.intents,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, budget = excluded.budget,
    excluded_users = excluded.excluded_users, excluded_intents = excluded.excluded_intents,
    cap_impressions = excluded.cap_impressions, cap_hours = excluded.cap_hours,
    deleted = excluded.deleted, changed_at =
"""
# A command is the latest word, whatever the clock of a producer outside says.
_NOW = "greatest({given}, campaigns.changed_at + interval '1 microsecond')"
_PUT = f"{_INSERT} {_NOW.format(given='excluded.changed_at')} RETURNING *"
_LEARN = f"{_INSERT} excluded.changed_at WHERE campaigns.changed_at < excluded.changed_at"
_DELETE = (
    "UPDATE campaigns SET deleted = true, "  # noqa: S608 - constants
    f"changed_at = {_NOW.format(given='$3')} "
    "WHERE tenant_id = $1 AND campaign_id = $2 AND NOT deleted RETURNING *"
)


class CampaignRows:
    """The part of the repository that commands of marketing write through."""

    _connection: Connection

    async def put_campaign(self, campaign: Campaign) -> tuple[Campaign, bool]:
        """Look under a lock on the id, so that of two that make it at once one is first."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 3))",
            f"{campaign.tenant_id}/{campaign.campaign_id}",
        )
        known = await self._connection.fetchval(
            "SELECT 1 FROM campaigns WHERE tenant_id = $1 AND campaign_id = $2 AND NOT deleted",
            campaign.tenant_id,
            campaign.campaign_id,
        )
        row = await self._connection.fetchrow(_PUT, *_values(campaign))
        assert row is not None  # an upsert always has one
        return _campaign(row), known is None

    async def delete_campaign(
        self, tenant_id: str, campaign_id: str, now: datetime
    ) -> Campaign | None:
        """The row stays, so that an older state that comes late does not bring it back."""
        row = await self._connection.fetchrow(_DELETE, tenant_id, campaign_id, now)
        return None if row is None else _campaign(row)

    async def forget_events(self, tenant_id: str, user_id: str, before: datetime) -> None:
        """Published or not: who reads them later on would have to drop them."""
        await self._connection.execute(
            "DELETE FROM outbox WHERE aggregateid = $1 "
            "AND aggregatetype IN ('conversation.recorded.v1', 'engagement.recorded.v1') "
            "AND headers->>'ce_tenantid' = $2 AND (headers->>'ce_time')::timestamptz < $3",
            user_id,
            tenant_id,
            before,
        )


class PostgresCampaignRepository:
    """Campaigns for the API and for events; each call is a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, tenant_id: str, campaign_id: str) -> Campaign | None:
        """One index look-up."""
        with translated():
            row = await self._pool.fetchrow(
                "SELECT * FROM campaigns WHERE tenant_id = $1 AND campaign_id = $2 AND NOT deleted",
                tenant_id,
                campaign_id,
            )
        return None if row is None else _campaign(row)

    async def of_tenant(self, tenant_id: str, limit: int, after: str | None) -> Sequence[Campaign]:
        """In the order of the bytes of their ids."""
        with translated():
            rows = await self._pool.fetch(
                "SELECT * FROM campaigns WHERE tenant_id = $1 AND NOT deleted "
                "AND ($3::text IS NULL OR campaign_id > $3) ORDER BY campaign_id LIMIT $2",
                tenant_id,
                limit,
                after,
            )
        return [_campaign(row) for row in rows]

    async def learn(self, campaigns: Sequence[Campaign]) -> None:
        """In one transaction and one order of ids, so that no two wait for each other."""
        if not campaigns:
            return
        ordered = sorted(campaigns, key=lambda item: (item.tenant_id, item.campaign_id))
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(_LEARN, [_values(item) for item in ordered])


def _values(campaign: Campaign) -> tuple[Any, ...]:
    cap = campaign.frequency_cap
    return (
        campaign.tenant_id,
        campaign.campaign_id,
        campaign.title,
        campaign.text,
        list(campaign.intents),
        campaign.starts_at,
        campaign.ends_at,
        campaign.budget,
        list(campaign.excluded_users),
        list(campaign.excluded_intents),
        None if cap is None else cap.impressions,
        None if cap is None else cap.hours,
        campaign.deleted,
        campaign.changed_at,
    )


def _campaign(row: asyncpg.Record) -> Campaign:
    impressions, hours = row["cap_impressions"], row["cap_hours"]
    return Campaign(
        tenant_id=row["tenant_id"],
        campaign_id=row["campaign_id"],
        title=row["title"],
        changed_at=row["changed_at"],
        text=row["text"],
        intents=tuple(row["intents"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        budget=row["budget"],
        excluded_users=tuple(row["excluded_users"]),
        excluded_intents=tuple(row["excluded_intents"]),
        frequency_cap=None if impressions is None else FrequencyCap(impressions, hours),
        deleted=row["deleted"],
    )
