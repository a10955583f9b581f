"""A broker for tests of services as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devkit.kafka_server import KafkaServer, ServerUnavailable


@pytest.fixture
def kafka(server_folder: Path) -> Iterator[KafkaServer]:
    """A broker; the test is skipped with the reason where none can be had."""
    try:
        server = KafkaServer.start(server_folder / "kafka")
    except ServerUnavailable as error:
        pytest.skip(f"Apache Kafka: {error}")
    yield server
    server.stop()
