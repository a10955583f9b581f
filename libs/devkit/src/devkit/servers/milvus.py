"""Milvus Lite's own server in the place of Milvus, which is in no package registry."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from devkit.ports import free_port
from devkit.servers.local import LocalServer, ServerUnavailable, listens


class MilvusLiteServer(LocalServer):
    """The protocol and collections of Milvus in one Python process, on the loopback interface."""

    def __init__(self, data_dir: Path, port: int) -> None:
        program = str(Path(sys.executable).with_name("milvus-lite"))
        command = [program, "server", "--data-dir", str(data_dir / "data"), "--host", "127.0.0.1"]
        # One at a time: it loses rows that are written at once when it dies.
        command += ["--port", str(port), "--max-workers", "1"]
        self._port = port
        super().__init__("Milvus Lite", data_dir, command, lambda: listens(port))

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> MilvusLiteServer:
        """Start on the data in ``data_dir`` and wait until it answers.

        Raises:
            ServerUnavailable: the package is not installed.
            RuntimeError: not up in time; with its last log lines.
        """
        if importlib.util.find_spec("milvus_lite") is None:
            raise ServerUnavailable("Milvus Lite: the package milvus-lite is not installed")
        data_dir.mkdir(parents=True, exist_ok=True)
        server = cls(data_dir.resolve(), port or free_port())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"http://127.0.0.1:{self._port}"
