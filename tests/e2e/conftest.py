"""A broker for tests of services as processes of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from devkit.kafka_server import KafkaServer
from devkit.local_server import ServerUnavailable
from devkit.stack import Servers


@pytest.fixture
def kafka(server_folder: Path) -> Iterator[KafkaServer]:
    """A broker; the test is skipped with the reason where none can be had."""
    try:
        server = KafkaServer.start(server_folder / "kafka")
    except ServerUnavailable as error:
        pytest.skip(f"Apache Kafka: {error}")
    yield server
    server.stop()


def started(folder: Path, wanted: Collection[str]) -> Servers:
    """Running servers; the test is skipped with the reason where one cannot be had."""
    try:
        return Servers.start(folder, wanted)
    except ServerUnavailable as error:
        pytest.skip(str(error))
