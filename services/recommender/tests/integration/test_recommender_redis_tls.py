"""The recommender's Redis over TLS, with a CA of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from bus.errors import Unavailable
from devkit.embedded import EmbeddedRedis
from devkit.tls import Authority, Certificate, TlsProxy
from recommender.adapters.redis import RedisConnection, RedisLayout

pytestmark = pytest.mark.asyncio


async def test_the_authority_is_trusted_and_no_other(
    redis_server: EmbeddedRedis, certificate: Certificate, authority: Authority, stranger: Authority
) -> None:
    with TlsProxy(Path(redis_server.url.removeprefix("unix://")), certificate) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0"
        connection = RedisConnection(f"{url}?ssl_ca_certs={authority.file}")
        await RedisLayout(connection).mark()
        assert await RedisLayout(connection).known()
        await connection.close()
        named = url.replace("127.0.0.1", "localhost")
        wrong = [url, f"{url}?ssl_ca_certs={stranger.file}"]
        for address in (*wrong, f"{named}?ssl_ca_certs={authority.file}"):
            refused = RedisConnection(address)
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await RedisLayout(refused).known()
            await refused.close()
