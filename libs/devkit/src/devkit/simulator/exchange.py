"""One HTTP exchange over bare ASGI, including the ways in which it can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from starlette.types import Receive, Scope, Send

from devkit.simulator.chat import encode
from devkit.simulator.errors import ApiError
from devkit.simulator.faults import FaultKind

RawHeaders = list[tuple[bytes, bytes]]
_JSON = b"application/json"
_EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Disconnected(Exception):
    """The client left before its request was complete."""


def response_headers(
    content_type: bytes, length: int | None = None, extra: Mapping[str, str] | None = None
) -> RawHeaders:
    """Raw headers of a response, always with the simulated marker."""
    headers = [(b"content-type", content_type), (b"x-limelight-simulated", b"true")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    headers += [(name.encode(), value.encode()) for name, value in (extra or {}).items()]
    return headers


class Exchange:
    """A request being answered. ``status`` is what was sent, empty until something was."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.status = ""
        self._receive = receive
        self._send = send
        self._stopping = stopping

    async def read(self) -> bytes:
        """The whole request body. Raises ``Disconnected``."""
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message.get("body", b"")
            if not message.get("more_body"):
                return bytes(body)

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's own shutdown."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def hang(self, seconds: float) -> None:
        """Say nothing until the client gives up; 504 after ``seconds`` or at shutdown."""
        client_left = asyncio.ensure_future(self._receive())
        paused = asyncio.ensure_future(self.pause(seconds))
        try:
            await asyncio.wait({client_left, paused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            paused.cancel()
            client_left.cancel()
        if not client_left.done():
            raise ApiError(504, "The simulated time-out is over.", kind="server_error")

    async def answer(self, body: bytes, kind: FaultKind, extra: Mapping[str, str]) -> None:
        """Send a JSON body: whole, not parseable, or cut off half-way."""
        if kind is FaultKind.MALFORMED:
            body = body[: len(body) * 2 // 3]
        await self._start(200, response_headers(_JSON, len(body), extra))
        if kind is FaultKind.CUT:
            await self._write(body[: len(body) // 2], more=True)
        else:
            await self._write(body)

    async def stream(
        self, events: Sequence[bytes], kind: FaultKind, extra: Mapping[str, str]
    ) -> None:
        """Send server-sent events: all, one of them not parseable, or half of them."""
        middle = max(1, len(events) // 2)
        await self._start(200, response_headers(_EVENT_STREAM, None, extra))
        for at, event in enumerate(events):
            if at == middle and kind is FaultKind.CUT:
                return  # an unfinished ASGI response makes the server drop the connection
            broken = at == middle and kind is FaultKind.MALFORMED
            await self._write(_broken(event) if broken else event, more=True)
        await self._write(b"")

    async def fail(self, error: ApiError) -> None:
        """Send an error in OpenAI's shape."""
        body = encode(error.body())
        after = error.retry_after_s
        extra = {} if after is None else {"retry-after": f"{after:g}"}
        await self._start(error.status, response_headers(_JSON, len(body), extra))
        await self._write(body)

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self.status = str(status)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, body: bytes, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _broken(event: bytes) -> bytes:
    """A ``data:`` line whose JSON ends too soon."""
    return event[: len(event) * 2 // 3].rstrip(b"\n") + b"\n\n"
