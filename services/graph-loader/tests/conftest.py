"""What the graph-loader's tests share: one Neo4j server, and times of a day in 2026."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from devkit.servers.local import ServerUnavailable
from devkit.stack import start_server


@pytest.fixture(scope="session")
def neo4j_url() -> Iterator[str]:
    """The server at ``LIMELIGHT_TEST_NEO4J_URL``, which is emptied, or one of our own."""
    given = os.environ.get("LIMELIGHT_TEST_NEO4J_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        try:
            server = start_server("neo4j", Path(folder) / "neo4j")
        except ServerUnavailable as reason:
            pytest.skip(str(reason))
        yield server.url
        server.stop()
