"""Routes of exports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.api.runs import Revision, RunId, revision_of
from gateway.domain.readings import AnswerFilter, RevisionOf
from gateway.exporting import MEDIA_TYPES, Format, Row, table_rows, written

router = APIRouter(
    prefix="/v1/visibility/runs/{run_id}",
    tags=["visibility"],
    responses=errors(401, 403, 404, 422, 429),
)
ANSWERS, ROWS = 500, 20_000
"""At a time: what is held in memory."""


@router.get(
    "/export",
    summary="Export the answers of a run",
    response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}},
)
async def export(
    run_id: RunId,
    caller: Reader,
    ports: PortsOf,
    form: Annotated[Format, Query(alias="format")] = "csv",
    revision: Revision = None,
) -> StreamingResponse:
    """One row for each answer and each brand that was looked for, failed calls included."""
    wanted = await revision_of(ports, caller, run_id, revision)
    return StreamingResponse(
        written(form, _rows(ports, caller.tenant_id, wanted), asyncio.to_thread),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="limelight-{run_id}.{form}"'},
    )


async def _rows(ports: Ports, tenant_id: str, wanted: RevisionOf) -> AsyncIterator[Iterable[Row]]:
    size = max(1, min(ANSWERS, ROWS // max(1, len(wanted.brands))))
    page = AnswerFilter(revision=wanted.revision, limit=size)
    while True:
        answers = await ports.runs.answers(tenant_id, wanted.run_id, page)
        if answers:
            yield table_rows(wanted.run_id, wanted.revision, wanted.brands, answers)
        if len(answers) < size:
            return
        page = replace(page, after=answers[-1].completion_id)
