"""MongoDB and Milvus over TLS, with a CA of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bus.errors import Unavailable
from devkit.servers.milvus import MilvusLiteServer
from devkit.tls import Authority, Certificate, TlsProxy
from embedding.adapters.milvus import MilvusVectorIndex
from embedding.adapters.mongo import MongoLake
from embedding.settings import Settings
from runtime.settings import BadSettings, load
from services.embedding.tests.lake_kit import message, mongo_url

pytestmark = pytest.mark.asyncio


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Drivers go on trying where a certificate is wrong."""
    with monkeypatch.context() as short:
        short.setattr("embedding.adapters.mongo.lake.SECONDS", 3)
        short.setattr("embedding.adapters.milvus.index.SECONDS", 1.0)
        yield


async def test_mongo(
    certificate: Certificate,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mongo_url(None, tmp_path) as plain:
        port = urlsplit(plain).port
        assert port is not None
        with TlsProxy(port, certificate) as proxy:
            url = f"mongodb://127.0.0.1:{proxy.port}/?tls=true&directConnection=true"
            trusted = f"{url}&tlsCAFile={authority.file}"
            lake = MongoLake(trusted)
            await lake.open()
            (kept,) = await lake.add_messages([message()])
            assert kept.message == message()
            await lake.close()
            named = trusted.replace("127.0.0.1", "localhost")
            for wrong in (url, f"{url}&tlsCAFile={stranger.file}", named):
                with impatient(monkeypatch):
                    refused = MongoLake(wrong)
                with pytest.raises(Unavailable, match=r"(?i)certificate"):
                    await refused.open()
                await refused.close()


async def test_milvus(
    certificate: Certificate,
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with MilvusLiteServer.start(tmp_path / "milvus") as server:
        port = urlsplit(server.url).port
        assert port is not None
        with TlsProxy(port, certificate) as proxy:
            url = f"https://127.0.0.1:{proxy.port}"
            for wrong, ca_file in [
                (url, None),
                (url, stranger.file),
                (url.replace("127.0.0.1", "localhost"), authority.file),
            ]:
                with impatient(monkeypatch), pytest.raises(Unavailable):
                    await MilvusVectorIndex(wrong, "m@1", 384, ca_file=ca_file).open()
            index = MilvusVectorIndex(url, "m@1", 384, token="root:Milvus", ca_file=authority.file)
            await index.open()
            assert await index.healthy()
            await index.close()


async def test_a_ca_that_would_not_be_asked(authority: Authority) -> None:
    values = {"postgres_dsn": "x", "milvus_ca_file": authority.file}
    for uri in ("http://milvus:19530", "vectors.db", None):
        with pytest.raises(BadSettings, match="LIMELIGHT_MILVUS_CA_FILE"):
            load(Settings, milvus_uri=uri, **values)
