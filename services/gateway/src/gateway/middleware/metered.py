"""Notes what each key uses."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.domain.usage import Request, UsageLedger
from gateway.middleware.observed import route_of
from gateway.middleware.state import CALLER, state_of


class Metered:
    """Counts the requests of accepted keys, with their time and the bytes of their bodies."""

    def __init__(self, app: ASGIApp, ledger: UsageLedger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, received, sent = time.perf_counter(), 500, 0, 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive_counted, send_counted)
        finally:
            caller = state_of(scope).get(CALLER)
            if caller is not None:
                seconds = time.perf_counter() - started
                request = Request(scope["method"], route_of(scope), status, seconds, received, sent)
                self._ledger.note(caller.key_id, request)
