"""The gateway's API called in this process, over the ports of a kit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
from bus.publishing import Publisher
from devkit.fake_log import FakeLog
from gateway.adapters.memory import ProcessLiveText, ProcessStreamSlots, UnlimitedRate
from gateway.adapters.recommendations import RedisRecommendations
from gateway.adapters.searches import RedisSearchAnswers
from gateway.api import Ports, create_app
from gateway.domain.ports import RateLimiter
from gateway.domain.rules import new_secret, secret_hash
from runtime.clock import SystemClock
from services.gateway.tests.kits import Kit, a_tenant, an_api_key

RUNS = "/v1/visibility/runs"
MAX_BODY_BYTES = 20_000
PROBLEM = "application/problem+json"
NO_REDIS = "unix:///nowhere/redis.sock"


def a_request(**changes: Any) -> dict[str, Any]:
    """A body that is accepted: 2 prompts x 2 models x 3 samples."""
    body: dict[str, Any] = {
        "brands": [{"name": "Notion", "aliases": ["Notion.so"]}, {"name": "光珈琲"}],
        "prompts": ["Which app should a small team use? 🫘", "And for one person?"],
        "models": ["openai/gpt-5", "openrouter/meta-llama/llama-4"],
        "samples": 3,
    }
    return body | changes


def ports_of(kit: Kit, limiter: RateLimiter | None = None) -> Ports:
    """Ports without a Redis and without a log."""
    return Ports(
        store=kit.store,
        bind=kit.bind,
        runs=kit.runs,
        brands=kit.brands,
        live=ProcessLiveText(),
        keys=kit.keys,
        users=kit.users,
        usage=kit.usage,
        rejections=kit.rejections,
        limiter=limiter or UnlimitedRate(),
        streams=ProcessStreamSlots(),
        campaigns=kit.campaigns,
        recommendations=RedisRecommendations(NO_REDIS),
        searches=RedisSearchAnswers(NO_REDIS),
        publish=Publisher("gateway", FakeLog(), SystemClock()).send,
        max_run_completions=100,
        max_body_bytes=MAX_BODY_BYTES,
    )


@dataclass
class Api:
    """A tenant with a key, and the API it calls."""

    http: httpx2.AsyncClient
    kit: Kit
    tenant_id: str
    secret: str

    @classmethod
    async def over(cls, kit: Kit, ports: Ports | None = None) -> Api:
        app = create_app(ports or ports_of(kit))
        # A defect of the app must come as the response that a client would get.
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        http = httpx2.AsyncClient(transport=transport, base_url="http://gateway")
        return await cls(http, kit, "", "").another_tenant()

    async def another_tenant(self) -> Api:
        """The same API, as a tenant of its own calls it."""
        tenant_id, secret = await a_tenant(self.kit.keys), new_secret()
        await self.kit.keys.add(an_api_key(tenant_id, secret), secret_hash(secret))
        return Api(self.http, self.kit, tenant_id, secret)

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any
    ) -> httpx2.Response:
        """One request with the tenant's key, unless ``headers`` name another."""
        mine = {"Authorization": f"Bearer {self.secret}"}
        return await self.http.request(method, path, headers=mine | (headers or {}), **given)

    async def start(self, headers: dict[str, str] | None = None, **changes: Any) -> httpx2.Response:
        """Ask for a run."""
        return await self.call("POST", RUNS, headers, json=a_request(**changes))


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error, which has all that every error has."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["type"]) == (status, f"urn:limelight:problem:{code}"), body
    assert response.headers["content-type"] == PROBLEM
    assert body["status"] == status
    assert body["title"]
    assert body["hint"]
    assert_marked(response)
    return body


def assert_marked(response: httpx2.Response) -> None:
    """Every response can be named, and is cached or framed nowhere."""
    assert len(response.headers["x-request-id"]) == 36
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
