"""The public HTTP API: translate requests into commands and reads, and results into JSON."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from gateway.api import (
    answers,
    brands,
    campaigns,
    demo,
    docs,
    events,
    export,
    facts,
    forgetting,
    imports,
    keys,
    models,
    recommendations,
    rejections,
    reports,
    runs,
    search,
    tenants,
    usage,
    users,
)
from gateway.api.errors import handle_errors
from gateway.api.openapi import describe
from gateway.api.ports import Ports
from gateway.domain import NAME
from gateway.middleware import Addressed, BodyLimit, Defects, Metered, Observed, Streamed
from gateway.schemas.common import Problem
from gateway.schemas.lines import NDJSON

__all__ = ["Ports", "create_app"]
IMPORTS = "/v1/visibility/imports"
LINES = (facts.CONVERSATIONS, facts.ENGAGEMENTS)
CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_ACCEPTED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Prefer",
    "traceparent",
    "X-Request-Id",
)
CORS_EXPOSED = (
    "Content-Disposition",
    "Limelight-Source",
    "Location",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-Id",
)


def create_app(ports: Ports) -> FastAPI:
    """The ASGI app over its ports."""
    app = FastAPIOffline(  # its docs page loads nothing from elsewhere
        title="Limelight",
        version="0.1.0",
        summary="How AI assistants talk about brands, measured; and what people should see next.",
        docs_url=None,  # ours have a security policy
        redoc_url=None,
        static_url=docs.STATIC,
        responses={"4XX": {"model": Problem}, "5XX": {"model": Problem}},
    )
    app.state.ports = ports
    # Asked in this order: what is called most comes first.
    for part in (recommendations, facts, campaigns, search, forgetting, rejections):
        app.include_router(part.router)
    for part in (runs, answers, reports, events, export, imports, brands, models):
        app.include_router(part.router)
    for part in (keys, users, tenants, usage, demo, docs):
        app.include_router(part.router)
    _add_middleware(app, ports)
    handle_errors(app)
    describe(app)
    return app


def _add_middleware(app: FastAPI, ports: Ports) -> None:
    """The innermost first. None holds back what is streamed."""
    streamed = {
        IMPORTS: Streamed(ports.max_import_bytes),
        **dict.fromkeys(LINES, Streamed(ports.max_import_bytes, NDJSON)),
    }
    app.add_middleware(BodyLimit, limit=ports.max_body_bytes, streamed=streamed)
    app.add_middleware(
        Addressed, limiter=ports.limiter, limits=ports.limits, trusted=ports.trusted_proxies
    )
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(Defects)
    if ports.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(ports.cors_origins),
            allow_methods=CORS_METHODS,
            allow_headers=CORS_ACCEPTED,
            expose_headers=CORS_EXPOSED,
        )
    app.add_middleware(Metered, ledger=ports.ledger)
    app.add_middleware(Observed, service=NAME)
