"""The outermost layers: request ids, traces, timing, security headers, defects."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from contracts import telemetry
from opentelemetry.trace import Span, SpanKind, use_span
from runtime.ids import new_id
from runtime.logging import logger
from runtime.metrics import histogram
from runtime.tracing import context_from, tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from gateway.middleware.problems import REQUEST_ID, defect
from gateway.middleware.state import QUOTA_HEADERS, SECURE, state_of

_TRACER = tracer("limelight.gateway")
_log = logger(__name__)
_SANE_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
)
"""Each response has these, unless its route says otherwise."""
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Observed:
    """Gives each request an id, a server span that continues the caller's trace, and a timing."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id, started, status = _request_id(headers), time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _marked(scope, message, request_id)
            await send(message)

        with _named(request_id), _span(scope, headers) as span:
            try:
                await self._app(scope, receive, send_marked)
            finally:
                route = route_of(scope)
                span.update_name(f"{scope['method']} {route}")
                histogram(telemetry.HTTP_SECONDS).labels(
                    self._service, scope["method"], route, str(status)
                ).observe(time.perf_counter() - started)


class Defects:
    """Answers what the app did not catch, where the answer still gets its marks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            _log.exception("request failed")
            if begun:  # half a response cannot be taken back: the server cuts the connection
                raise
            await defect()(scope, receive, send)


def route_of(scope: Scope) -> str:
    """The template of the path, so that ids are in no label."""
    route: str = getattr(scope.get("route"), "path", "unmatched")
    return route


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _SANE_ID.fullmatch(given) else str(new_id())


@contextmanager
def _named(request_id: str) -> Iterator[None]:
    token = REQUEST_ID.set(request_id)
    try:
        with bound_contextvars(request_id=request_id):
            yield
    finally:
        REQUEST_ID.reset(token)


@contextmanager
def _span(scope: Scope, headers: dict[bytes, bytes]) -> Iterator[Span]:
    traceparent = headers.get(b"traceparent", b"").decode(errors="replace") or None
    span = _TRACER.start_span(
        f"{scope['method']}", context=context_from(traceparent), kind=SpanKind.SERVER
    )
    with use_span(span, end_on_exit=True):
        yield span


def _marked(scope: Scope, message: Message, request_id: str) -> list[tuple[bytes, bytes]]:
    own = list(message["headers"])
    names = {name.lower() for name, _ in own}
    state = state_of(scope)
    ours = [*SECURITY_HEADERS, *([HSTS] if state.get(SECURE) else [])]
    missing = [(name, value) for name, value in ours if name not in names]
    return [
        *own,
        *missing,
        (b"x-request-id", request_id.encode()),
        *state.get(QUOTA_HEADERS, ()),
    ]
