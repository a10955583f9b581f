"""Taking in answers that were given elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from bus.failpoint import hit
from bus.store import T, TransactionalStore

from gateway.commands.events import Origins, captured, started
from gateway.commands.runs import Bind, Idempotency, WantedBrands, earlier_response, remember
from gateway.domain.models import CapturedAnswer, Run, StoredResponse

Answer = Callable[[Run, "Taken"], StoredResponse]


@dataclass(frozen=True, slots=True)
class Taken:
    """How many answers were new, and how many were there already."""

    new: int
    known: int


async def open_import(
    store: TransactionalStore[T],
    bind: Bind[T],
    draft: Run,
    brands: WantedBrands,
    answers: Sequence[CapturedAnswer],
    answer: Answer,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Make an import of these answers. Raises IdempotencyConflict, NotFound, InvalidRun."""
    async with store.transaction() as transaction:
        repository = bind(transaction)
        earlier = await earlier_response(repository, draft.tenant_id, idempotency)
        if earlier is not None:
            return earlier
        run = replace(draft, brands=await brands.found(repository, draft.tenant_id))
        await repository.ensure_run(run)
        origins = Origins.of(run.tenant_id, run.run_id, run.started_at)
        new = await repository.add_captured(answers, run.started_at)
        rows = await asyncio.to_thread(captured, origins, _first(answers, new))
        await transaction.add([started(origins, run), *rows])
        response = answer(run, Taken(len(new), len(answers) - len(new)))
        await remember(repository, run.tenant_id, idempotency, response)
        hit("command-before-commit")
    hit("command-after-commit")
    return response


async def add_to_import(
    store: TransactionalStore[T],
    bind: Bind[T],
    tenant_id: str,
    run_id: UUID,
    answers: Sequence[CapturedAnswer],
) -> Taken:
    """More answers for an import of the tenant."""
    now = datetime.now(UTC)
    origins = Origins.of(tenant_id, run_id, now)
    async with store.transaction() as transaction:
        new = await bind(transaction).add_captured(answers, now)
        await transaction.add(await asyncio.to_thread(captured, origins, _first(answers, new)))
        hit("command-before-commit")
    hit("command-after-commit")
    return Taken(len(new), len(answers) - len(new))


def _first(answers: Sequence[CapturedAnswer], new: set[UUID]) -> list[CapturedAnswer]:
    """The new ones; of two with one id the first."""
    by_id: dict[UUID, CapturedAnswer] = {}
    for item in answers:
        by_id.setdefault(item.answer_id, item)
    return [item for item in by_id.values() if item.answer_id in new]
