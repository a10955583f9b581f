"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bus.errors import Transient
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.domain.errors import (
    EmailTaken,
    EventTooLarge,
    Forbidden,
    GatewayError,
    IdempotencyConflict,
    InvalidCampaign,
    InvalidCursor,
    InvalidImport,
    InvalidKey,
    InvalidRun,
    LastOwner,
    NameTaken,
    NotFound,
    RateLimited,
    ReadModelUnready,
    RetryLater,
    SearchUnanswered,
    TooManyStreams,
    Unauthorized,
    UnsupportedMedia,
    WrongKind,
)
from gateway.middleware import SOURCE_HEADER, problem, unreadable_json
from gateway.schemas.common import Problem

STATUS: dict[type[GatewayError], int] = {
    InvalidRun: 422,
    InvalidCampaign: 422,
    EventTooLarge: 413,
    InvalidCursor: 422,
    InvalidImport: 422,
    InvalidKey: 422,
    NotFound: 404,
    Unauthorized: 401,
    Forbidden: 403,
    EmailTaken: 409,
    NameTaken: 409,
    WrongKind: 409,
    UnsupportedMedia: 415,
    LastOwner: 409,
    IdempotencyConflict: 409,
    RateLimited: 429,
    TooManyStreams: 429,
    ReadModelUnready: 503,
    SearchUnanswered: 503,
}
_ALTERNATIVES = {"constrained-str", "uuid", "BrandIn", "PromptIn"}
_MEANINGS = {
    400: "The body cannot be read: not UTF-8, not JSON, or nested too deeply.",
    401: "No API key, or one that is unknown, revoked, expired or of a disabled user.",
    403: "The key lacks a scope, or may not do this; the title names what is missing.",
    404: "The caller's tenant has nothing of that id.",
    409: "It contradicts what is there; the type says how.",
    413: "The body is too large.",
    415: "The body is of a kind that the route does not read.",
    422: "The request does not fit its schema, or its pieces do not fit together.",
    429: "A limit is spent; Retry-After says for how long.",
    503: "Not at the moment; Retry-After says when to try again.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route answers besides success, for its description."""
    return {
        status: {"model": Problem, "description": _MEANINGS[status]} for status in sorted(statuses)
    }


def handle_errors(app: FastAPI) -> None:
    """Answer every error with a problem."""
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Transient, _on_unavailable)


async def _on_gateway_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    headers = {}
    if isinstance(error, RetryLater):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, ReadModelUnready):
        headers[SOURCE_HEADER] = "unready"
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    more: dict[str, Any] = {}
    if isinstance(error, InvalidImport):
        more["errors"] = error.errors
    return problem(STATUS[type(error)], error.code, str(error), error.hint, headers=headers, **more)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    unreadable = await _unreadable(request, error)
    if unreadable is not None:
        return problem(400, "unreadable-body", unreadable, "Send UTF-8 JSON.")
    errors = [{"where": _where(item["loc"]), "what": item["msg"]} for item in error.errors()]
    return problem(
        422,
        "invalid-request",
        "The request does not fit its schema.",
        "Mend the fields under errors; the schema is at /docs.",
        errors=errors[:20],
    )


def _where(place: Sequence[str | int]) -> str:
    """The path to a field, without the names of our types where it may be one of several."""
    return ".".join(str(part) for part in place if part not in _ALTERNATIVES)


async def _unreadable(request: Request, error: RequestValidationError) -> str | None:
    if not any(item["type"] == "json_invalid" for item in error.errors()):
        return None
    return unreadable_json(await request.body())


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        said = unreadable_json(await request.body()) or str(error.detail)
        return problem(400, "unreadable-body", said, "Send UTF-8 JSON.")
    if error.status_code == 413:
        return problem(413, "body-too-large", "The request body is too large.", str(error.detail))
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
