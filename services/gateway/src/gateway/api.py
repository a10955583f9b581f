"""The public HTTP API: translate requests into commands and reads, and results into JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from bus.errors import Transient
from bus.store import TransactionalStore
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from runtime.ids import new_id
from starlette.exceptions import HTTPException

from gateway.commands import Idempotency, cancel_run, start_run
from gateway.domain.errors import (
    GatewayError,
    IdempotencyConflict,
    InvalidRun,
    NotFound,
    RateLimited,
    Unauthorized,
)
from gateway.domain.models import (
    ApiKey,
    Brand,
    Prompt,
    Quota,
    Report,
    Run,
    RunState,
    StoredResponse,
)
from gateway.domain.ports import KeyRepository, RateLimiter, RunReader, RunRepository
from gateway.domain.rules import check_run, new_secret, request_hash, secret_hash, shown_prefix
from gateway.middleware import QUOTA_HEADERS, BodyLimit, Observed, problem, unreadable_json
from gateway.schemas import (
    CreatedKeyView,
    KeyRequest,
    KeyView,
    Problem,
    ReportView,
    RunAccepted,
    RunRequest,
    RunView,
    key_view,
    report_view,
    run_view,
)

NAME = "gateway"
STATUS: dict[type[GatewayError], int] = {
    InvalidRun: 422,
    NotFound: 404,
    Unauthorized: 401,
    IdempotencyConflict: 409,
    RateLimited: 429,
}
_BEARER = HTTPBearer(auto_error=False, description="An API key: lk_...")


@dataclass(frozen=True)
class Ports:
    """Everything the API works through."""

    store: TransactionalStore[Any]
    bind: Callable[[Any], RunRepository]
    runs: RunReader
    keys: KeyRepository
    limiter: RateLimiter
    max_run_completions: int
    max_body_bytes: int


def create_app(ports: Ports) -> FastAPI:
    """The ASGI app over its ports."""
    app = FastAPIOffline(  # its docs page loads nothing from elsewhere
        title="Limelight",
        version="0.1.0",
        summary="How AI assistants talk about brands, measured.",
        responses={"4XX": {"model": Problem}, "5XX": {"model": Problem}},
    )
    app.state.ports = ports
    app.include_router(_visibility())
    app.include_router(_keys())
    app.add_middleware(BodyLimit, limit=ports.max_body_bytes)
    app.add_middleware(Observed, service=NAME)
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Transient, _on_unavailable)
    return app


def _ports(request: Request) -> Ports:
    ports: Ports = request.app.state.ports
    return ports


PortsOf = Annotated[Ports, Depends(_ports)]


async def _caller(
    ports: PortsOf,
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> ApiKey:
    """The key that the request came with, if it is valid and within its limit."""
    if credentials is None:
        raise Unauthorized("no API key", "send the header Authorization: Bearer lk_...")
    key = await ports.keys.by_hash(secret_hash(credentials.credentials))
    if key is None:
        raise Unauthorized("unknown API key", "check the key, or ask its owner for a new one")
    if key.revoked_at is not None:
        raise Unauthorized(
            f"API key {key.prefix}... was revoked at {key.revoked_at.isoformat()}",
            "use another key of the tenant",
        )
    quota = await ports.limiter.spend(str(key.key_id))
    setattr(request.state, QUOTA_HEADERS, _quota_headers(quota))
    if not quota.allowed:
        hint = f"wait {quota.reset_seconds} seconds; the limit is {quota.limit}"
        raise RateLimited("too many requests", hint, quota.reset_seconds)
    return key


def _quota_headers(quota: Quota) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"ratelimit-limit", b"%d" % quota.limit),
        (b"ratelimit-remaining", b"%d" % quota.remaining),
        (b"ratelimit-reset", b"%d" % quota.reset_seconds),
    )


Caller = Annotated[ApiKey, Depends(_caller)]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]


def _visibility() -> APIRouter:
    router = APIRouter(prefix="/v1/visibility/runs", tags=["visibility"])

    @router.post("", status_code=202, response_model=RunAccepted, summary="Start a run")
    async def start(
        body: RunRequest, caller: Caller, ports: PortsOf, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Ask every model every prompt ``samples`` times, and look for the brands."""
        run = _planned(body, caller.tenant_id, ports.max_run_completions)
        stored = await start_run(
            ports.store, ports.bind, run, _accepted, _idempotency(idempotency_key, body)
        )
        location = json.loads(stored.body)["links"]["run"]
        return Response(
            stored.body,
            status_code=stored.status,
            media_type="application/json",
            headers={"Location": location},
        )

    @router.get("/{run_id}", summary="Where a run stands")
    async def show(run_id: UUID, caller: Caller, ports: PortsOf) -> RunView:
        """Where a run stands."""
        return run_view(await _report(ports, caller, run_id))

    @router.post("/{run_id}/cancel", status_code=202, summary="Stop a run")
    async def cancel(run_id: UUID, caller: Caller, ports: PortsOf) -> RunView:
        """Make no further calls. Those under way end and count; the others end as not run."""
        await _report(ports, caller, run_id)
        await cancel_run(ports.store, ports.bind, caller.tenant_id, run_id)
        return run_view(await _report(ports, caller, run_id))

    @router.get("/{run_id}/report", summary="What a run has found")
    async def report(run_id: UUID, caller: Caller, ports: PortsOf) -> ReportView:
        """What a run has found so far: counts with their denominators."""
        return report_view(await _report(ports, caller, run_id))

    return router


