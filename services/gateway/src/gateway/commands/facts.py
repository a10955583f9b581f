"""Taking in what is told of users, and forgetting them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bus.outbox import OutboxRow
from bus.store import T, TransactionalStore
from contracts.events.marketing import UserForgotten
from contracts.topics import USER_FORGOTTEN

from gateway.commands.events import Origins
from gateway.commands.once import once
from gateway.commands.runs import Bind, Idempotency
from gateway.domain.models import StoredResponse
from gateway.domain.ports import RunRepository


async def record(
    store: TransactionalStore[T],
    bind: Bind[T],
    tenant_id: str,
    rows: Sequence[OutboxRow],
    response: StoredResponse,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Owe the log what was told; a repeated key gets the first response."""

    async def owed(_: RunRepository) -> tuple[Sequence[OutboxRow], StoredResponse]:
        return rows, response

    return await once(store, bind, tenant_id, owed, idempotency)


async def forget_user(
    store: TransactionalStore[T], bind: Bind[T], tenant_id: str, user_id: str
) -> tuple[datetime, str]:
    """Tell all who know a user to forget them, and forget here what they were told.

    When, and the id of the event.
    """
    now = datetime.now(UTC)
    row = Origins.of(tenant_id, None, now).row(
        USER_FORGOTTEN, UserForgotten(user_id=user_id, forgotten_at=now)
    )

    async def forgotten(repository: RunRepository) -> tuple[Sequence[OutboxRow], StoredResponse]:
        await repository.forget_events(tenant_id, user_id, now)
        return [row], StoredResponse("", 202, "")

    await once(store, bind, tenant_id, forgotten, None)
    return now, row.envelope.id
