"""A real Neo4j community server as a local process: one database, no container engine.

The jars come from Maven once and stay in ``${LIMELIGHT_CACHE:-~/.cache/limelight}``; each server
has its own data directory and loopback port and keeps both across ``kill`` and ``restart``.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from importlib import resources
from pathlib import Path

from devkit.ports import free_port
from devkit.servers.local import LocalServer, ServerUnavailable
from devkit.servers.maven import Jars

NEO4J_VERSION = "5.26.16"
MINIMUM_JAVA = 17
# The magic of Bolt and the versions a client speaks: 5.0 to 5.4, 4.4, and two empty places.
_HANDSHAKE = bytes.fromhex("6060b017 00040405 00000404 00000000 00000000")


class Neo4jServer(LocalServer):
    """One server without authentication, reachable on the loopback interface only."""

    def __init__(self, data_dir: Path, jars: Path, port: int) -> None:
        source = data_dir / "Server.java"
        source.write_text(
            resources.files("devkit.servers").joinpath("jars", "neo4j", "Server.java").read_text()
        )
        options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        command = ["java", *options, str(source), str(data_dir), str(port)]
        log = data_dir / "logs" / "debug.log"
        self._port = port
        super().__init__("Neo4j", data_dir, command, lambda: _answers(port), [log])

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> Neo4jServer:
        """Start on the data in ``data_dir`` and wait until Bolt answers.

        Raises:
            ServerUnavailable: no JDK 17 or Maven here, or the jars cannot be downloaded.
            RuntimeError: not up in time; with its last log lines.
        """
        _require_java()
        jars = neo4j_jars()
        data_dir.mkdir(parents=True, exist_ok=True)
        server = cls(data_dir.resolve(), jars, port or free_port())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """What a driver connects to."""
        return f"bolt://127.0.0.1:{self._port}"


def neo4j_jars() -> Path:
    """The directory with the server's jars. Raises ServerUnavailable."""
    return Jars("Neo4j", "neo4j", NEO4J_VERSION, 95).path()


def _require_java() -> None:
    """A JDK: the server is started from a source file."""
    if shutil.which("java") is None:
        raise ServerUnavailable("Neo4j: java is not on PATH")
    shown = subprocess.run(["java", "--list-modules"], capture_output=True, text=True, check=False)  # noqa: S607 - whichever java is on PATH
    found = re.search(r"^jdk\.compiler@(\d+)", shown.stdout, re.MULTILINE)
    if found is None:
        raise ServerUnavailable(f"Neo4j: needs a JDK {MINIMUM_JAVA}, java has no compiler")
    if int(found[1]) < MINIMUM_JAVA:
        raise ServerUnavailable(f"Neo4j: needs a JDK {MINIMUM_JAVA}, java is {found[1]}")


def _answers(port: int) -> bool:
    """Whether a Bolt handshake on ``port`` ends with a version that both sides speak."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(_HANDSHAKE)
            return connection.recv(4) not in (b"", bytes(4))
    except OSError:
        return False
