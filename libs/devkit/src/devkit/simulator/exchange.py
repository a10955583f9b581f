"""One HTTP exchange over bare ASGI, including the ways in which it can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from devkit.simulator.faults import Fault, FaultKind
from devkit.simulator.stopping import Stopping
from devkit.simulator.wire.dialect import Events
from devkit.simulator.wire.errors import ApiError, too_large

RawHeaders = list[tuple[bytes, bytes]]
_JSON = b"application/json"
_EVENT_STREAM = b"text/event-stream; charset=utf-8"
_COMMENT = b": OPENROUTER PROCESSING\n\n"
_GARBAGE = b"<!doctype html><html><body><h1>Bad gateway</h1></body></html>\n"
_HALVED = frozenset({FaultKind.CUT, FaultKind.HANG_STREAM, FaultKind.STREAM_ERROR})


class Disconnected(Exception):
    """The client left before its request was complete."""


class BrokenOff(Exception):
    """A response that is left unfinished on purpose: the server drops its connection."""


def response_headers(
    content_type: bytes, length: int | None = None, extra: Mapping[str, str] | None = None
) -> RawHeaders:
    """Raw headers of a response, always with the simulated marker."""
    headers = [(b"content-type", content_type), (b"x-limelight-simulated", b"true")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if extra:
        headers += [(name.encode(), value.encode()) for name, value in extra.items()]
    return headers


class Exchange:
    """A request being answered. ``status`` is what was sent, empty until something was.

    ``extra`` are headers of whatever answer there will be.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: Stopping) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.status = ""
        self.extra: dict[str, str] = {}
        self._receive = receive
        self._send = send
        self._stopping = stopping

    async def read(self, limit: int) -> bytes:
        """The whole request body. Raises ``Disconnected``, ``ApiError`` 413 beyond ``limit``."""
        body, size = bytearray(), 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:  # what is too long is read to its end, but not kept
                body += part
            if not message.get("more_body"):
                break
        if size > limit:
            raise too_large(limit)
        return bytes(body)

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's own shutdown."""
        await self._stopping.pause(seconds)

    async def hang(self, seconds: float) -> None:
        """Say nothing until the client gives up; 504 after ``seconds`` or at shutdown."""
        if not await self._left_within(seconds):
            raise ApiError(504, "The simulated time-out is over.", kind="server_error")

    async def _left_within(self, seconds: float) -> bool:
        client_left = asyncio.ensure_future(self._receive())
        paused = asyncio.ensure_future(self.pause(seconds))
        try:
            await asyncio.wait({client_left, paused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            paused.cancel()
            client_left.cancel()
        return client_left.done() and not client_left.cancelled()

    async def answer(self, body: bytes, fault: Fault) -> None:
        """Send a JSON body: whole, not parseable, cut off half-way or silent from there on."""
        if fault.kind is FaultKind.MALFORMED:
            body = body[: len(body) * 2 // 3]
        await self._start(200, _JSON, len(body))
        if fault.kind in _HALVED:
            await self._write(body[: len(body) // 2], more=True)
            await self._break_off(fault)
        await self._write(body)

    async def garbage(self) -> None:
        """Send 200 with a page of HTML, as a proxy in between might."""
        await self._start(200, b"text/html; charset=utf-8", len(_GARBAGE))
        await self._write(_GARBAGE)

    async def begin_stream(self, *, comment: bool) -> None:
        """Send the headers of a stream and, if asked to, a comment, which is no event."""
        await self._start(200, _EVENT_STREAM)
        if comment:
            await self._write(_COMMENT, more=True)

    async def stream(self, events: Events, fault: Fault, failure: bytes) -> None:
        """Send server-sent events as the fault has it, half of them before the failure."""
        every = [*events.content, *events.closing]
        middle = events.middle
        if fault.kind is FaultKind.NO_FINISH:
            every = events.content
        elif fault.kind is FaultKind.MALFORMED:
            every[middle] = _broken(every[middle])
        elif fault.kind in _HALVED:
            every = every[:middle]
        for at, event in enumerate(every):
            if at and fault.chunk_delay_s:
                await self.pause(fault.chunk_delay_s)
            await self._write(event, more=True)
        if fault.kind is FaultKind.STREAM_ERROR:
            await self._write(failure, more=True)
        elif fault.kind in _HALVED:
            await self._break_off(fault)
        await self._write(b"")

    async def fail(self, status: int, body: bytes, retry_after_s: float | None) -> None:
        """Send an error."""
        if retry_after_s is not None:
            self.extra["retry-after"] = f"{retry_after_s:g}"
        await self._start(status, _JSON, len(body))
        await self._write(body)

    async def _break_off(self, fault: Fault) -> None:
        if fault.kind is FaultKind.HANG_STREAM:
            await self._left_within(fault.timeout_s)
        raise BrokenOff

    async def _start(self, status: int, content_type: bytes, length: int | None = None) -> None:
        self.status = str(status)
        headers = response_headers(content_type, length, self.extra)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, body: bytes, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _broken(event: bytes) -> bytes:
    """Half of the event's data, so that it cannot be parsed."""
    lines = event.rstrip(b"\n")
    start = lines.index(b"data: ")
    return lines[: start + (len(lines) - start) // 2] + b"\n\n"
