"""Limits of request bodies."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware.problems import too_large


class BodyLimit:
    """Refuses a body over ``limit`` bytes before it is read whole, by length or while it comes.

    ``streamed`` are limits of path prefixes whose routes read the body in pieces: those bodies are
    counted as they pass and never held.
    """

    def __init__(self, app: ASGIApp, limit: int, streamed: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._limit = limit
        self._streamed = dict(streamed or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = self._streamed_limit(scope["path"])
        limit = self._limit if streamed is None else streamed
        if _declared(scope) > limit:
            await too_large(limit)(scope, receive, send)
        elif streamed is not None:
            await self._app(scope, _counted(receive, limit), send)
        else:
            await self._buffered(scope, receive, send)

    async def _buffered(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._read(receive)
        if body is None:
            await too_large(self._limit)(scope, receive, send)
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

    def _streamed_limit(self, path: str) -> int | None:
        for prefix, limit in self._streamed.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return limit
        return None


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
