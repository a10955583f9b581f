"""What the executor's tests share: a PostgreSQL server, and a database for each module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import llm_executor
import pytest
import pytest_asyncio
from bus.migrate import migrate
from bus.stores.postgres import Pool, connect
from call_store_kit import Kit, MemoryKit, PostgresKit
from devkit.embedded import EmbeddedPostgres

MIGRATIONS = Path(llm_executor.__file__).parent / "migrations"
EMPTY = "TRUNCATE completions, cancellations, budgets, catalogs"


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
    """Connections to an empty database; as many as the tests have holders at once."""
    opened = await connect(dsn, "llm-executor tests", size=6)
    await opened.execute(EMPTY)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    """An empty call store on each backend."""
    if request.param == "memory":
        return MemoryKit()
    return PostgresKit(request.getfixturevalue("pool"))
