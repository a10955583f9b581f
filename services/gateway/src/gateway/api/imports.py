"""Routes of imports: answers that were captured elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from runtime.ids import new_id

from gateway.api.access import Writer
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.api.runs import IdempotencyKey, RunId, created, idempotency, revision_of
from gateway.commands.imports import Taken, add_to_import, open_import
from gateway.commands.runs import Idempotency, WantedBrands
from gateway.domain.errors import InvalidImport, UnsupportedMedia, WrongKind
from gateway.domain.models import CapturedAnswer, Run, RunKind, StoredResponse
from gateway.domain.planning import imported_run
from gateway.schemas.imports import CSV, ImportAccepted, Upload, captured_answer, read_upload
from gateway.schemas.lines import NDJSON, SHOWN_ERRORS
from gateway.schemas.runs import links

router = APIRouter(
    prefix="/v1/visibility/imports",
    tags=["imports"],
    responses=errors(401, 403, 404, 409, 413, 415, 422, 429),
)
_EXAMPLE = (
    '{"id": "q1-chatgpt", "prompt": "Which note app is best?", "surface": "app", '
    '"model": "ChatGPT", "text": "I would take **Notion**.", '
    '"sources": [{"url": "https://notion.so"}], "captured_at": "2026-11-20T09:00:00Z"}\n'
)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One answer a line: prompt, model, text and captured_at, and if known id, "
        "surface (api, app, import), sources, locale, tags and simulated. CSV has the same fields "
        "as columns; in it, tags are separated by semicolons and the addresses of sources by "
        "spaces.",
        "content": {
            NDJSON: {"schema": {"type": "string"}, "example": _EXAMPLE},
            CSV: {
                "schema": {"type": "string"},
                "example": "prompt,surface,model,text,captured_at\n"
                "Which note app is best?,app,ChatGPT,I would take Notion.,2026-11-20T09:00:00Z\n",
            },
        },
    }
}
BrandIds = Annotated[
    list[UUID] | None,
    Query(max_length=200, description="ids of brands to look for; left out: all of yours"),
]
Name = Annotated[str | None, Query(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True)
class _Read:
    upload: Upload
    answers: list[CapturedAnswer]


@router.post(
    "",
    status_code=202,
    response_model=ImportAccepted,
    summary="Import answers",
    openapi_extra=_BODY,
)
async def open_one(
    request: Request,
    caller: Writer,
    ports: PortsOf,
    brand_id: BrandIds = None,
    name: Name = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store answers captured elsewhere and look for brands in them.

    They become a run of their own, with a report like any other. Broken lines are left out and
    listed with their numbers; the good ones are taken in.
    """
    run = imported_run(new_id(), caller.tenant_id, name, (), datetime.now(UTC))
    read = await _read(request, caller.tenant_id, run.run_id)
    key = await _idempotency(request, idempotency_key)

    def answer(made: Run, taken: Taken) -> StoredResponse:
        view = _accepted(made.run_id, read.upload, taken)
        return StoredResponse("", 202, view.model_dump_json())

    wanted = WantedBrands(ids=tuple(dict.fromkeys(brand_id or ())))
    stored = await open_import(ports.store, ports.bind, run, wanted, read.answers, answer, key)
    return created(stored)


@router.post(
    "/{run_id}/answers",
    status_code=202,
    summary="Add answers to an import",
    openapi_extra=_BODY,
)
async def add(run_id: RunId, request: Request, caller: Writer, ports: PortsOf) -> ImportAccepted:
    """More lines for an import; an answer that it has already is not taken twice."""
    found = await revision_of(ports, caller, run_id)
    if found.kind is not RunKind.IMPORTED:
        raise WrongKind(
            f"run {run_id} asked its models itself", "name an import, or make one with a POST"
        )
    read = await _read(request, caller.tenant_id, run_id)
    taken = await add_to_import(ports.store, ports.bind, caller.tenant_id, run_id, read.answers)
    return _accepted(run_id, read.upload, taken)


async def _read(request: Request, tenant_id: str, run_id: UUID) -> _Read:
    """The answers of an upload. Raises UnsupportedMedia, InvalidImport."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {NDJSON, CSV}:
        raise UnsupportedMedia(
            f"an import is {NDJSON} or {CSV}, not {media_type[:100]!r}",
            f"set the header Content-Type: {NDJSON}",
        )
    # Tens of megabytes take seconds to read: other requests go on in the meantime.
    body = await request.body()
    read = await asyncio.to_thread(_taken_apart, body, media_type, tenant_id, run_id)
    if not read.answers:
        raise InvalidImport(
            "no line of the upload can be taken in",
            "mend the lines under errors; each needs prompt, model, text and captured_at",
            [bad.model_dump() for bad in read.upload.bad[:SHOWN_ERRORS]],
        )
    return read


def _taken_apart(body: bytes, media_type: str, tenant_id: str, run_id: UUID) -> _Read:
    upload = read_upload(body, media_type)
    return _Read(upload, [captured_answer(line, tenant_id, run_id) for line in upload.good])


async def _idempotency(request: Request, key: str | None) -> Idempotency | None:
    """By the body's hash: bodies are large. The host that was called is no part of it."""
    if key is None:
        return None
    digest = hashlib.sha256(await request.body()).hexdigest()
    kind = request.headers.get("content-type", "")
    return idempotency("POST", f"{request.url.path}?{request.url.query}", key, f"{kind}\n{digest}")


def _accepted(run_id: UUID, upload: Upload, taken: Taken) -> ImportAccepted:
    return ImportAccepted(
        run_id=run_id,
        accepted=taken.new,
        known=taken.known,
        rejected=len(upload.bad),
        errors=list(upload.bad[:SHOWN_ERRORS]),
        links=links(run_id),
    )
