"""What every request and response passes: ids, security headers, CORS, compression, body limits."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import structlog
from fastapi import FastAPI, Request
from gateway.api import CORS_EXPOSED, Ports, create_app
from gateway.middleware.problems import REQUEST_ID
from services.gateway.tests.accounts import holder
from services.gateway.tests.calling_api import MAX_BODY_BYTES, Api, assert_marked, ports_of, problem
from services.gateway.tests.kits import Kit
from starlette.responses import StreamingResponse

pytestmark = pytest.mark.asyncio
KEYS = "/v1/keys"
IMPORTS = "/v1/visibility/imports"
MAX_IMPORT_BYTES = 100_000
ORIGIN = "https://app.example.com"


def ports(kit: Kit, **changes: Any) -> Ports:
    given: dict[str, Any] = {
        "cors_origins": (ORIGIN,),
        "trusted_proxies": (ip_network("10.0.0.0/8"),),
        "max_import_bytes": MAX_IMPORT_BYTES,
    }
    return replace(ports_of(kit), **given | changes)


def extended(app: FastAPI) -> FastAPI:
    """The app with routes that do what those of others will."""

    @app.post(f"{IMPORTS}/test")
    async def counted(request: Request) -> dict[str, int]:
        return {"bytes": sum([len(chunk) async for chunk in request.stream()])}

    @app.post(f"{IMPORTS}/parsed")
    async def parsed(body: dict[str, Any]) -> dict[str, int]:
        return {"fields": len(body)}

    @app.get("/test/defect")
    async def defect() -> None:
        raise RuntimeError("password=hunter2")

    @app.get("/test/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(iter([b"data: x\n\n" * 1000]), media_type="text/event-stream")

    @app.get("/test/cached")
    async def cached() -> StreamingResponse:
        headers = {"Cache-Control": "max-age=60", "Content-Security-Policy": "default-src 'self'"}
        return StreamingResponse(iter([b"x"]), headers=headers)

    return app


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    app = extended(create_app(ports(kit)))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield await Api(http, kit, "", "").another_tenant()


@pytest.mark.parametrize("given", ["a", "req-1", "A.b_c:d/e+f=", "x" * 128])
async def test_a_callers_request_id_is_taken_over(api: Api, given: str) -> None:
    response = await api.call("GET", KEYS, {"X-Request-Id": given})
    assert response.headers.get_list("x-request-id") == [given]
    refused = await api.http.get(KEYS, headers={"X-Request-Id": given})
    assert refused.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "<script>", "a\tb", "ü", '"quoted"'])
async def test_an_odd_request_id_is_replaced(api: Api, given: str) -> None:
    response = await api.http.get(KEYS, headers=[(b"X-Request-Id", given.encode())])
    body = problem(response, 401, "unauthorized")
    assert body["request_id"] == response.headers["x-request-id"] != given


async def test_every_problem_names_its_request(api: Api) -> None:
    big = b" " * (MAX_BODY_BYTES + 1)
    for response in (
        await api.http.get(KEYS),
        await api.http.get("/nothing"),
        await api.call("PUT", KEYS),
        await api.call("POST", KEYS, json={}),
        await api.call("POST", KEYS, content=big),
        await api.http.get("/test/defect"),
    ):
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert_marked(response)


async def test_requests_have_ids_of_their_own(api: Api) -> None:
    ids = {(await api.http.get(KEYS)).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


async def test_logs_name_the_request(api: Api) -> None:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as logs:
        await api.http.get("/test/defect", headers={"X-Request-Id": "mine"})
        logging.getLogger("elsewhere").info("nothing")
    assert [entry.get("request_id") for entry in logs] == ["mine"]
    assert structlog.contextvars.get_contextvars().get("request_id") is None
    assert REQUEST_ID.get() is None


async def test_answers_forbid_what_they_need_not(api: Api) -> None:
    policy = (await api.call("GET", KEYS)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_what_a_route_says_itself_counts(api: Api) -> None:
    headers = (await api.http.get("/test/cached")).headers
    assert headers.get_list("cache-control") == ["max-age=60"]
    assert headers.get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_of_docs_runs_its_own_scripts_only(api: Api, path: str) -> None:
    page = await api.http.get(path)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    allowed = policy.partition("script-src ")[2].partition(";")[0].split()
    assert "'unsafe-inline'" not in allowed
    assert "'self'" in allowed
    for script in re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    assert re.findall(r"<script (?!src=\")", page.text) == []
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert source.startswith("/"), source
        assert (await api.http.get(source)).status_code == 200
    assert re.findall(r"<[^>]+\son\w+=", page.text) == []


@pytest.mark.parametrize(
    ("peer", "headers", "secure"),
    [
        ("10.0.0.1", {"X-Forwarded-Proto": "https"}, True),
        ("10.0.0.1", {"X-Forwarded-Proto": "https, http"}, False),
        ("10.0.0.1", {"X-Forwarded-Proto": "http"}, False),
        ("10.0.0.1", {}, False),
        ("203.0.113.5", {"X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_https_is_demanded_of_who_came_by_it(
    api: Api, peer: str, headers: dict[str, str], secure: bool
) -> None:
    app = api.http._transport.app  # type: ignore[attr-defined]
    transport = httpx2.ASGITransport(app=app, client=(peer, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        response = await http.get(KEYS, headers=headers)
    assert ("strict-transport-security" in response.headers) == secure


async def test_a_page_of_a_named_origin_may_ask_first(api: Api) -> None:
    preflight = await api.http.options(
        KEYS,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization, idempotency-key, content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert_marked(preflight)


async def test_answers_to_a_named_origin_can_be_read(api: Api) -> None:
    for response in (
        await api.call("GET", KEYS, {"Origin": ORIGIN}),
        await api.http.get(KEYS, headers={"Origin": ORIGIN}),
        await api.http.get("/test/defect", headers={"Origin": ORIGIN}),
    ):
        assert response.headers["access-control-allow-origin"] == ORIGIN
        exposed = response.headers["access-control-expose-headers"].split(", ")
        assert sorted(exposed) == sorted(CORS_EXPOSED)
        assert {"RateLimit", "Retry-After", "Location", "X-Request-Id"} <= set(exposed)


async def test_other_origins_may_not(api: Api) -> None:
    asked = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "GET"}
    for response in (
        await api.http.options(KEYS, headers=asked),
        await api.call("GET", KEYS, {"Origin": "https://evil.example.com"}),
        await api.call("GET", KEYS, {"Origin": "null"}),
    ):
        assert "access-control-allow-origin" not in response.headers


async def test_by_default_no_origin_may(kit: Kit) -> None:
    api = await Api.over(kit, ports(kit, cors_origins=()))
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert (await api.http.options(KEYS, headers=asked)).status_code == 405
    response = await api.call("GET", KEYS, {"Origin": ORIGIN})
    assert "access-control-allow-origin" not in response.headers
    await api.http.aclose()


async def test_large_answers_are_compressed_for_who_takes_it(api: Api) -> None:
    for _ in range(5):
        await holder(api)
    plain = await api.call("GET", KEYS, {"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = await api.call("GET", KEYS, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert "Accept-Encoding" in packed.headers["vary"]


async def test_small_answers_and_events_are_not_compressed(api: Api) -> None:
    for path in ("/v1/tenants/x", "/test/events"):
        response = await api.call("GET", path, {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in response.headers


async def chunks(size: int, piece: int = 1000) -> AsyncIterator[bytes]:
    for _ in range(size // piece):
        yield b" " * piece


@pytest.mark.parametrize("declared", [True, False])
async def test_an_import_may_be_larger_than_other_requests(api: Api, declared: bool) -> None:
    size = MAX_IMPORT_BYTES
    assert size > MAX_BODY_BYTES
    content: Any = b" " * size if declared else chunks(size)
    response = await api.call("POST", f"{IMPORTS}/test", content=content)
    assert response.json() == {"bytes": size}


@pytest.mark.parametrize("path", [f"{IMPORTS}/test", f"{IMPORTS}/parsed"])
@pytest.mark.parametrize("declared", [True, False])
async def test_an_import_has_a_limit_too(api: Api, path: str, declared: bool) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * MAX_IMPORT_BYTES:
            sent += 1000
            yield b" " * 1000

    content: Any = b" " * (MAX_IMPORT_BYTES + 1) if declared else endless()
    headers = {"Content-Type": "application/json"}
    response = await api.call("POST", path, headers, content=content)
    assert str(MAX_IMPORT_BYTES) in problem(response, 413, "body-too-large")["hint"]
    assert sent <= 2 * MAX_IMPORT_BYTES


@pytest.mark.parametrize("path", [KEYS, f"{IMPORTS}/test"])
async def test_what_is_declared_too_large_is_not_read(api: Api, path: str) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b" "

    headers = {"Content-Length": str(MAX_IMPORT_BYTES + 1)}
    problem(await api.call("POST", path, headers, content=body()), 413, "body-too-large")
    assert read == 0


async def test_a_path_that_only_looks_like_imports_has_the_small_limit(api: Api) -> None:
    response = await api.call("POST", f"{IMPORTS}x", content=b" " * (MAX_BODY_BYTES + 1))
    problem(response, 413, "body-too-large")


async def test_a_compressed_body_is_not_unpacked(api: Api) -> None:
    bomb = gzip.compress(json.dumps({"name": "k" * 1_000_000}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await api.call("POST", KEYS, headers, content=bomb)
    problem(response, 400, "unreadable-body")
