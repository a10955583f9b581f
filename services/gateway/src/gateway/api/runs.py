"""Routes of visibility runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from contracts.ids import prompt_id
from fastapi import APIRouter, Header, Path, Query, Response
from runtime.ids import new_id

from gateway.api.access import Reader, Writer, completions_allowed
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.commands.runs import (
    Idempotency,
    NewRun,
    WantedBrands,
    cancel_run,
    reanalyse,
    start_run,
)
from gateway.domain.catalog import Estimate
from gateway.domain.costing import estimate
from gateway.domain.errors import NotFound, no_run
from gateway.domain.models import ApiKey, Prompt, Run, RunState, StoredResponse
from gateway.domain.readings import RevisionOf, RunStatus
from gateway.domain.rules import request_hash
from gateway.schemas.brands import BrandIn, brand_of, brand_view
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of
from gateway.schemas.runs import (
    PromptIn,
    ReanalysisAccepted,
    ReanalysisRequest,
    RunAccepted,
    RunPage,
    RunRequest,
    RunView,
    accepted_view,
    links,
    run_summary,
    run_view,
)

router = APIRouter(
    prefix="/v1/visibility/runs", tags=["visibility"], responses=errors(401, 403, 422, 429)
)
KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": RunAccepted, "description": "An earlier run of the same input."}
}
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]
RunId = Annotated[UUID, Path(description="id of a run or import of yours")]
Revision = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="of the analysis; left out: the latest")
]


@router.post(
    "",
    status_code=202,
    response_model=RunAccepted,
    summary="Start a run",
    responses=KNOWN | errors(400, 404, 409, 413),
)
async def start(
    body: RunRequest, caller: Writer, ports: PortsOf, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask every model every prompt ``samples`` times, and look for the brands.

    Answers 202; with 200 if a run of the same input is still going (or there is one at all, with
    ``deduplicate``): then that one is shown and nothing is asked.
    """
    key = idempotency("POST", router.prefix, idempotency_key, body)
    return await begin(body, caller, ports, key)


async def begin(
    body: RunRequest, caller: ApiKey, ports: Ports, key: Idempotency | None
) -> Response:
    """Start a run for a key, whatever route it came by."""
    draft = _draft(body, caller.tenant_id)
    wanted = NewRun(
        draft=draft,
        brands=wanted_brands(body.brands),
        prices=await ports.runs.prices(body.models),
        deduplicate=body.deduplicate,
        most_completions=completions_allowed(ports, caller),
    )
    cost = estimate(draft, wanted.prices)
    stored = await start_run(
        ports.store, ports.bind, wanted, lambda run, known: _accepted(run, cost, known=known), key
    )
    return created(stored)


@router.get("", summary="List runs and imports")
async def listed(
    caller: Reader, ports: PortsOf, limit: Limit = 50, cursor: Cursor = None
) -> RunPage:
    """Newest first."""
    before = position_of(cursor, _position)
    found = await ports.runs.newest(caller.tenant_id, limit + 1, before)
    shown, more = found[:limit], len(found) > limit
    last = shown[-1].run if more else None
    return RunPage(
        items=[run_summary(status) for status in shown],
        next_cursor=None if last is None else _cursor(last),
    )


@router.get("/{run_id}", summary="Where a run stands", responses=errors(404))
async def show(run_id: RunId, caller: Reader, ports: PortsOf) -> RunView:
    """Where a run stands: its completions by state, its cost, what it asks and looks for."""
    return run_view(await own_run(ports, caller, run_id))


@router.post("/{run_id}/cancel", status_code=202, summary="Stop a run", responses=errors(404))
async def cancel(run_id: RunId, caller: Writer, ports: PortsOf) -> RunView:
    """Make no further calls. Those under way end and count; the others end as not run."""
    await revision_of(ports, caller, run_id)
    await cancel_run(ports.store, ports.bind, caller.tenant_id, run_id)
    return run_view(await own_run(ports, caller, run_id))


