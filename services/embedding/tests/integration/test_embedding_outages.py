"""A store that is down is Unavailable, whichever it is; and works again when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from bus.errors import Unavailable
from bus.migrate import migrate
from bus.stores.postgres import connect
from devkit.embedded import EmbeddedPostgres
from devkit.ports import free_port
from devkit.servers.local import ServerUnavailable
from devkit.servers.milvus import MilvusLiteServer
from devkit.stack import Server, start_server
from embedding.adapters.milvus import MilvusVectorIndex
from embedding.adapters.mongo import MongoLake
from embedding.adapters.pgvector import PgVectorIndex
from embedding.adapters.postgres import PostgresLake
from embedding.app import SERVICE
from embedding.domain.models import UserKey, UserPoint
from embedding.settings import Settings
from runtime.settings import BadSettings, load
from services.embedding.tests.conftest import MIGRATIONS
from services.embedding.tests.lake_kit import ADA, message, state, vector

pytestmark = pytest.mark.asyncio
T = TypeVar("T")


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[Server]:
    try:
        server = start_server("mongo", tmp_path / "mongo")
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server


async def test_postgres(server_folder: Path) -> None:
    server = await EmbeddedPostgres.start(server_folder / "postgres")
    dsn = await server.database("embedding")
    await migrate(dsn, MIGRATIONS, with_inbox=False)
    pool = await connect(dsn, "tests")
    index = await PgVectorIndex.open(dsn, "m@1", "tests")
    await server.stop()
    with pytest.raises(Unavailable):
        await PostgresLake(pool).states([ADA])
    with pytest.raises(Unavailable):
        await index.remove_user(ADA)
    with pytest.raises(Unavailable):
        await PgVectorIndex.open(dsn, "m@1", "tests")
    pool.terminate()
    index._pool.terminate()


async def test_mongo_and_its_return(mongo: Server) -> None:
    lake = MongoLake(mongo.url)
    await lake.open()
    await lake.add_messages([message()])
    mongo.kill()
    with pytest.raises(Unavailable):
        await lake.add_messages([message()])
    with pytest.raises(Unavailable):
        await lake.save_states([(state(), 0)])
    mongo.restart()
    (kept,) = await lake.add_messages([message()])
    assert kept.message == message()
    await lake.close()


async def test_milvus_lite_that_began_anew_is_told_to_load(tmp_path: Path) -> None:
    with MilvusLiteServer.start(tmp_path / "milvus") as server:
        index = MilvusVectorIndex(server.url, "m@1", 384, consistency="Strong")
        await index.open()
        ada, ben = (UserPoint(UserKey("kaffeehaus", name), 1, vector(1)) for name in ("ada", "ben"))
        await index.put_users([ada, ben])
        server.restart()
        ((near,),) = await _when_up(lambda: index.nearest(ada.user.tenant_id, [ada], 5))
        assert near.user_id == "ben"
        await index.close()


async def _when_up(work: Callable[[], Awaitable[T]]) -> T:
    """The connection takes a moment to come back; until then the server is Unavailable."""
    for _ in range(100):
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.1)
    return await work()


async def test_milvus() -> None:
    index = MilvusVectorIndex(f"http://127.0.0.1:{free_port()}", "m@1", 384)
    with pytest.raises(Unavailable):
        await index.open()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mongo_url": "mongodb://x"},
        {"milvus_uri": "x.db"},
        {"postgres_dsn": "x", "neighbours": 0},
    ],
)
async def test_settings_that_cannot_work_say_so(values: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match="LIMELIGHT_"):
        load(SERVICE.settings, **values)


async def test_addresses_with_passwords_are_not_shown() -> None:
    settings = Settings.model_validate(
        {"mongo_url": "mongodb://me:hidden@x", "milvus_uri": "x.db", "milvus_token": "a:hidden"}
    )
    assert "hidden" not in repr(settings)
