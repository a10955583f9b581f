"""Routes of the single answers of a run."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.api.runs import Revision, RunId, revision_of
from gateway.domain.readings import AnswerFilter
from gateway.schemas.answers import AnswerPage, Outcome, State, answer_view
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of

router = APIRouter(
    prefix="/v1/visibility/runs/{run_id}",
    tags=["visibility"],
    responses=errors(401, 403, 404, 422, 429),
)
Named = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/answers", summary="The answers of a run")
async def answers(  # noqa: PLR0913 - one argument for each filter
    run_id: RunId,
    caller: Reader,
    ports: PortsOf,
    *,
    model: Named = None,
    surface: Named = None,
    prompt_id: UUID | None = None,
    brand_id: Annotated[UUID | None, Query(description="answers in which it occurs")] = None,
    outcome: Annotated[Outcome | None, Query(description="of that brand, else of any")] = None,
    state: State | None = None,
    revision: Revision = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AnswerPage:
    """Texts with what was found in them; failed calls with their cause."""
    analysis = await revision_of(ports, caller, run_id, revision)
    wanted = AnswerFilter(
        revision=analysis.revision,
        limit=limit + 1,
        after=position_of(cursor, UUID),
        model=model,
        surface=surface,
        prompt_id=prompt_id,
        brand_id=brand_id,
        outcome=outcome,
        state=state,
    )
    rows = await ports.runs.answers(caller.tenant_id, run_id, wanted)
    shown, more = rows[:limit], len(rows) > limit
    return AnswerPage(
        items=[answer_view(row) for row in shown],
        revision=wanted.revision,
        next_cursor=cursor_of(str(shown[-1].completion_id)) if more else None,
    )
