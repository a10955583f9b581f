"""Running the simulator on a port, inside the event loop of whoever needs it."""

from __future__ import annotations

import logging
import socket
from types import TracebackType
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devkit.simulator.app import create_app
from devkit.simulator.config import SimulatorConfig
from devkit.simulator.stats import Stats
from devkit.simulator.stopping import Stopping

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_SHUTDOWN_S = 2
_CUT_MESSAGE = "ASGI callable returned without completing response."


class _Protocol(HttpToolsProtocol):
    """Logs under our own name: a cut connection is asked for, and is no error of a server.

    The process may run other uvicorn servers, whose loggers must stay as they are.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _LOGGER
        self.access_log = False


def _not_a_cut(record: logging.LogRecord) -> bool:
    return record.msg != _CUT_MESSAGE


_LOGGER = logging.getLogger("devkit.simulator.http")
_LOGGER.addFilter(_not_a_cut)


class RunningSimulator:
    """A simulator that is listening; also an async context manager that stops it."""

    def __init__(
        self,
        config: SimulatorConfig,
        stats: Stats,
        server: Server,
        listener: socket.socket,
        stopping: Stopping,
    ) -> None:
        self.config = config
        self.stats = stats
        self._server = server
        self._listener = listener
        self._stopping = stopping
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.port: int = port
        self.root_url = f"http://{shown}:{port}"

    @property
    def base_url(self) -> str:
        """What the openai SDK takes as ``base_url``, e.g. ``http://127.0.0.1:4010/v1``."""
        return f"{self.root_url}/v1"

    async def stop(self) -> None:
        """Stop listening and end every call in flight; doing it twice does nothing more."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        await self._server.shutdown(sockets=[self._listener])

    async def __aenter__(self) -> RunningSimulator:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def serve(
    config: SimulatorConfig, host: str = "127.0.0.1", port: int = 0
) -> RunningSimulator:
    """Start the simulator in the running event loop; port 0 picks a free one.

    Installs no signal handlers and leaves logging alone. Raises ``OSError`` if the address
    cannot be listened on.
    """
    stats, stopping = Stats(), Stopping()
    server = _server(create_app(config, stats=stats, stopping=stopping))
    listener = _listen(host, port)
    # Not Server.serve(): it takes over signals and polls ten times a second for its own end.
    await server.startup(sockets=[listener])
    return RunningSimulator(config, stats, server, listener, stopping)


def _server(app: Any) -> Server:
    settings = Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    settings.load()
    server = Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    return server


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off on accepted connections;
    # without it every response, written in two pieces, may wait for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
