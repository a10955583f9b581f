"""PostgreSQL over TLS: pool, outbox and migrations take the DSN's word, and trust nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from bus.errors import Unavailable
from bus.migrate import migrate
from bus.stores.postgres import PostgresOutbox, connect
from devkit.embedded import EmbeddedPostgres
from devkit.tls import Authority, Certificate, TlsProxy
from libs.bus.tests.toy_stores import Server

pytestmark = pytest.mark.asyncio


@pytest.fixture
def proxy(postgres: Server, certificate: Certificate) -> Iterator[TlsProxy]:
    async def made() -> str:
        return await (await EmbeddedPostgres.start(postgres.folder)).database("over_tls")

    folder = parse_qs(urlsplit(asyncio.run(made())).query)["host"][0]
    with TlsProxy(Path(folder) / ".s.PGSQL.5432", certificate, postgres=True) as started:
        yield started


def dsn(proxy: TlsProxy, ca: Path, host: str = "127.0.0.1") -> str:
    trust = f"sslmode=verify-full&sslrootcert={ca}"
    return f"postgresql://postgres@{host}:{proxy.port}/over_tls?{trust}"


async def test_pool_outbox_and_migrations(
    proxy: TlsProxy, authority: Authority, tmp_path: Path
) -> None:
    own = dsn(proxy, authority.file)
    (tmp_path / "0001.toy.sql").write_text("CREATE TABLE toy (id int)")
    await migrate(own, tmp_path)
    pool = await connect(own, "tls", size=2)
    outbox = PostgresOutbox(own, "tls")
    assert await outbox.acquire()
    waiting = asyncio.create_task(outbox.wait(20))
    await asyncio.sleep(0)
    started = asyncio.get_running_loop().time()
    await pool.execute("NOTIFY outbox")
    await waiting
    assert asyncio.get_running_loop().time() - started < 20, "woken, not timed out"
    assert await pool.fetchval("SELECT count(*) FROM toy") == 0
    await outbox.release()
    await pool.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_another_name_or_another_authority(
    proxy: TlsProxy, authority: Authority, stranger: Authority, host: str, tmp_path: Path
) -> None:
    wrong = dsn(proxy, authority.file if host == "localhost" else stranger.file, host)
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        await connect(wrong, "tls")
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        await PostgresOutbox(wrong, "tls").acquire()
    with pytest.raises(psycopg.OperationalError, match=r"(?i)certificate"):
        await migrate(wrong, tmp_path)
