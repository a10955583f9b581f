"""Pytest fixtures of embedded stores, for every package's tests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devkit.embedded import EmbeddedPostgres


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for servers, gone after the test.

    Not below pytest's own: run by root, PostgreSQL has another user, from whom every pytest that
    starts meanwhile takes the access to that folder.
    """
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL server for the session; tests make databases of their own on it."""
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        server = asyncio.run(EmbeddedPostgres.start(Path(folder) / "postgres"))
        yield server
        asyncio.run(server.stop())
