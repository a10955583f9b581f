"""Routes that take in what users said and did: one object as JSON, or many as lines of NDJSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.api.access import Writer
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.api.runs import IdempotencyKey, idempotency
from gateway.api.taking import (
    CONVERSATION,
    ENGAGEMENT,
    JSON,
    B,
    E,
    Kind,
    Source,
    Taking,
    object_of,
    unsupported,
    valid,
)
from gateway.commands.events import Origins
from gateway.commands.facts import record
from gateway.commands.runs import Idempotency
from gateway.domain.errors import InvalidImport
from gateway.domain.models import ApiKey, StoredResponse
from gateway.schemas.common import NoNul
from gateway.schemas.facts import ConversationAccepted, EngagementAccepted, LinesAccepted
from gateway.schemas.lines import NDJSON, SHOWN_ERRORS

CONVERSATIONS, ENGAGEMENTS = "/v1/conversations", "/v1/engagements"
router = APIRouter(tags=["marketing"], responses=errors(400, 401, 403, 409, 413, 415, 422, 429))


def _source(
    file: Annotated[
        str | None,
        Query(min_length=1, max_length=500, pattern=NoNul, description="where the lines are from"),
    ] = None,
    first_line: Annotated[
        int, Query(ge=1, le=2**53, description="where in that file the first of them stands")
    ] = 1,
) -> Source:
    return Source(file, first_line)


SourceOf = Annotated[Source, Depends(_source)]


def _described(kind: Kind[Any, Any], example: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{kind.body.__name__}"}
    return {
        "requestBody": {
            "required": True,
            "description": f"One object as JSON, or many as lines of NDJSON: {kind.needs}.",
            "content": {
                JSON: {"schema": schema},
                NDJSON: {"schema": {"type": "string"}, "example": example},
            },
        }
    }


@router.post(
    CONVERSATIONS,
    status_code=202,
    response_model=ConversationAccepted | LinesAccepted,
    summary="Tell what users said",
    openapi_extra=_described(
        CONVERSATION,
        '{"conversation_id": "c-1", "user_id": "u-ada", "text": "What does it cost?", '
        '"sent_at": "2026-11-20T09:00:00Z"}\n',
    ),
)
async def conversations(
    request: Request,
    caller: Writer,
    ports: PortsOf,
    source: SourceOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take in a conversation, or with NDJSON many, one a line.

    A message that is known already is not taken twice: it is known by its ``message_id``, without
    one by its place in the conversation. A ``text`` alone is a message of its own, and with a
    ``sent_at`` the same one whenever it is sent. Texts may be empty and of any language, up to a
    million characters. Broken lines are left out and listed with their numbers.
    """
    return await _taken(CONVERSATION, request, caller, ports, source, idempotency_key)


@router.post(
    ENGAGEMENTS,
    status_code=202,
    response_model=EngagementAccepted | LinesAccepted,
    summary="Tell what users did with campaigns",
    openapi_extra=_described(
        ENGAGEMENT,
        '{"engagement_id": "e-1", "user_id": "u-ada", "campaign_id": "espresso-week", '
        '"kind": "click", "happened_at": "2026-11-20T09:00:00Z"}\n',
    ),
)
async def engagements(
    request: Request,
    caller: Writer,
    ports: PortsOf,
    source: SourceOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take in an impression, click, conversion or dismissal, or with NDJSON many, one a line.

    The campaign need not be known yet. Broken lines are left out and listed with their numbers.
    """
    return await _taken(ENGAGEMENT, request, caller, ports, source, idempotency_key)


async def _taken(
    kind: Kind[B, E],
    request: Request,
    caller: ApiKey,
    ports: Ports,
    source: Source,
    key: str | None,
) -> Response:
    """Raises UnsupportedMedia, RequestValidationError, InvalidImport, EventTooLarge."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    taking = Taking(kind, Origins.of(caller.tenant_id, None, datetime.now(UTC)), source)
    if media_type == JSON:
        answer = await _one(taking, request, caller, ports, key)
    elif media_type == NDJSON:
        answer = await _many(taking, request, caller, ports, key)
    else:
        raise unsupported(f"this is {JSON} or {NDJSON}, not {media_type[:100]!r}")
    return Response(answer, status_code=202, media_type=JSON)


async def _one(
    taking: Taking[B, E], request: Request, caller: ApiKey, ports: Ports, key: str | None
) -> str:
    given = object_of(await request.body())
    body = valid(taking.kind.body, given)
    event = taking.event(body, 1)
    row = taking.origins.row(taking.kind.topic, event)
    made = json.dumps(taking.kind.made(body, event) | {"event_id": row.envelope.id})
    asked = _asked(request, key, json.dumps(given, sort_keys=True))
    stored = await record(
        ports.store, ports.bind, caller.tenant_id, [row], StoredResponse("", 202, made), asked
    )
    return json.dumps(taking.kind.named(event) | json.loads(stored.body), ensure_ascii=False)


async def _many(
    taking: Taking[B, E], request: Request, caller: ApiKey, ports: Ports, key: str | None
) -> str:
    # Tens of megabytes take seconds to read: other requests go on in the meantime.
    body = await request.body()
    rows, bad = await asyncio.to_thread(taking.rows, body)
    if not rows:
        raise InvalidImport(
            "no line can be taken in",
            f"mend the lines under errors; each needs {taking.kind.needs}",
            [item.model_dump() for item in bad[:SHOWN_ERRORS]],
        )
    view = LinesAccepted(accepted=len(rows), rejected=len(bad), errors=bad[:SHOWN_ERRORS])
    response = StoredResponse("", 202, view.model_dump_json())
    asked = _asked(request, key, f"{NDJSON} {hashlib.sha256(body).hexdigest()}")
    stored = await record(ports.store, ports.bind, caller.tenant_id, rows, response, asked)
    return stored.body


def _asked(request: Request, key: str | None, body: str) -> Idempotency | None:
    """What tells the request from others of the same key; the host that was called does not."""
    return idempotency("POST", f"{request.url.path}?{request.url.query}", key, body)
