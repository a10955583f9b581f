"""Routes of reports."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response
from runtime import algebra

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.api.runs import Revision, RunId, revision_of
from gateway.domain.errors import no_run
from gateway.domain.metrics import VERSION
from gateway.domain.models import ApiKey
from gateway.domain.readings import CachedReport, Findings, RevisionOf
from gateway.schemas.reports import ReportView, report_view

router = APIRouter(
    prefix="/v1/visibility/runs/{run_id}",
    tags=["visibility"],
    responses=errors(401, 403, 404, 422, 429),
)
algebra.one_thread()
Pool = Annotated[
    bool, Query(description="sum up answers of all surfaces, which are different products")
]


@router.get("/report", response_model=ReportView, summary="What a run has found")
async def report(
    run_id: RunId,
    caller: Reader,
    ports: PortsOf,
    revision: Revision = None,
    pool_surfaces: Pool = False,
) -> Response:
    """What a run has found so far: every rate with its denominator and a 95 % interval.

    By surface, model and tag. Calls that failed or were not made are in no denominator. The
    metrics and how their intervals are made are told in docs/metrics.md.
    """
    wanted = await revision_of(ports, caller, run_id, revision)
    variant = f"{VERSION}, {'pooled' if pool_surfaces else 'apart'}"
    cached = await ports.runs.cached_report(run_id, wanted.revision, variant)
    if cached is None:
        cached = await _made(ports, caller, wanted, pool_surfaces=pool_surfaces)
        if wanted.ended:
            await ports.runs.cache_report(run_id, wanted.revision, variant, cached)
    return Response(cached.body, media_type="application/json")


async def _made(
    ports: Ports, caller: ApiKey, wanted: RevisionOf, *, pool_surfaces: bool
) -> CachedReport:
    findings = await ports.runs.findings(caller.tenant_id, wanted.run_id, wanted.revision)
    if findings is None:  # deleted in the meantime
        raise no_run(wanted.run_id)
    # Bootstrapping many brands takes a while: other requests go on in the meantime.
    body = await asyncio.to_thread(_written, findings, pool_surfaces)
    return CachedReport(findings.status.run.event_seq, body)


def _written(findings: Findings, pool_surfaces: bool) -> bytes:
    return report_view(findings, pool_surfaces=pool_surfaces).model_dump_json().encode()
