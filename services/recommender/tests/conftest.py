"""What the recommender's tests share: a Redis server for the session, emptied for each test."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from devkit.embedded import EmbeddedRedis
from services.recommender.tests.kits import Kit, memory_kit, redis_kit


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A real redis-server."""
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        server = asyncio.run(EmbeddedRedis.start(Path(folder) / "redis"))
        yield server
        asyncio.run(server.stop())


@pytest_asyncio.fixture
async def on_redis(redis_server: EmbeddedRedis) -> AsyncIterator[Kit]:
    """The stores on an empty Redis."""
    kit = redis_kit(redis_server.url)
    assert kit.redis is not None
    await kit.redis.call("FLUSHALL")
    yield kit
    await kit.redis.close()


@pytest.fixture(params=["memory", "redis"])
def kit(request: pytest.FixtureRequest) -> Kit:
    """The stores on each backend in turn."""
    if request.param == "memory":
        return memory_kit()
    found: Kit = request.getfixturevalue("on_redis")
    return found
