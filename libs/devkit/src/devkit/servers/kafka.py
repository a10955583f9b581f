"""A real Apache Kafka in KRaft mode as a local process: one node, no container engine.

The jars come from Maven once and stay in ``${LIMELIGHT_CACHE:-~/.cache/limelight}``; each server
has its own data directory and loopback ports and keeps both across ``kill`` and ``restart``.
"""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from devkit.servers.kafka_config import NodeConfig, Secured, random_id
from devkit.servers.local import LocalServer, ServerUnavailable
from devkit.servers.maven import Jars

__all__ = ["KafkaServer", "Secured", "ServerUnavailable", "kafka_jars"]
# The newest release that resolves: 4.4.0 depends on kafka-tools-api 4.4.0, which is not published.
KAFKA_VERSION = "4.3.1"
MINIMUM_JAVA = 17
_LOGGING = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName={log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %c{{1}} %m%n
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


class KafkaServer(LocalServer):
    """One broker and controller in one process, reachable on the loopback interface only."""

    def __init__(
        self, data_dir: Path, jars: Path, config: NodeConfig, cluster: tuple[NodeConfig, ...]
    ) -> None:
        self._settings_file = data_dir / "server.properties"
        self._log_file = data_dir / "kafka.log"
        self._jars = jars
        self._config = config
        self._cluster = cluster
        super().__init__(
            "Kafka" if len(cluster) == 1 else f"Kafka {config.number}",
            data_dir,
            self._java(data_dir, "kafka.Kafka", str(self._settings_file)),
            lambda: _answers(config.internal),
            [self._log_file],
        )

    @classmethod
    def start(
        cls, data_dir: Path, *, port: int | None = None, secured: Secured | None = None
    ) -> KafkaServer:
        """Format ``data_dir`` when it is new, start the broker and wait until it answers.

        Raises:
            ServerUnavailable: no Java 17 or Maven here, or the jars cannot be downloaded.
            RuntimeError: not up in time; with its last log lines.
        """
        require_java()
        jars = kafka_jars()
        data_dir.mkdir(parents=True, exist_ok=True)
        config = NodeConfig.free(clients=port, secured=secured)
        server = cls(data_dir.resolve(), jars, config, (config,))
        server.format(random_id())
        server.launch()
        return server

    @property
    def url(self) -> str:
        """What LIMELIGHT_LOG_URL has to be."""
        scheme = "kafka" if self._config.secured is None else "kafka+ssl"
        return f"{scheme}://{self.bootstrap_servers}"

    @property
    def bootstrap_servers(self) -> str:
        """The ``host:port`` a client connects to."""
        return f"127.0.0.1:{self._config.clients}"

    def _java(self, data_dir: Path, main: str, *arguments: str) -> list[str]:
        logging = data_dir / "log4j2.properties"
        return [
            "java",
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={logging}",
            "-cp",
            f"{self._jars}/*",
            main,
            *arguments,
        ]

    def format(self, cluster_id: str) -> None:
        """Write the settings; format the log directory unless it already holds a cluster."""
        settings = self._config.properties(self.data_dir, self._cluster)
        self._settings_file.write_text(settings)
        (self.data_dir / "log4j2.properties").write_text(_LOGGING.format(log=self._log_file))
        if (self.data_dir / "log" / "meta.properties").exists():
            return
        command = self._java(self.data_dir, "kafka.tools.StorageTool", "format")
        command += ["-t", cluster_id, "-c", str(self._settings_file)]
        command += ["--initial-controllers", ",".join(node.voter for node in self._cluster)]
        command += [] if self._config.secured is None else self._config.secured.scram()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command line
        if done.returncode:
            raise RuntimeError(f"Kafka's StorageTool failed: {done.stdout}{done.stderr}".strip())


def kafka_jars() -> Path:
    """The directory with the server's jars. Raises ServerUnavailable."""
    return Jars("Apache Kafka", "kafka", KAFKA_VERSION, 45).path()


def require_java() -> None:
    if shutil.which("java") is None:
        raise ServerUnavailable("Apache Kafka: java is not on PATH")
    shown = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)  # noqa: S607 - whichever java is on PATH
    found = re.search(r'version "(\d+)', shown.stderr)
    if found is None or int(found[1]) < MINIMUM_JAVA:
        version = found[1] if found else "unknown"
        raise ServerUnavailable(f"Apache Kafka: needs Java {MINIMUM_JAVA}, java is {version}")


def _answers(port: int) -> bool:
    """Whether an ApiVersions request is answered without an error on ``port``."""
    client = b"probe"
    body = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as reply:
                head = reply.read(10)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)
