"""Neo4j over TLS, with a CA of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bus.errors import Unavailable
from devkit.tls import Authority, Certificate, TlsProxy
from graph_loader.adapters.neo4j import Neo4jGraph
from graph_loader.settings import Settings
from runtime.settings import BadSettings, load

pytestmark = pytest.mark.asyncio


@pytest.fixture
def proxy(neo4j_url: str, certificate: Certificate) -> Iterator[TlsProxy]:
    port = urlsplit(neo4j_url).port
    assert port is not None
    with TlsProxy(port, certificate) as started:
        yield started


async def test_the_authority_is_trusted(proxy: TlsProxy, authority: Authority) -> None:
    url = f"bolt+s://127.0.0.1:{proxy.port}"
    graph = await Neo4jGraph.connect(url, ca_file=authority.file)
    assert await graph.healthy()
    await graph.close()


async def test_nobody_else_is(proxy: TlsProxy, authority: Authority, stranger: Authority) -> None:
    refused: list[tuple[str, Path | None]] = [
        ("127.0.0.1", None),
        ("127.0.0.1", stranger.file),
        ("localhost", authority.file),
    ]
    for host, ca_file in refused:
        with pytest.raises(Unavailable, match=r"(?i)neo4j"):
            await Neo4jGraph.connect(f"bolt+s://{host}:{proxy.port}", ca_file=ca_file)


async def test_a_ca_that_would_not_be_asked(authority: Authority) -> None:
    for url in ("neo4j://db:7687", "bolt+ssc://db:7687", "postgresql://db/graph"):
        with pytest.raises(BadSettings, match="LIMELIGHT_GRAPH_CA_FILE"):
            load(Settings, graph_url=url, graph_ca_file=authority.file)
    load(Settings, graph_url="neo4j+s://db:7687", graph_ca_file=authority.file)
