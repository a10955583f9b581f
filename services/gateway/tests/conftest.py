"""What the gateway's tests share: a PostgreSQL server, and stores on each backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import gateway
import pytest
import pytest_asyncio
from bus.migrate import migrate
from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from gateway.adapters import connections
from services.gateway.tests.kits import Kit, redis_on

MIGRATIONS = Path(gateway.__file__).parent / "migrations"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that a busy machine slows down is not taken for one that hangs."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 30.0)


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    """A database of the module's own, up to date."""

    async def made() -> str:
        found = await postgres.database(request.module.__name__.rpartition(".")[2])
        await migrate(found, MIGRATIONS)
        return found

    return asyncio.run(made())


@pytest_asyncio.fixture
async def kit(dsn: str) -> AsyncIterator[Kit]:
    """The gateway's stores."""
    made = await Kit.create(dsn)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    server = await redis_on(tmp_path / "redis")
    yield server
    await server.stop()
