"""Routes for callers without a key: what the demo tenant has found, and small runs in its name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from gateway.api import reports, runs
from gateway.api.access import spend
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.domain.access import Scope, Tier
from gateway.domain.errors import Forbidden, InvalidRun, no_run
from gateway.domain.limits import Demo
from gateway.domain.models import ApiKey, RunKind
from gateway.middleware import BUCKET
from gateway.schemas.demo import DEMO_RUNS, DemoRunRequest, DemoRuns, demo_accepted, full_request
from gateway.schemas.reports import ReportView
from gateway.schemas.runs import RunAccepted, RunView, run_summary, run_view

router = APIRouter(prefix=DEMO_RUNS, tags=["demo"], responses=errors(403, 429))
MOST_COMPLETIONS = 12
_SHOWN, _LOOKED_AT = 20, 100
_NOBODY = UUID(int=0)


async def _visitor(ports: PortsOf, request: Request) -> ApiKey:
    """Someone without a key who is within the limit: a reader of the demo tenant."""
    demo = ports.limits.demo
    await spend(ports, request, demo.requests, getattr(request.state, BUCKET))
    if demo.tenant_id is None:
        raise Forbidden(
            "there is no demo here", "who runs this platform can name a tenant for it: DEMO_TENANT"
        )
    return ApiKey(
        key_id=_NOBODY,
        tenant_id=demo.tenant_id,
        name="visitor",
        prefix="",
        created_at=datetime.now(UTC),
        scopes=frozenset({Scope.READ}),
        tier=Tier.FREE,
    )


Visitor = Annotated[ApiKey, Depends(_visitor)]


@router.get("", summary="Finished runs, without a key")
async def listed(visitor: Visitor, ports: PortsOf) -> DemoRuns:
    """The newest finished runs of the demo tenant, and the models that yours may ask."""
    found = await ports.runs.newest(visitor.tenant_id, _LOOKED_AT, None)
    asked = [status for status in found if status.run.kind is RunKind.ASKED]
    ended = [status for status in asked if status.run.finished_at is not None]
    return DemoRuns(
        items=[run_summary(status) for status in ended[:_SHOWN]],
        models=list(ports.limits.demo.models),
    )


@router.post(
    "",
    status_code=202,
    response_model=RunAccepted,
    summary="Start a small run, without a key",
    responses=runs.KNOWN | errors(422),
)
async def start(
    body: DemoRunRequest, visitor: Visitor, ports: PortsOf, request: Request
) -> Response:
    """At most 3 brands, 2 prompts and 12 answers. Anyone can see what it finds.

    Answers 200 with the run of the same input, if there is one.
    """
    demo = ports.limits.demo
    models = _models(body, demo)
    asked = len(body.prompts) * len(models) * body.samples
    if asked > MOST_COMPLETIONS:
        raise InvalidRun(
            f"{asked} completions, allowed are {MOST_COMPLETIONS}",
            "ask for fewer samples, models or prompts, or get a key",
        )
    await spend(ports, request, demo.runs, "all")
    stored = await runs.begin(
        full_request(body, models, str(demo.budget_usd)), visitor, ports, None
    )
    accepted = demo_accepted(bytes(stored.body))
    return Response(
        accepted.model_dump_json(),
        status_code=stored.status_code,
        media_type="application/json",
        headers={"Location": accepted.links["run"]},
    )


@router.get("/{run_id}", summary="Where a run stands, without a key", responses=errors(404, 422))
async def show(run_id: runs.RunId, visitor: Visitor, ports: PortsOf) -> RunView:
    """Where a run of the demo tenant stands."""
    await _check_asked(run_id, visitor, ports)
    return run_view(await runs.own_run(ports, visitor, run_id))


@router.get(
    "/{run_id}/report",
    response_model=ReportView,
    summary="What a run has found, without a key",
    responses=errors(404, 422),
)
async def report(run_id: runs.RunId, visitor: Visitor, ports: PortsOf) -> Response:
    """What a run of the demo tenant has found so far."""
    await _check_asked(run_id, visitor, ports)
    return await reports.report(run_id, visitor, ports)


async def _check_asked(run_id: UUID, visitor: ApiKey, ports: Ports) -> None:
    """Answers that someone has imported are not for everyone."""
    status = await runs.own_run(ports, visitor, run_id)
    if status.run.kind is not RunKind.ASKED:
        raise no_run(run_id)


def _models(body: DemoRunRequest, demo: Demo) -> list[str]:
    if not demo.models:
        raise Forbidden(
            "no model can be asked without a key",
            "use an API key; who runs this platform can list models in DEMO_MODELS",
        )
    models = body.models or [demo.models[0]]
    others = [model for model in models if model not in demo.models]
    if others:
        raise Forbidden(
            f"{', '.join(others)} cannot be asked without a key",
            f"use an API key, or ask {', '.join(demo.models)}",
        )
    return models