def _keys() -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["keys"])

    @router.post("", status_code=201, summary="Make a key")
    async def create(body: KeyRequest, caller: Caller, ports: PortsOf) -> CreatedKeyView:
        """Make another key for the caller's tenant. The secret is shown this once."""
        secret = new_secret()
        key = ApiKey(new_id(), caller.tenant_id, body.name, shown_prefix(secret), datetime.now(UTC))
        await ports.keys.add(key, secret_hash(secret))
        return CreatedKeyView(secret=secret, **key_view(key).model_dump())

    @router.get("", summary="List keys")
    async def listed(caller: Caller, ports: PortsOf) -> list[KeyView]:
        """All keys of the caller's tenant, oldest first."""
        return [key_view(key) for key in await ports.keys.of_tenant(caller.tenant_id)]

    @router.delete("/{key_id}", summary="Revoke a key")
    async def revoke(key_id: UUID, caller: Caller, ports: PortsOf) -> KeyView:
        """Revoke a key of the caller's tenant, at once and for good."""
        key = await ports.keys.revoke(caller.tenant_id, key_id, datetime.now(UTC))
        if key is None:
            raise NotFound(f"no key {key_id}", "list the keys with GET /v1/keys")
        return key_view(key)

    return router


def _planned(body: RunRequest, tenant_id: str, limit: int) -> Run:
    brands = tuple(Brand(new_id(), item.name, tuple(item.aliases)) for item in body.brands)
    prompts = tuple(Prompt(new_id(), text) for text in body.prompts)
    expected = check_run(brands, prompts, body.models, body.samples, limit)
    return Run(
        run_id=new_id(),
        tenant_id=tenant_id,
        brands=brands,
        prompts=prompts,
        models=tuple(body.models),
        samples=body.samples,
        expected=expected,
        state=RunState.RUNNING,
        started_at=datetime.now(UTC),
        budget_usd=body.budget_usd,
    )


def _accepted(run: Run) -> StoredResponse:
    base = f"/v1/visibility/runs/{run.run_id}"
    view = RunAccepted(
        run_id=run.run_id,
        state=run.state.value,
        expected_completions=run.expected,
        links={"run": base, "report": f"{base}/report"},
    )
    return StoredResponse(request_hash="", status=202, body=view.model_dump_json())


def _idempotency(key: str | None, body: RunRequest) -> Idempotency | None:
    if key is None:
        return None
    digest = request_hash("POST", "/v1/visibility/runs", body.model_dump(mode="json"))
    return Idempotency(key, digest)


async def _report(ports: Ports, caller: ApiKey, run_id: UUID) -> Report:
    report = await ports.runs.run(caller.tenant_id, run_id)
    if report is None:
        raise NotFound(f"no run {run_id}", "check the id; runs of other tenants are not shown")
    return report


async def _on_gateway_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(STATUS[type(error)], error.code, str(error), error.hint, headers=headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    unreadable = await _unreadable(request, error)
    if unreadable is not None:
        return problem(400, "unreadable-body", unreadable, "Send UTF-8 JSON.")
    errors = [
        {"where": ".".join(map(str, item["loc"])), "what": item["msg"]} for item in error.errors()
    ]
    return problem(
        422,
        "invalid-request",
        "The request does not fit its schema.",
        "Mend the fields under errors; the schema is at /docs.",
        errors=errors[:20],
    )


async def _unreadable(request: Request, error: RequestValidationError) -> str | None:
    if not any(item["type"] == "json_invalid" for item in error.errors()):
        return None
    return unreadable_json(await request.body())


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        said = unreadable_json(await request.body()) or str(error.detail)
        return problem(400, "unreadable-body", said, "Send UTF-8 JSON.")
    hints = {404: "See /docs for what there is.", 405: "See /docs for the methods of this path."}
    hint = hints.get(error.status_code, "See /docs.")
    return problem(error.status_code, "http", str(error.detail), hint, headers=error.headers)


async def _on_unavailable(_: Request, error: Exception) -> Response:
    assert isinstance(error, Transient)
    return problem(
        503,
        "unavailable",
        "A store is not available at the moment.",
        "Try again; with an Idempotency-Key nothing is done twice.",
        headers={"Retry-After": "2"},
    )
