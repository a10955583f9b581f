"""Requests made from the API's own description: no 5xx, and every answer is as it is described."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx2
import pytest
import schemathesis
from bus.outbox import OutboxRow
from devkit.embedded import EmbeddedRedis
from gateway.adapters.live import RedisLiveText
from gateway.adapters.recommendations import RedisRecommendations
from gateway.adapters.redis import RedisRateLimiter, RedisStreamSlots
from gateway.adapters.searches import RedisSearchAnswers
from gateway.api import Ports, create_app, recommendations
from gateway.commands.searches import Publish
from gateway.domain.access import Allowance, Tier
from gateway.domain.limits import Demo, Limits, RatePolicy
from gateway.domain.recommendations import SearchAnswer
from hypothesis import HealthCheck, settings
from runtime.deadline import Deadline
from runtime.server import HttpServer
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from services.gateway.tests.calling_api import RUNS, Api, ports_of
from services.gateway.tests.feeding import Feed, analyzed, answered, asked
from services.gateway.tests.kits import Kit, redis_on

EXAMPLES = int(os.environ.get("LIMELIGHT_FUZZ_EXAMPLES", "12"))
MANY = 1_000_000
REFUSED_BY_SERVER = b"Invalid HTTP request received."  # e.g. an address of 64 KB
LIMITS = Limits(
    tiers={tier: Allowance(MANY, 100, 50) for tier in Tier},
    address=RatePolicy("address", MANY),
    anonymous=RatePolicy("anonymous", MANY),
    demo=Demo(
        tenant_id="fuzzed-demo",
        models=("simulator/sim-large",),
        requests=RatePolicy("demo", MANY),
        runs=RatePolicy("demo-runs", MANY),
    ),
)
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass
class Served:
    """The API on a port of its own, in a thread of its own, with a run and a brand that are."""

    url: str
    secret: str
    known: dict[str, str]
    document: dict[str, Any]


@dataclass
class _Serving:
    """What has to be stopped in the end."""

    kit: Kit
    redis: EmbeddedRedis
    server: HttpServer
    api: Api
    closing: list[Any]

    async def stop(self) -> None:
        await self.server.stop(Deadline(2))
        await self.api.http.aclose()
        for each in self.closing:
            await each.close()
        await self.kit.close()
        await self.redis.stop()


def _answering(searches: RedisSearchAnswers) -> Publish:
    """A log whose readers answer each search at once, with nothing."""

    async def publish(rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            body = '{"hits": [], "model": "fuzzed@1"}'
            search_id = UUID(json.loads(row.payload)["search_id"])
            await searches.hand_over([SearchAnswer(row.envelope.tenant_id, search_id, body)])

    return publish


async def _serve(dsn: str, folder: Any) -> tuple[_Serving, Served]:
    kit, redis = await Kit.create(dsn), await redis_on(folder)
    live, streams = RedisLiveText(redis.url), RedisStreamSlots(redis.url)
    lists, searches = RedisRecommendations(redis.url), RedisSearchAnswers(redis.url)
    ports = replace(
        ports_of(kit, RedisRateLimiter(redis.url)),
        live=live,
        streams=streams,
        recommendations=lists,
        searches=searches,
        publish=_answering(searches),
        limits=LIMITS,
    )
    assert await lists.finish(await lists.begin() or "")
    await kit.users.ensure_tenant("fuzzed-demo", Tier.FREE)
    app = create_app(ports)
    server, api = HttpServer(app, "127.0.0.1", 0), await Api.over(kit, ports)
    await server.start()
    serving = _Serving(kit, redis, server, api, [live, streams, lists, searches])
    return serving, Served(server.url, api.secret, await _known(api), app.openapi())


async def _known(api: Api) -> dict[str, str]:
    """Ids of what there is. The run has ended, so that its events do."""
    body: dict[str, Any] = {"prompts": ["Which?"], "models": ["openai/gpt-5"], "samples": 1}
    run_id = (await api.start(**body)).json()["run_id"]
    (call,) = await asked(api, run_id)
    await Feed(api.kit).tell(api.tenant_id, answered(call), analyzed(call))
    brand = (await api.call("GET", f"{RUNS}/{run_id}")).json()["brands"][0]
    key = (await api.call("POST", "/v1/keys", json={"name": "to be revoked"})).json()
    return {
        "run_id": run_id,
        "brand_id": brand["brand_id"],
        "key_id": key["key_id"],
        "tenant_id": api.tenant_id,
    }


@pytest.fixture(scope="module")
def served(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recommendations, "LASTS_SECONDS", 0.2)
        patched.setattr(recommendations, "LOOK_SECONDS", 0.1)
        yield from _served(dsn, tmp_path_factory)


def _served(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    folder = tmp_path_factory.mktemp("redis")
    starting: Future[tuple[_Serving, Served]] = asyncio.run_coroutine_threadsafe(
        _serve(dsn, folder), loop
    )
    serving, made = starting.result(60)
    yield made
    asyncio.run_coroutine_threadsafe(serving.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def document() -> dict[str, Any]:
    """The description of the API, which needs no store."""
    nothing: Any = None
    ports = Ports(
        **dict.fromkeys(
            ("store", "bind", "runs", "brands", "live", "keys", "users", "usage"), nothing
        ),
        **dict.fromkeys(("campaigns", "recommendations", "searches", "publish"), nothing),
        rejections=nothing,
        limiter=nothing,
        streams=nothing,
        max_run_completions=1,
        max_body_bytes=1,
    )
    return create_app(ports).openapi()


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_it_is(_: Any, value: Any) -> bytes:
    """Uploads are text."""
    return value.encode(errors="replace") if isinstance(value, str) else b""


schema = schemathesis.openapi.from_dict(document())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.timeout(300)
def test_every_answer_is_as_described(case: Any, served: Served) -> None:
    for ids in ({}, served.known):
        given = dict(case.path_parameters or {})
        case.path_parameters = given | {name: ids[name] for name in given if name in ids}
        mine = {"Authorization": f"Bearer {served.secret}"}
        for headers in (mine, {}):
            response = case.call(base_url=served.url, headers=headers, timeout=60)
            if response.content != REFUSED_BY_SERVER:
                case.validate_response(response, checks=CHECKS)


def test_the_document_names_what_every_route_may_refuse(served: Served) -> None:
    for path, operations in served.document["paths"].items():
        for method, operation in operations.items():
            name, answers = f"{method} {path}", operation["responses"]
            assert any(status.startswith("2") for status in answers), name
            for status, answer in answers.items():
                if status[0] in "45" and "content" in answer:
                    assert list(answer["content"]) == ["application/problem+json"], name
            if operation.get("security"):
                assert {"401", "403", "429"} <= answers.keys(), name
            if "{" in path:
                assert "404" in answers, name


def test_the_document_is_served(served: Served) -> None:
    response = httpx2.get(f"{served.url}/openapi.json", timeout=60)
    assert response.json() == served.document
