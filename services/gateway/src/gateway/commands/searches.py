"""Asking for a search. Nobody needs its answer tomorrow: it goes to the log at once, or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from bus.outbox import OutboxRow
from contracts.events.marketing import HitKind, SearchRequested
from contracts.topics import SEARCH_REQUESTED
from runtime.ids import new_id

from gateway.commands.events import Origins

Publish = Callable[[Sequence[OutboxRow]], Awaitable[None]]
"""Sends rows to the log and returns when they are acknowledged. Raises LogUnavailable."""


async def request_search(
    publish: Publish, tenant_id: str, query: str, kinds: Sequence[HitKind], limit: int
) -> UUID:
    """Publish a search; its id. Raises LogUnavailable."""
    now = datetime.now(UTC)
    event = SearchRequested(
        search_id=new_id(), query=query, kinds=tuple(kinds), limit=limit, requested_at=now
    )
    await publish([Origins.of(tenant_id, event.search_id, now).row(SEARCH_REQUESTED, event)])
    return event.search_id
