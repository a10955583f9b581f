"""Redis over TLS, with a CA of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devkit.embedded import EmbeddedRedis
from devkit.tls import Authority, Certificate, TlsProxy
from gateway.adapters.connections import commands, watching
from redis.exceptions import ConnectionError as NotConnected

pytestmark = pytest.mark.asyncio


@pytest.fixture
def proxy(redis: EmbeddedRedis, certificate: Certificate) -> Iterator[TlsProxy]:
    with TlsProxy(Path(redis.url.removeprefix("unix://")), certificate) as started:
        yield started


def url(proxy: TlsProxy, ca: Path, host: str = "127.0.0.1") -> str:
    return f"rediss://{host}:{proxy.port}/0?ssl_ca_certs={ca}"


@pytest.mark.parametrize("opened", [commands, watching])
async def test_the_authority_is_trusted_and_no_other(
    proxy: TlsProxy, authority: Authority, stranger: Authority, opened: type
) -> None:
    client = opened(url(proxy, authority.file))
    assert await client.ping()
    await client.aclose()
    system = f"rediss://127.0.0.1:{proxy.port}/0"
    for wrong in (system, url(proxy, stranger.file), url(proxy, authority.file, "localhost")):
        refused = opened(wrong)
        with pytest.raises(NotConnected, match=r"(?i)certificate"):
            await refused.ping()
        await refused.aclose()
