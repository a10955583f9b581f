"""Limits of request bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.problems import too_large


@dataclass(frozen=True, slots=True)
class Streamed:
    """The limit of bodies that a route reads by itself; only those of ``media_type``, if given."""

    limit: int
    media_type: str | None = None


class BodyLimit:
    """Refuses a body over ``limit`` bytes before it is read whole, by length or while it comes.

    ``streamed`` are limits of path prefixes whose routes read the body in pieces: those bodies are
    counted as they pass and never held.
    """

    def __init__(
        self, app: ASGIApp, limit: int, streamed: Mapping[str, Streamed] | None = None
    ) -> None:
        self._app = app
        self._limit = limit
        self._streamed = dict(streamed or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = self._found(scope["path"])
        if found is not None and found.media_type in {None, _media_type(scope)}:
            if _declared(scope) > found.limit:
                await too_large(found.limit)(scope, receive, send)
            else:
                await self._app(scope, _counted(receive, found.limit), send)
            return
        body = None if _declared(scope) > self._limit else await self._read(receive)
        if body is None:
            larger = None if found is None else found.media_type
            await too_large(self._limit, larger)(scope, receive, send)
        else:
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

    def _found(self, path: str) -> Streamed | None:
        for prefix, found in self._streamed.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return found
        return None


def _media_type(scope: Scope) -> str:
    given: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return given.partition(b";")[0].strip().lower().decode("latin-1")


def _declared(scope: Scope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() else 0


def _counted(receive: Receive, limit: int) -> Receive:
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:  # answered like the route's own errors: it may be reading already
            raise HTTPException(413, f"Send at most {limit} bytes; split the request.")
        return message

    return counted


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
