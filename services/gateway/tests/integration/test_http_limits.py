"""How often who may ask: by key, by address, and by nobody's word about the address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from devkit.embedded import EmbeddedRedis
from fastapi import FastAPI
from gateway.adapters.redis import RedisRateLimiter, RedisStreamSlots
from gateway.api import Ports, create_app
from gateway.api.access import Streamer
from gateway.domain.access import Allowance, Tier
from gateway.domain.limits import Demo, Limits, RatePolicy
from runtime.deadline import Deadline
from runtime.server import HttpServer
from services.gateway.tests.accounts import READ, holder
from services.gateway.tests.calling_api import Api, ports_of, problem
from services.gateway.tests.kits import Kit
from starlette.responses import StreamingResponse

pytestmark = pytest.mark.asyncio
KEYS = "/v1/keys"
HOUR = 3600
PROXY = "10.0.0.1"
LIMITS = Limits(
    tiers={
        Tier.FREE: Allowance(2, 10, 1),
        Tier.PRO: Allowance(4, 10, 2),
        Tier.ENTERPRISE: Allowance(100, 10, 2),
    },
    address=RatePolicy("address", 20, HOUR),
    anonymous=RatePolicy("anonymous", 3, HOUR, strict=True),
    demo=Demo(requests=RatePolicy("demo", 2, HOUR, strict=True)),
)


def ports(kit: Kit, redis: EmbeddedRedis, **changes: Any) -> Ports:
    limiter, streams = RedisRateLimiter(redis.url), RedisStreamSlots(redis.url)
    given: dict[str, Any] = {
        "streams": streams,
        "limits": LIMITS,
        "trusted_proxies": (ip_network("10.0.0.0/8"),),
    }
    return replace(ports_of(kit, limiter), **given | changes)


@pytest_asyncio.fixture
async def api(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Api]:
    made = await Api.over(kit, ports(kit, redis))
    yield made
    await made.http.aclose()


async def asked(
    api: Api, peer: str = "203.0.113.5", headers: Any = None, path: str = KEYS
) -> httpx2.Response:
    """One request as it arrives from ``peer``, with exactly these headers."""
    transport = httpx2.ASGITransport(app=api.http._transport.app, client=(peer, 4711))  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.get(path, headers=headers)


async def test_a_key_has_the_limit_of_its_tier(api: Api) -> None:
    free, pro = await holder(api, tier=Tier.FREE), await holder(api, tier=Tier.PRO)
    statuses = [(await free.call("GET", KEYS)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    statuses = [(await pro.call("GET", KEYS)).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]


async def test_every_answer_tells_the_quota(api: Api) -> None:
    free = await holder(api, tier=Tier.FREE)
    answers = [await free.call("GET", KEYS) for _ in range(3)]
    for answer, left in zip(answers, (1, 0, 0), strict=True):
        headers = answer.headers
        reset = headers["ratelimit-reset"]
        assert 1 <= int(reset) <= 120
        assert headers["ratelimit-policy"] == '"free";q=2;w=60'
        assert headers["ratelimit"] == f'"free";r={left};t={reset}'
        assert headers["ratelimit-limit"] == "2"
        assert headers["ratelimit-remaining"] == str(left)
    body = problem(answers[-1], 429, "rate-limited")
    assert answers[-1].headers["retry-after"] == answers[-1].headers["ratelimit-reset"]
    assert answers[-1].headers["retry-after"] in body["hint"]


async def test_a_forbidden_request_counts_too(api: Api) -> None:
    viewer = await holder(api, tier=Tier.FREE, scopes=READ)
    statuses = [(await viewer.call("GET", "/v1/users")).status_code for _ in range(3)]
    assert statuses == [403, 403, 429]


async def test_without_a_key_an_address_is_soon_stopped(api: Api) -> None:
    answers = [await asked(api, path=path) for path in (KEYS, "/v1/nothing", "/openapi.json", KEYS)]
    assert [answer.status_code for answer in answers] == [401, 404, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"anonymous";q=3;w=3600'
    problem(answers[-1], 429, "rate-limited")
    assert answers[-1].headers["retry-after"]
    assert (await asked(api, peer="203.0.113.6")).status_code == 401


async def test_failed_keys_count_like_no_keys(api: Api) -> None:
    expected = [401, 401, 401, 429]
    wrong = [
        {"Authorization": "Bearer lk_guess"},
        {"Authorization": "Basic bGs6"},
        {},
        {"Authorization": "Bearer lk_guess-again"},
    ]
    assert [(await asked(api, headers=each)).status_code for each in wrong] == expected


async def test_a_revoked_key_counts_as_none(api: Api) -> None:
    gone = await holder(api)
    await holder(api)
    await api.kit.keys.revoke(api.tenant_id, gone.key.key_id, gone.key.created_at)
    headers = {"Authorization": f"Bearer {gone.secret}"}
    statuses = [(await asked(api, headers=headers)).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]


async def test_a_valid_key_passes_where_strangers_are_stopped(api: Api) -> None:
    assert [(await asked(api)).status_code for _ in range(4)][-1] == 429
    mine = {"Authorization": f"Bearer {(await holder(api)).secret}"}
    assert (await asked(api, headers=mine)).status_code == 200


async def test_an_address_is_bounded_whatever_its_keys(api: Api) -> None:
    statuses = []
    for _ in range(6):
        mine = {"Authorization": f"Bearer {(await holder(api)).secret}"}
        statuses += [(await asked(api, headers=mine)).status_code for _ in range(4)]
    assert statuses == [200] * 20 + [429] * 4
    refused = await asked(api)
    assert refused.headers["ratelimit-policy"] == '"address";q=20;w=3600'


@pytest.mark.parametrize(
    "forged",
    [
        lambda n: {"X-Forwarded-For": f"198.51.100.{n}"},
        lambda n: {"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.5"},
        lambda n: {"Forwarded": f"for=198.51.100.{n}"},
        lambda n: {"X-Real-IP": f"198.51.100.{n}"},
    ],
)
async def test_a_client_cannot_choose_its_address(api: Api, forged: Any) -> None:
    statuses = [(await asked(api, headers=forged(n))).status_code for n in range(4)]
    assert statuses == [401, 401, 401, 429]


async def test_behind_a_proxy_each_client_counts_for_itself(api: Api) -> None:
    async def through(client: str, forged: str) -> int:
        headers = {"X-Forwarded-For": f"{forged}, {client}, 10.9.9.9"}
        return (await asked(api, peer=PROXY, headers=headers)).status_code

    assert [await through("198.51.100.1", f"1.1.1.{n}") for n in range(4)] == [401, 401, 401, 429]
    assert await through("198.51.100.2", "198.51.100.1") == 401


async def test_two_forwarded_headers_are_one_list(api: Api) -> None:
    async def through(first: str) -> int:
        headers = [("X-Forwarded-For", first), ("X-Forwarded-For", "198.51.100.7")]
        return (await asked(api, peer=PROXY, headers=headers)).status_code

    assert [await through(f"1.1.1.{n}") for n in range(4)] == [401, 401, 401, 429]


async def test_an_ipv6_client_counts_with_its_network(api: Api) -> None:
    peers = [f"2001:db8:0:1::{n:x}" for n in range(1, 5)]
    statuses = [(await asked(api, peer=peer)).status_code for peer in peers]
    assert statuses == [401, 401, 401, 429]
    assert (await asked(api, peer="2001:db8:0:2::1")).status_code == 401


async def test_without_redis_keys_pass_and_strangers_are_still_stopped(
    kit: Kit, redis: EmbeddedRedis, tmp_path: Path
) -> None:
    away = RedisRateLimiter(f"unix://{tmp_path / 'nobody.sock'}")
    api = await Api.over(kit, ports(kit, redis, limiter=away))
    free = await holder(api, tier=Tier.FREE)
    assert {(await free.call("GET", KEYS)).status_code for _ in range(5)} == {200}
    assert [(await asked(api)).status_code for _ in range(4)] == [401, 401, 401, 429]
    await api.http.aclose()


def streaming(app: FastAPI) -> FastAPI:
    @app.get("/test/stream")
    async def stream(_: Streamer) -> StreamingResponse:
        async def beats() -> AsyncIterator[bytes]:
            for n in range(1200):
                yield f"data: {n} {'x' * 2000}\n\n".encode()
                await asyncio.sleep(0.05)

        return StreamingResponse(beats(), media_type="text/event-stream")

    return app


@pytest_asyncio.fixture
async def served(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Api]:
    """The API behind a real server: only there a response is on its way for a while."""
    server = HttpServer(streaming(create_app(ports(kit, redis))), "127.0.0.1", 0)
    await server.start()
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        yield await Api(http, kit, "", "").another_tenant()
    await server.stop(Deadline(5))


async def test_the_server_does_not_believe_the_header_either(served: Api) -> None:
    statuses = []
    for n in range(4):  # from this machine, which servers like to take for a proxy
        forged = {"X-Forwarded-For": f"198.51.100.{n}", "X-Forwarded-Proto": "https"}
        response = await served.http.get(KEYS, headers=forged)
        assert "strict-transport-security" not in response.headers
        statuses.append(response.status_code)
    assert statuses == [401, 401, 401, 429]


async def test_a_key_has_as_many_streams_as_its_tier(served: Api) -> None:
    await served.kit.pool.execute(
        "UPDATE tenants SET tier = 'enterprise' WHERE tenant_id = $1", served.tenant_id
    )
    big = await holder(served, tier=Tier.ENTERPRISE)
    mine = {"Authorization": f"Bearer {big.secret}", "Accept-Encoding": "gzip"}
    path = "/test/stream"
    async with served.http.stream("GET", path, headers=mine) as one:
        pieces = one.aiter_raw()
        async with asyncio.timeout(30):  # all of it would take a minute: nothing holds it back
            assert (await anext(pieces)).startswith(b"data: 0 ")
        assert "content-encoding" not in one.headers
        async with served.http.stream("GET", path, headers=mine) as two:
            assert two.status_code == 200
            refused = await served.http.get(path, headers=mine)
            assert "2 streams" in problem(refused, 429, "too-many-streams")["title"]
            assert refused.headers["retry-after"]
    async with asyncio.timeout(60):
        while True:  # the server notices that clients are gone with its next write to them
            async with served.http.stream("GET", path, headers=mine) as again:
                if again.status_code == 200:
                    return
            await asyncio.sleep(0.1)
