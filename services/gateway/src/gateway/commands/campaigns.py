"""Changing and deleting campaigns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bus.outbox import OutboxRow
from bus.store import T, TransactionalStore
from contracts.topics import CAMPAIGN_CHANGED

from gateway import translation
from gateway.commands.events import Origins
from gateway.commands.once import once
from gateway.commands.runs import Bind, Idempotency
from gateway.domain.errors import no_campaign
from gateway.domain.marketing import Campaign, check_campaign
from gateway.domain.models import StoredResponse
from gateway.domain.ports import RunRepository

Answer = Callable[[Campaign, bool], StoredResponse]
"""What to answer for a campaign; the flag tells that it is new."""
Done = tuple[Sequence[OutboxRow], StoredResponse]


async def put_campaign(
    store: TransactionalStore[T],
    bind: Bind[T],
    draft: Campaign,
    answer: Answer,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Store a campaign as it is now and tell it. Raises IdempotencyConflict, InvalidCampaign."""
    check_campaign(draft)

    async def put(repository: RunRepository) -> Done:
        stored, new = await repository.put_campaign(draft)
        return [_told(stored)], answer(stored, new)

    return await once(store, bind, draft.tenant_id, put, idempotency)


async def delete_campaign(
    store: TransactionalStore[T],
    bind: Bind[T],
    tenant_id: str,
    campaign_id: str,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Mark a campaign as deleted and tell it. Raises IdempotencyConflict, NotFound."""

    async def deleted(repository: RunRepository) -> Done:
        gone = await repository.delete_campaign(tenant_id, campaign_id, datetime.now(UTC))
        if gone is None:
            raise no_campaign(campaign_id)
        return [_told(gone)], StoredResponse("", 204, "")

    return await once(store, bind, tenant_id, deleted, idempotency)


def _told(campaign: Campaign) -> OutboxRow:
    origins = Origins.of(campaign.tenant_id, None, datetime.now(UTC))
    return origins.row(CAMPAIGN_CHANGED, translation.campaign_changed(campaign))
