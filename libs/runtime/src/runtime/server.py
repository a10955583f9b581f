"""An HTTP server as a component: uvicorn without its own signal handling."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

import uvicorn

from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.tasks import CANCEL_SECONDS

_log = logger(__name__)


OPEN_SECONDS = 5.0
OPEN_SHARE = 0.25
"""What open requests get of a shutdown, at most: a stream of events never ends by itself, and
what stops after the server needs the rest."""


class PortTaken(OSError):
    """Another process listens there already."""


class HttpServer:
    """Serves one ASGI app on one address. ``port`` 0 picks a free one, known after ``start``."""

    def __init__(self, app: Any, host: str, port: int, *, variable: str = "LIMELIGHT_PORT") -> None:
        self._app = app
        self._host = host
        self._port = port
        self._variable = variable
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Its address as a client would call it."""
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host  # noqa: S104
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Bind and serve. Raises PortTaken, saying which variable picks another port."""
        listener = self._bind()
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # whose word counts for a client's address is the app's to say
            timeout_keep_alive=30,
        )
        self._server = _QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    async def stop(self, deadline: Deadline) -> None:
        """Answer what was asked, within a share of the deadline; then cut what is still open."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        seconds = min(OPEN_SECONDS, OPEN_SHARE * deadline.left)
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        if not done:
            await self._cut(self._server, self._task)

    async def _cut(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """Hang up, so that streams end in order; cancel what goes on for all that."""
        state = server.server_state
        _log.info("requests cut at shutdown", port=self._port, requests=len(state.tasks))
        for connection in list(state.connections):
            connection.transport.close()
        await _ended(state.tasks)
        for request in list(state.tasks):
            request.cancel()
        await _ended(state.tasks)
        server.force_exit = True
        await serving

    def _bind(self) -> socket.socket:
        # The protocol is named because asyncio turns Nagle off only on sockets that say TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            raise PortTaken(
                f"cannot listen on {self._host}:{self._port} ({error.strerror}): stop what uses it "
                f"or set {self._variable} to another port"
            ) from error
        listener.listen(1024)
        return listener


async def _ended(requests: AbstractSet[asyncio.Task[None]]) -> None:
    if requests:
        await asyncio.wait(set(requests), timeout=CANCEL_SECONDS)


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the process's composition root."""
        yield
