"""What the service's tests share: a PostgreSQL server, and a database for each module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import embedding
import pytest
import pytest_asyncio
from bus.migrate import migrate
from bus.stores.postgres import Pool, connect
from devkit.embedded import EmbeddedPostgres

MIGRATIONS = Path(embedding.__file__).parent / "migrations"
EMPTY = "TRUNCATE messages, answers, campaigns, states, tombstones, user_vectors, text_vectors"


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    """A database of the module's own, up to date."""

    async def made() -> str:
        found = await postgres.database(request.module.__name__.rpartition(".")[2])
        await migrate(found, MIGRATIONS, with_inbox=False)
        return found

    return asyncio.run(made())


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """Connections to an empty database."""
    opened = await connect(dsn, "embedding tests", size=6)
    await opened.execute(EMPTY)
    yield opened
    await opened.close()
