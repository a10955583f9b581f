"""Starting, cancelling and analysing runs anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from bus.failpoint import hit
from bus.store import T, TransactionalStore

from gateway.commands.events import Origins, cancelled, reanalysis, run_events
from gateway.domain.catalog import Price
from gateway.domain.costing import check_budget, check_models
from gateway.domain.errors import IdempotencyConflict, NotFound, no_run
from gateway.domain.models import Brand, Run, StoredResponse
from gateway.domain.planning import check_brands, check_run, input_hash, plan
from gateway.domain.ports import RunRepository

Bind = Callable[[T], RunRepository]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An Idempotency-Key and the hash of the request it came with."""

    key: str
    request_hash: str


@dataclass(frozen=True, slots=True)
class WantedBrands:
    """Brands as a request names them: some by id, some in full. None of both: all there are."""

    ids: tuple[UUID, ...] = ()
    inline: tuple[Brand, ...] = ()

    async def found(self, repository: RunRepository, tenant_id: str) -> tuple[Brand, ...]:
        """The brands. Raises NotFound: the tenant has none of an id; InvalidRun."""
        if not self.ids and not self.inline:
            brands = tuple(await repository.all_brands(tenant_id))
            check_brands(brands)
            return brands
        check_brands(self.inline)
        known = {b.brand_id: b for b in await repository.brands_by_id(tenant_id, self.ids)}
        missing = [str(brand_id) for brand_id in self.ids if brand_id not in known]
        if missing:
            raise NotFound(f"no brand {', '.join(missing)}", "GET /v1/brands lists yours")
        inline = await repository.named_brands(tenant_id, self.inline)
        brands = (*(known[brand_id] for brand_id in self.ids), *inline)
        check_brands(brands)
        return brands


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as asked for; its brands are still to be found, and whether it may be.

    ``prices`` are those of its models, as far as they are known.
    """

    draft: Run
    brands: WantedBrands
    prices: Mapping[str, Price | None]
    deduplicate: bool
    most_completions: int

    async def checked(self, repository: RunRepository) -> Run:
        """The run with all its parts. Raises NotFound, InvalidRun."""
        brands = await self.brands.found(repository, self.draft.tenant_id)
        run = replace(self.draft, brands=brands)
        run = replace(run, expected=check_run(run, self.most_completions))
        check_models(run, self.prices)
        check_budget(run, self.prices)
        return replace(run, input_hash=input_hash(run))


Answer = Callable[[Run, bool], StoredResponse]
"""What to answer for a run; the flag tells that it is an earlier one."""


async def start_run(
    store: TransactionalStore[T],
    bind: Bind[T],
    wanted: NewRun,
    answer: Answer,
    idempotency: Idempotency | None,
) -> StoredResponse:
    """Accept a run and owe the log its events; a repeated key gets the first answer.

    Raises:
        IdempotencyConflict: the key was used for another request.
        NotFound: a brand is named by an id that the tenant has not.
        InvalidRun: its parts do not fit together, a model is not there, the budget is too small,
            or an event of it is too large for its topic.
    """
    tenant_id = wanted.draft.tenant_id
    async with store.transaction() as transaction:
        repository = bind(transaction)
        earlier = await earlier_response(repository, tenant_id, idempotency)
        if earlier is not None:
            return earlier
        run = await wanted.checked(repository)
        known = await repository.open_like(tenant_id, run.input_hash, ended=wanted.deduplicate)
        if known is None:
            # Tens of thousands of calls take a while to write: other requests go on meanwhile.
            completions = await asyncio.to_thread(lambda: list(plan(run)))
            await repository.add_run(run, completions)
            await transaction.add(await asyncio.to_thread(run_events, run, completions))
        response = answer(known or run, known is not None)
        await remember(repository, tenant_id, idempotency, response)
        hit("command-before-commit")
    hit("command-after-commit")
    return response


async def cancel_run(
    store: TransactionalStore[T], bind: Bind[T], tenant_id: str, run_id: UUID
) -> None:
    """Stop the calls of a run that are not made yet; one that has ended stays as it is."""
    origins = Origins.of(tenant_id, run_id, datetime.now(UTC))
    async with store.transaction() as transaction:
        if not await bind(transaction).cancel(tenant_id, run_id, origins.now):
            return
        await transaction.add([cancelled(origins, run_id)])
        hit("command-before-commit")
    hit("command-after-commit")


async def reanalyse(
    store: TransactionalStore[T],
    bind: Bind[T],
    tenant_id: str,
    run_id: UUID,
    brands: WantedBrands | None,
) -> tuple[int, Sequence[Brand]]:
    """Analyse the stored answers of a run anew; the new revision and its brands.

    ``brands`` None: with those that it has, for a newer matcher.

    Raises:
        NotFound: the tenant has no such run, or no such brand.
        InvalidRun: the brands cannot be told apart.
    """
    origins = Origins.of(tenant_id, run_id, datetime.now(UTC))
    async with store.transaction() as transaction:
        repository = bind(transaction)
        wanted = None if brands is None else await brands.found(repository, tenant_id)
        made = await repository.add_revision(tenant_id, run_id, wanted, origins.now)
        if made is None:
            raise no_run(run_id)
        await transaction.add([reanalysis(origins, run_id, *made)])
        hit("command-before-commit")
    hit("command-after-commit")
    return made


async def earlier_response(
    repository: RunRepository, tenant_id: str, idempotency: Idempotency | None
) -> StoredResponse | None:
    """What the key was answered before. Raises IdempotencyConflict."""
    if idempotency is None:
        return None
    stored = await repository.remembered(tenant_id, idempotency.key)
    if stored is not None and stored.request_hash != idempotency.request_hash:
        raise IdempotencyConflict(
            "this Idempotency-Key was used for another request",
            "use a new key for a new request; repeat the same body with the same key",
        )
    return stored


async def remember(
    repository: RunRepository,
    tenant_id: str,
    idempotency: Idempotency | None,
    response: StoredResponse,
) -> None:
    """Keep the answer for the next request with the same key."""
    if idempotency is not None:
        stored = replace(response, request_hash=idempotency.request_hash)
        await repository.remember(tenant_id, idempotency.key, stored)
