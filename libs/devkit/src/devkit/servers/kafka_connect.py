"""Kafka Connect as a local process: a standalone worker with the source that reads files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devkit.servers.kafka import KAFKA_VERSION, require_java
from devkit.servers.maven import Jars

MAIN = "org.apache.kafka.connect.cli.ConnectStandalone"


@contextmanager
def connect_worker(
    folder: Path, worker: Path, connector: Path, environment: Mapping[str, str]
) -> Iterator[Path]:
    """Run a connector until the block ends; where the worker writes its output.

    Raises:
        ServerUnavailable: Java or Maven is missing, or the registry did not deliver.
    """
    require_java()
    jars = connect_jars()
    output = folder / "connect.out"
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", MAIN]
    with output.open("wb") as written:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [*command, str(worker), str(connector)],
            cwd=folder,
            env=os.environ | dict(environment),
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        yield output
    finally:
        process.kill()
        process.wait()


def connect_jars() -> Path:
    """The directory with the worker's jars. Raises ServerUnavailable."""
    return Jars("Kafka Connect", "connect", KAFKA_VERSION, 36).path()
