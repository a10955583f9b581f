"""One function per command: key, state and outbox in one transaction (R1 of delivery)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from bus.errors import RecordTooLarge
from bus.failpoint import hit
from bus.outbox import OutboxRow, originate
from bus.store import T, TransactionalStore
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.events.completion import (
    VISIBILITY,
    Budget,
    CompletionBatchCancelled,
    CompletionRequested,
    Message,
    Origin,
)
from contracts.events.visibility import TrackedBrand, VisibilityRunStarted
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_REQUESTED,
    VISIBILITY_RUN_STARTED,
    Topic,
)
from runtime.ids import new_id
from runtime.tracing import traceparent_of

from gateway.domain.errors import IdempotencyConflict, InvalidRun
from gateway.domain.models import PlannedCompletion, Run, StoredResponse
from gateway.domain.ports import RunRepository
from gateway.domain.rules import plan

E = TypeVar("E", bound=Event)
SOURCE = "gateway"
COMPLETION_DEADLINE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Whose event it is, and of which run."""

    tenant_id: str
    run_id: UUID


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An Idempotency-Key and the hash of the request it came with."""

    key: str
    request_hash: str


async def start_run(
    store: TransactionalStore[T],
    bind: Callable[[T], RunRepository],
    run: Run,
    answer: Callable[[Run], StoredResponse],
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Accept a run and owe the log its events; a repeated key gets the first answer.

    Raises:
        IdempotencyConflict: the key was used for another request.
        InvalidRun: an event of the run is larger than its topic allows.
    """
    async with store.transaction() as transaction:
        repository = bind(transaction)
        earlier = await _earlier(repository, run.tenant_id, idempotency)
        if earlier is not None:
            return earlier
        completions = list(plan(run))
        rows = _events(run, completions)
        await repository.add_run(run, completions)
        response = answer(run)
        if idempotency is not None:
            stored = replace(response, request_hash=idempotency.request_hash)
            await repository.remember(run.tenant_id, idempotency.key, stored)
        await transaction.add(rows)
        hit("command-before-commit")
    hit("command-after-commit")
    return response


async def cancel_run(
    store: TransactionalStore[T],
    bind: Callable[[T], RunRepository],
    tenant_id: str,
    run_id: UUID,
) -> None:
    """Stop the calls of a run that are not made yet; one that has ended stays as it is."""
    now = datetime.now(UTC)
    event = CompletionBatchCancelled(parent_id=run_id, cancelled_at=now)
    async with store.transaction() as transaction:
        if not await bind(transaction).cancel(tenant_id, run_id, now):
            return
        origin = _Origin(tenant_id, run_id)
        row = _row(origin, COMPLETION_BATCH_CANCELLED, event, now, traceparent_of())
        await transaction.add([row])
        hit("command-before-commit")
    hit("command-after-commit")


async def _earlier(
    repository: RunRepository, tenant_id: str, idempotency: Idempotency | None
) -> StoredResponse | None:
    if idempotency is None:
        return None
    stored = await repository.remembered(tenant_id, idempotency.key)
    if stored is not None and stored.request_hash != idempotency.request_hash:
        raise IdempotencyConflict(
            "this Idempotency-Key was used for another request",
            "use a new key for a new request; repeat the same body with the same key",
        )
    return stored


def _events(run: Run, completions: Sequence[PlannedCompletion]) -> list[OutboxRow]:
    now, traceparent = datetime.now(UTC), traceparent_of()
    started = VisibilityRunStarted(
        run_id=run.run_id,
        brands=tuple(
            TrackedBrand(brand_id=brand.brand_id, name=brand.name, aliases=brand.aliases)
            for brand in run.brands
        ),
        expected_completions=run.expected,
        started_at=run.started_at,
    )
    first = _row(run, VISIBILITY_RUN_STARTED, started, now, traceparent)
    return [
        first,
        *(
            _row(run, COMPLETION_REQUESTED, _requested(run, item), now, traceparent)
            for item in completions
        ),
    ]


def _requested(run: Run, item: PlannedCompletion) -> CompletionRequested:
    return CompletionRequested(
        completion_id=item.completion_id,
        model=item.model,
        messages=(Message(role="user", content=item.prompt.text),),
        origin=Origin(
            kind=VISIBILITY,
            parent_id=run.run_id,
            item_id=item.prompt.prompt_id,
            sample=item.sample,
        ),
        seed=item.seed,
        deadline_at=run.started_at + COMPLETION_DEADLINE,
        fallbacks=(),
        budget=(
            None
            if run.budget_usd is None
            else Budget(budget_id=run.run_id, limit_usd=run.budget_usd)
        ),
    )


def _row(
    run: Run | _Origin, topic: Topic[E], event: E, now: datetime, traceparent: str | None
) -> OutboxRow:
    envelope = Envelope(
        id=str(new_id()),
        source=SOURCE,
        type=topic.name,
        time=now,
        subject=topic.key_of(event),
        tenant_id=run.tenant_id,
        correlation_id=str(run.run_id),
        traceparent=traceparent,
    )
    try:
        return originate(topic, event, envelope)
    except RecordTooLarge as error:
        raise InvalidRun(
            f"the brands or a prompt make an event that is too large ({error})",
            "name fewer brands or aliases, or shorten the prompt",
        ) from error
