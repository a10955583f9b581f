"""ASGI middleware of the gateway: request ids, traces, timing, body size, problem details."""

from __future__ import annotations

import json
import time
from typing import Any

from contracts import telemetry
from opentelemetry.trace import SpanKind, use_span
from runtime.ids import new_id
from runtime.logging import logger
from runtime.metrics import histogram
from runtime.tracing import context_from, tracer
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TRACER = tracer("limelight.gateway")
_log = logger(__name__)
PROBLEM = "application/problem+json"
QUOTA_HEADERS = "quota_headers"
"""Where in a request's state the headers are that tell its caller's quota."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def problem(status: int, code: str, title: str, hint: str, **more: Any) -> JSONResponse:
    """An RFC 9457 problem; ``hint`` says what to do about it."""
    headers = more.pop("headers", None)
    body = {"type": f"urn:limelight:problem:{code}", "title": title, "status": status}
    return JSONResponse(
        {**body, "hint": hint, **more}, status_code=status, media_type=PROBLEM, headers=headers
    )


def _defect() -> JSONResponse:
    return problem(
        500, "defect", "The gateway failed.", "Try again; report it with the x-request-id."
    )


class Observed:
    """Gives each request an id, a server span that continues the caller's trace, and a timing."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = str(new_id()), time.perf_counter(), 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = [*SECURITY_HEADERS, (b"x-request-id", request_id.encode())]
                quota = scope.get("state", {}).get(QUOTA_HEADERS, ())
                message["headers"] = [*message["headers"], *marks, *quota]
            await send(message)

        headers = dict(scope["headers"])
        traceparent = headers.get(b"traceparent", b"").decode(errors="replace") or None
        span = _TRACER.start_span(
            f"{scope['method']}", context=context_from(traceparent), kind=SpanKind.SERVER
        )
        with use_span(span, end_on_exit=True):
            try:
                await self._answered(scope, receive, send_marked, request_id)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                histogram(telemetry.HTTP_SECONDS).labels(
                    self._service, scope["method"], route, str(status)
                ).observe(time.perf_counter() - started)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Run the app. A defect is answered here, where the answer still gets its marks."""
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            _log.exception("request failed", request_id=request_id)
            if begun:  # half a response cannot be taken back: the server cuts the connection
                raise
            await _defect()(scope, receive, send)


class BodyLimit:
    """Refuses a body over ``limit`` bytes before it is read whole, by length or while it comes."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        chunks, size = [], 0
        while True:
            message = await receive()
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            413,
            "body-too-large",
            "The request body is too large.",
            f"Send at most {self._limit} bytes; split the request.",
        )
        await response(scope, receive, send)


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def unreadable_json(body: bytes) -> str | None:
    """Why a body is not JSON text, None if it is."""
    try:
        json.loads(body.decode())
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        return f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    except ValueError as error:  # a number too long for Python
        return f"the body is not JSON that can be read: {error}"
    except RecursionError:
        return "the body is nested too deeply"
    return None
