"""A real Apache Kafka in KRaft mode as a local process: one node, no container engine.

The jars come from Maven once and stay in ``${LIMELIGHT_CACHE:-~/.cache/limelight}``; each server
has its own data directory and loopback ports and keeps both across ``kill`` and ``restart``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from devkit.ports import free_ports

# The newest release that resolves: 4.4.0 depends on kafka-tools-api 4.4.0, which is not published.
KAFKA_VERSION = "4.3.1"
MINIMUM_JAVA = 17
DOWNLOAD_MB = 45
DOWNLOAD_TIMEOUT = 600.0
STARTUP_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0

# The shell outlives its parent only long enough to notice: when the pipe on its standard input
# closes, however the parent died, it kills the server. Works from any thread, unlike PDEATHSIG.
_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- & server=$!
trap 'kill -TERM $server; wait $server; exit' TERM
(cat <&3 >/dev/null; kill -9 $server 2>/dev/null) &
exec 3<&-
wait $server
"""

# A broker that was killed may register again only when its old session has run out, hence 2 s.
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}/log
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
"""

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


class ServerUnavailable(RuntimeError):
    """A local server cannot be had on this machine; the message says which one and why."""


class KafkaServer:
    """One broker and controller in one process, reachable on the loopback interface only."""

    def __init__(self, data_dir: Path, jars: Path, port: int, controller_port: int) -> None:
        self._data_dir = data_dir
        self._jars = jars
        self._port = port
        self._controller_port = controller_port
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, data_dir: Path, *, port: int | None = None) -> KafkaServer:
        """Format ``data_dir`` when it is new, start the broker and wait until it answers.

        Raises:
            ServerUnavailable: no Java 17 or Maven here, or the jars cannot be downloaded.
            RuntimeError: not up in ``STARTUP_TIMEOUT`` seconds; with its last log lines.
        """
        _require_java()
        jars = kafka_jars()
        data_dir.mkdir(parents=True, exist_ok=True)
        broker_port, controller_port = free_ports(2)
        server = cls(data_dir.resolve(), jars, port or broker_port, controller_port)
        server._format()
        server._launch()
        atexit.register(server.kill)
        return server

    @property
    def bootstrap_servers(self) -> str:
        """The ``host:port`` a client connects to."""
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        """End the broker at once with SIGKILL; does nothing when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def restart(self) -> None:
        """Start again on the same data and ports, ending the broker first if it still runs."""
        self.kill()
        self._launch()

    def stop(self) -> None:
        """Shut down in order, or with SIGKILL after ``STOP_TIMEOUT`` seconds; idempotent."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self.kill()
        atexit.unregister(self.kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the broker's log and of its standard output."""
        texts = [_read(self._log_file), _read(self._output_file)]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])

    @property
    def _log_file(self) -> Path:
        return self._data_dir / "kafka.log"

    @property
    def _output_file(self) -> Path:
        return self._data_dir / "stdout.log"

    @property
    def _settings_file(self) -> Path:
        return self._data_dir / "server.properties"

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = self._data_dir / "log4j2.properties"
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

    def _format(self) -> None:
        """Write the settings; format the log directory unless it already holds a cluster."""
        settings = _SETTINGS.format(
            port=self._port, controller=self._controller_port, data=self._data_dir
        )
        self._settings_file.write_text(settings)
        (self._data_dir / "log4j2.properties").write_text(_LOGGING.format(log=self._log_file))
        if (self._data_dir / "log" / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
        command = self._java("kafka.tools.StorageTool", "format", "--standalone")
        command += ["-t", cluster, "-c", str(self._settings_file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command line
        if done.returncode:
            raise RuntimeError(f"Kafka's StorageTool failed: {done.stdout}{done.stderr}".strip())

    def _launch(self) -> None:
        command = self._java("kafka.Kafka", str(self._settings_file))
        with self._output_file.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                ["/bin/sh", "-c", _KEEPER, "keeper", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while not _answers(self._port):
            if process.poll() is not None:
                raise RuntimeError(f"Kafka ended with {process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"Kafka did not answer in {STARTUP_TIMEOUT:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.05)


def kafka_jars() -> Path:
    """The directory with the broker's jars, downloaded with Maven the first time.

    Raises:
        ServerUnavailable: Maven is missing, or the registry did not deliver.
    """
    cache = Path(os.environ.get("LIMELIGHT_CACHE") or Path.home() / ".cache" / "limelight")
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if not jars.is_dir():
        if shutil.which("mvn") is None:
            raise ServerUnavailable("Apache Kafka: Maven (mvn) is not on PATH to fetch its jars")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            _download(Path(work))
            # Somebody else may have finished first: their copy is as good as this one.
            with contextlib.suppress(OSError):
                (Path(work) / "jars").rename(jars)
    return jars


def _download(work: Path) -> None:
    print(
        f"resolving Apache Kafka {KAFKA_VERSION} (about {DOWNLOAD_MB} MB) ...",
        file=sys.stderr,
        flush=True,
    )
    pom = resources.files("devkit").joinpath("kafka", "pom.xml").read_text()
    (work / "pom.xml").write_text(pom)
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-Dkafka.version={KAFKA_VERSION}", f"-DoutputDirectory={work / 'jars'}"]
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            command, cwd=work, capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable(
            f"Apache Kafka: Maven did not finish in {DOWNLOAD_TIMEOUT:.0f} s"
        ) from None
    if done.returncode:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).splitlines()
        errors = [line for line in lines if line.startswith("[ERROR]")]
        raise ServerUnavailable(f"Apache Kafka: Maven failed: {(errors or ['no output'])[0]}")


def _require_java() -> None:
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


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
