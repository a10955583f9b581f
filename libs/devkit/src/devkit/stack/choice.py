"""Where servers of tests run: ``LIMELIGHT_SERVERS=auto``, ``containers`` or ``local``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from devkit.servers.kafka import KafkaServer
from devkit.servers.local import ServerUnavailable
from devkit.servers.milvus import MilvusLiteServer
from devkit.servers.mongo import start_mongo
from devkit.servers.neo4j import Neo4jServer
from devkit.servers.postgres import PostgresServer
from devkit.servers.redis import RedisServer
from devkit.stack import engine
from devkit.stack.containers import ContainerServer, why_unavailable
from devkit.stack.server import Server

VARIABLE = "LIMELIGHT_SERVERS"
CHOICES = ("auto", "containers", "local")
LOCAL: Mapping[str, Callable[[Path], Server]] = {
    "kafka": KafkaServer.start,
    "postgres": PostgresServer.start,
    "redis": RedisServer.start,
    "mongo": start_mongo,
    "milvus": MilvusLiteServer.start,
    "neo4j": Neo4jServer.start,
}


def start_server(name: str, folder: Path) -> Server:
    """Start one of ``LOCAL``: a container where one can be had, else a process on ``folder``.

    Raises:
        ServerUnavailable: it cannot be had here in the way that is asked for.
        RuntimeError: it did not come up; with its last log lines.
    """
    missing = why_no_container(name)
    if missing is None or _choice() == "containers":
        server: Server = ContainerServer.start(name)
        _tell(f"{name} is a container, {server.name}")
    else:
        server = LOCAL[name](folder)
        if engine.why_not() is None:  # who has no engine expects nothing else
            _tell(f"{name} is a local process, {server.name}: {missing}")
    return server


def start_container(name: str) -> Server:
    """Start one where only the real server will do.

    Raises:
        ServerUnavailable: no container can be had, or only local processes are wanted.
        RuntimeError: it did not come up; with its last log lines.
    """
    missing = why_no_container(name)
    if missing is not None:
        raise ServerUnavailable(f"{name}: {missing}")
    return ContainerServer.start(name)


def why_no_container(name: str) -> str | None:
    """Why that server is no container here; None if it is one. Raises ServerUnavailable."""
    if _choice() == "local":
        return f"{VARIABLE} is local"
    return why_unavailable(name)


def _choice() -> str:
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in CHOICES:
        raise ServerUnavailable(f"{VARIABLE} is {choice!r}: must be one of {', '.join(CHOICES)}")
    return choice


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
