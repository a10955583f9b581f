"""The frame of a command: key, state and outbox in one transaction, or the first response again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bus.failpoint import hit
from bus.outbox import OutboxRow
from bus.store import T, TransactionalStore

from gateway.commands.runs import Bind, Idempotency, earlier_response, remember
from gateway.domain.models import StoredResponse
from gateway.domain.ports import RunRepository

Work = Callable[[RunRepository], Awaitable[tuple[Sequence[OutboxRow], StoredResponse]]]
"""Changes the state, and returns what is owed to the log and what to answer."""
ROWS = 5000
"""In one statement: an upload may hold hundreds of thousands."""


async def once(
    store: TransactionalStore[T],
    bind: Bind[T],
    tenant_id: str,
    work: Work,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Do ``work``, unless the key was used for it before. Raises IdempotencyConflict."""
    async with store.transaction() as transaction:
        repository = bind(transaction)
        earlier = await earlier_response(repository, tenant_id, idempotency)
        if earlier is not None:
            return earlier
        rows, response = await work(repository)
        for start in range(0, len(rows), ROWS):
            await transaction.add(rows[start : start + ROWS])
        await remember(repository, tenant_id, idempotency, response)
        hit("command-before-commit")
    hit("command-after-commit")
    return response
