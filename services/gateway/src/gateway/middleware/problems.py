"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

from starlette.responses import JSONResponse

PROBLEM = "application/problem+json"
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered."""


def problem(status: int, code: str, title: str, hint: str, **more: Any) -> JSONResponse:
    """An RFC 9457 problem; ``hint`` says what to do about it."""
    headers = more.pop("headers", None)
    body = {"type": f"urn:limelight:problem:{code}", "title": title, "status": status}
    named = {"request_id": REQUEST_ID.get()} if REQUEST_ID.get() else {}
    return JSONResponse(
        {**body, "hint": hint, **named, **more},
        status_code=status,
        media_type=PROBLEM,
        headers=headers,
    )


def defect() -> JSONResponse:
    """The problem of a failure of ours; it tells nothing of its cause."""
    return problem(500, "defect", "The gateway failed.", "Try again; report it with request_id.")


def too_large(limit: int, media_type: str | None = None) -> JSONResponse:
    """The problem of a body over ``limit`` bytes; more is taken as ``media_type``."""
    hint = f"Send at most {limit} bytes; split the request."
    more = "" if media_type is None else f" As {media_type} it may be larger."
    return problem(413, "body-too-large", "The request body is too large.", hint + more)


def too_many(hint: str, retry_after: int) -> JSONResponse:
    """The problem of a spent limit."""
    headers = {"Retry-After": str(retry_after)}
    return problem(429, "rate-limited", "too many requests", hint, headers=headers)


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