@router.post(
    "/{run_id}/reanalyses",
    status_code=202,
    summary="Analyse the answers anew",
    responses=errors(400, 404, 413),
)
async def analyse_again(
    run_id: RunId, body: ReanalysisRequest, caller: Writer, ports: PortsOf
) -> ReanalysisAccepted:
    """Look for other brands, or with a newer matcher, in the answers that are there.

    No model is called. The result is another revision of the run's analysis; those before stay
    as they are and can be asked for with ``revision=``.
    """
    brands = None if body.brands is None else wanted_brands(body.brands)
    revision, used = await reanalyse(ports.store, ports.bind, caller.tenant_id, run_id, brands)
    return ReanalysisAccepted(
        run_id=run_id,
        revision=revision,
        brands=[brand_view(brand) for brand in used],
        links=links(run_id),
    )


async def own_run(ports: Ports, caller: ApiKey, run_id: UUID) -> RunStatus:
    """The caller's run. Raises NotFound."""
    status = await ports.runs.status(caller.tenant_id, run_id)
    if status is None:
        raise no_run(run_id)
    return status


async def revision_of(
    ports: Ports, caller: ApiKey, run_id: UUID, revision: int | None = None
) -> RevisionOf:
    """A revision of the caller's run, by default the latest. Raises NotFound."""
    found = await ports.runs.revision(caller.tenant_id, run_id, revision)
    if found is not None:
        return found
    latest = await ports.runs.revision(caller.tenant_id, run_id, None)
    if latest is None:
        raise no_run(run_id)
    raise NotFound(f"run {run_id} has no revision {revision}", f"the latest is {latest.revision}")


def created(stored: StoredResponse) -> Response:
    """The answer to a command, with the place of what it made."""
    return Response(
        stored.body,
        status_code=stored.status,
        media_type="application/json",
        headers={"Location": json.loads(stored.body)["links"]["run"]},
    )


def wanted_brands(given: Sequence[UUID | BrandIn] | None) -> WantedBrands:
    """The brands of a request, those by id apart from those in full."""
    return WantedBrands(
        ids=tuple(dict.fromkeys(item for item in given or () if isinstance(item, UUID))),
        inline=tuple(brand_of(item) for item in given or () if isinstance(item, BrandIn)),
    )


def idempotency(
    method: str, path: str, key: str | None, body: RunRequest | str
) -> Idempotency | None:
    """The key of a request with what tells it from other requests."""
    if key is None:
        return None
    asked = body if isinstance(body, str) else body.model_dump(mode="json")
    return Idempotency(key, request_hash(method, path, asked))


def _draft(body: RunRequest, tenant_id: str) -> Run:
    return Run(
        run_id=new_id(),
        tenant_id=tenant_id,
        brands=(),
        prompts=tuple(_prompt(item, tenant_id) for item in body.prompts),
        models=tuple(body.models),
        samples=body.samples,
        expected=0,
        state=RunState.RUNNING,
        started_at=datetime.now(UTC),
        budget_usd=body.budget_usd,
        name=body.name,
        system_prompt=body.system_prompt,
        temperature=body.temperature,
        stream=body.stream,
    )


def _prompt(item: str | PromptIn, tenant_id: str) -> Prompt:
    given = item if isinstance(item, PromptIn) else PromptIn(text=item)
    return Prompt(
        prompt_id(tenant_id, given.text, given.locale, given.persona),
        given.text,
        tuple(dict.fromkeys(given.tags)),
        given.locale,
        given.persona,
    )


def _accepted(run: Run, cost: Estimate, *, known: bool) -> StoredResponse:
    view = accepted_view(run, cost, deduplicated=known)
    return StoredResponse("", 200 if known else 202, view.model_dump_json())


def _cursor(run: Run) -> str:
    return cursor_of(run.started_at.isoformat(), str(run.run_id))


def _position(started_at: str, run_id: str) -> tuple[datetime, UUID]:
    at = datetime.fromisoformat(started_at)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC), UUID(run_id)
