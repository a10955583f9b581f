"""A server of MongoDB's protocol: mongod where it is on PATH, else FerretDB."""

from __future__ import annotations

import shutil
from pathlib import Path

from devkit.ports import free_port
from devkit.servers.ferretdb import FerretDBServer
from devkit.servers.local import LocalServer, listens


class MongodServer(LocalServer):
    """MongoDB itself, one node without authentication on the loopback interface."""

    def __init__(self, data_dir: Path, binary: str, port: int) -> None:
        command = [binary, "--dbpath", str(data_dir), "--bind_ip", "127.0.0.1"]
        command += ["--port", str(port), "--nounixsocket", "--quiet"]
        self._port = port
        super().__init__("MongoDB", data_dir, command, lambda: listens(port))

    @property
    def url(self) -> str:
        """What a driver connects to."""
        return f"mongodb://127.0.0.1:{self._port}"


def start_mongo(data_dir: Path, *, port: int | None = None) -> MongodServer | FerretDBServer:
    """Start on the data in ``data_dir`` and wait until it answers.

    Raises:
        ServerUnavailable: neither server can be had; the message says why.
        RuntimeError: not up in time; with its last log lines.
    """
    binary = shutil.which("mongod")
    if binary is None:
        return FerretDBServer.start(data_dir, port=port)
    data_dir.mkdir(parents=True, exist_ok=True)
    server = MongodServer(data_dir.resolve(), binary, port or free_port())
    server.launch()
    return server
