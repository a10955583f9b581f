"""The route of searches by meaning."""

from __future__ import annotations

import json
import time
from typing import Annotated

from contracts.events.marketing import HitKind
from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.commands.searches import request_search
from gateway.domain.errors import SearchUnanswered
from gateway.schemas.common import NoNul
from gateway.schemas.recommendations import SearchView

router = APIRouter(tags=["marketing"], responses=errors(401, 403, 422, 429, 503))
RETRY_SECONDS = 2
EVERYTHING: tuple[HitKind, ...] = ("message", "answer")
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=NoNul)
]


@router.get("/v1/search", response_model=SearchView, summary="Search what was said, by meaning")
async def search(
    caller: Reader,
    ports: PortsOf,
    q: Annotated[Question, Query(description="what to look for, in any words")],
    kind: Annotated[
        list[HitKind] | None, Query(max_length=2, description="left out: messages and answers")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="hits at most")] = 10,
    wait: Annotated[float, Query(gt=0, le=30, description="for an answer, in seconds")] = 10.0,
) -> Response:
    """The messages of users and the answers of models that are nearest in meaning, nearest first.

    Of the tenant's own. If no answer comes in time, ask again: nothing is kept of the question.
    """
    started = time.perf_counter()
    kinds = tuple(dict.fromkeys(kind or EVERYTHING))
    search_id = await request_search(ports.publish, caller.tenant_id, q, kinds, limit)
    answer = await ports.searches.wait(caller.tenant_id, search_id, wait)
    if answer is None:
        raise _unanswered(f"no answer came within {wait:g} seconds")
    if answer.failure is not None:
        raise _unanswered(f"nothing could be looked for: {answer.failure}")
    took_ms = round((time.perf_counter() - started) * 1000)
    view = json.loads(answer.body) | {"took_ms": took_ms}
    return Response(json.dumps(view, ensure_ascii=False), media_type="application/json")


def _unanswered(said: str) -> SearchUnanswered:
    return SearchUnanswered(said, f"try again in {RETRY_SECONDS} seconds", RETRY_SECONDS)
