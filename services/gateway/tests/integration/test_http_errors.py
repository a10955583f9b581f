"""Whatever a caller gets wrong is a problem with a hint, and so is what goes wrong here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID

import pytest
import pytest_asyncio
from bus.errors import Transient, Unavailable
from contracts import telemetry
from gateway.api import create_app
from runtime import metrics
from services.gateway.tests.calling_api import (
    MAX_BODY_BYTES,
    RUNS,
    Api,
    a_request,
    assert_marked,
    ports_of,
    problem,
)
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
PARTS = ("answers", "cancel", "events", "export", "reanalyses", "report")
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


class Failing:
    """A store and a reader of which every use raises ``error``."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def transaction(self) -> NoReturn:
        raise self._error

    async def prune(self, *_: object) -> int:
        return 0

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error


@pytest.mark.parametrize(
    "given",
    [None, "Bearer lk_unknown", "Bearer ", "Basic bGs6", "Bearer lk_ü"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", RUNS), ("GET", f"{RUNS}/{UUID(int=1)}"), ("GET", "/v1/keys"), ("POST", "/v1/keys")],
)
async def test_nothing_is_done_without_a_valid_key(
    api: Api, given: str | None, method: str, path: str
) -> None:
    headers = [] if given is None else [(b"Authorization", given.encode())]
    response = await api.http.request(method, path, headers=headers, json=a_request())
    body = problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "lk_unknown" not in str(body)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"sample": 3}, "body.sample"),
        ({"brands": [{"name": "Notion", "alias": []}]}, "body.brands.0.alias"),
        ({"brands": []}, "body.brands"),
        ({"brands": "Notion"}, "body.brands"),
        ({"brands": [{"name": "  "}]}, "body.brands.0.name"),
        ({"brands": [{"name": "No\x00tion"}]}, "body.brands.0.name"),
        ({"brands": [{"name": "Notion", "aliases": ["\x00"]}]}, "body.brands.0.aliases.0"),
        ({"prompts": []}, "body.prompts"),
        ({"prompts": [None]}, "body.prompts.0"),
        ({"prompts": ["a\x00b"]}, "body.prompts.0"),
        ({"prompts": [""]}, "body.prompts.0"),
        ({"prompts": [" \t"]}, "body.prompts.0"),
        ({"prompts": [{"text": " "}]}, "body.prompts.0.text"),
        ({"models": ["gpt-5"]}, "body.models.0"),
        ({"models": ["OpenAI/gpt-5"]}, "body.models.0"),
        ({"models": ["openai/gpt 5"]}, "body.models.0"),
        ({"samples": "3"}, "body.samples"),
        ({"samples": 3.5}, "body.samples"),
        ({"samples": True}, "body.samples"),
        ({"samples": 0}, "body.samples"),
        ({"samples": None}, "body.samples"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, changes: dict[str, Any], where: str) -> None:
    body = problem(await api.start(**changes), 422, "invalid-request")
    assert where in [error["where"] for error in body["errors"]]


async def test_half_a_surrogate_pair_is_refused(api: Api) -> None:
    text = json.dumps(a_request()).replace("And for one", "\\ud83e")
    response = await api.call("POST", RUNS, JSON, content=text)
    assert problem(response, 422, "invalid-request")["errors"][0]["where"] == "body.prompts.1"


async def test_many_wrong_fields_are_cut_to_twenty(api: Api) -> None:
    body = problem(await api.start(prompts=[1] * 100), 422, "invalid-request")
    assert len(body["errors"]) == 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"brands": [{"name": "Notion"}, {"name": "NOTION"}]}, "comes twice"),
        ({"brands": [{"name": "Notion"}, {"name": "Note", "aliases": ["notion"]}]}, "comes twice"),
        ({"brands": [{"name": "!!!"}]}, "too short to be found"),
        ({"brands": [{"name": "X"}]}, "too short to be found"),
        ({"brands": [{"name": "Fine", "aliases": ["y"]}]}, "too short to be found"),
        ({"brands": [{"name": "Notion"}, {"name": "ＮＯＴＩＯＮ"}]}, "comes twice"),
        ({"brands": [{"name": "\ufdfa" * 200}]}, "too long"),
        ({"prompts": ["Which?", "which?"]}, "comes twice"),
        ({"models": ["openai/gpt-5", "openai/gpt-5"]}, "comes twice"),
        ({"samples": 26}, "104 completions, allowed are 100"),
    ],
)
async def test_pieces_that_do_not_fit_together(
    api: Api, changes: dict[str, Any], said: str
) -> None:
    assert said in problem(await api.start(**changes), 422, "invalid-run")["title"]
    assert await api.kit.owed(api.tenant_id) == []


async def test_brands_that_fill_more_than_a_record_are_refused(kit: Kit) -> None:
    ports = replace(ports_of(kit), max_body_bytes=2_000_000)
    api = await Api.over(kit, ports)
    aliases = [f"{n:04}" + "x" * 196 for n in range(50)]
    brands = [
        {"name": f"brand {n}", "aliases": [f"{n:04}{alias[:-4]}" for alias in aliases]}
        for n in range(110)
    ]
    assert "brands" in problem(await api.start(brands=brands), 422, "invalid-run")["title"]
    assert await api.kit.owed(api.tenant_id) == []
    assert (await api.start(brands=brands[:90])).status_code == 202


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", None),
        (b"{", "not JSON"),
        (b'{"brands": [}', "line 1 column 13"),
        (b"\xff\xfe{}", "not UTF-8 (byte 0)"),
        (b'{"brands": "\xc3("}', "not UTF-8 (byte 12)"),
        (b"[" * 10_000, "nested too deeply"),
        (b'{"samples": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
async def test_an_unreadable_body_is_explained(api: Api, body: bytes, said: str | None) -> None:
    response = await api.call("POST", RUNS, JSON, content=body)
    if said is None:
        problem(response, 422, "invalid-request")
    else:
        assert said in problem(response, 400, "unreadable-body")["title"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"17", b"{}"])
async def test_json_that_is_no_run_is_refused(api: Api, body: bytes) -> None:
    problem(await api.call("POST", RUNS, JSON, content=body), 422, "invalid-request")


async def test_a_body_of_another_kind_is_refused(api: Api) -> None:
    headers = {"Content-Type": "text/plain"}
    response = await api.call("POST", RUNS, headers, content=json.dumps(a_request()))
    problem(response, 422, "invalid-request")


async def test_a_declared_body_that_is_too_large_is_refused(api: Api) -> None:
    response = await api.start(prompts=["x" * MAX_BODY_BYTES])
    assert str(MAX_BODY_BYTES) in problem(response, 413, "body-too-large")["hint"]


async def test_a_chunked_body_that_grows_too_large_is_refused_at_once(api: Api) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * MAX_BODY_BYTES:
            sent += 1000
            yield b" " * 1000

    response = await api.call("POST", RUNS, JSON, content=chunks())
    problem(response, 413, "body-too-large")
    assert sent <= 2 * MAX_BODY_BYTES


async def test_a_chunked_body_within_the_limit_is_read(api: Api) -> None:
    text = json.dumps(a_request()).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(text), 7):
            yield text[at : at + 7]

    assert (await api.call("POST", RUNS, JSON, content=chunks())).status_code == 202


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/visibility/runs/1/2", "/v1/key"])
async def test_an_unknown_path_is_a_problem(api: Api, path: str) -> None:
    problem(await api.call("GET", path), 404, "http")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", RUNS), ("PUT", RUNS), ("PATCH", "/v1/keys")]
)
async def test_a_wrong_method_is_a_problem(api: Api, method: str, path: str) -> None:
    response = await api.call(method, path)
    problem(response, 405, "http")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("error", [Unavailable("down"), Transient("lost a race")])
async def test_a_store_that_is_down_is_unavailable(kit: Kit, error: Exception) -> None:
    down = Failing(error)
    api = await Api.over(kit, replace(ports_of(kit), store=down, runs=down))
    for response in (await api.start(), await api.call("GET", f"{RUNS}/{UUID(int=1)}")):
        problem(response, 503, "unavailable")
        assert response.headers["retry-after"] == "2"


async def test_a_defect_is_a_problem_that_tells_nothing(kit: Kit) -> None:
    broken = Failing(RuntimeError("password=hunter2"))
    api = await Api.over(kit, replace(ports_of(kit), store=broken))
    assert "hunter2" not in str(problem(await api.start(), 500, "defect"))


async def test_requests_are_timed_by_route_and_status(api: Api) -> None:
    labels = {"service": "gateway", "method": "GET", "route": f"{RUNS}/{{run_id}}", "status": "404"}
    before = metrics.value(telemetry.HTTP_SECONDS, **labels)
    await api.call("GET", f"{RUNS}/{UUID(int=1)}")
    assert metrics.value(telemetry.HTTP_SECONDS, **labels) == before + 1


async def test_the_api_describes_itself(api: Api) -> None:
    response = await api.http.get("/openapi.json")
    assert_marked(response)
    document = response.json()
    assert set(document["paths"]) >= {
        RUNS,
        f"{RUNS}/{{run_id}}",
        *(f"{RUNS}/{{run_id}}/{part}" for part in PARTS),
        "/v1/visibility/imports",
        "/v1/visibility/imports/{run_id}/answers",
        "/v1/brands",
        "/v1/brands/{brand_id}",
        "/v1/prompts",
        "/v1/models",
        "/v1/keys",
    }
    post = document["paths"][RUNS]["post"]
    assert {"202", "4XX", "5XX"} <= post["responses"].keys()
    assert post["security"]
    assert (await api.http.get("/docs")).status_code == 200


async def test_the_example_in_the_document_is_accepted(api: Api) -> None:
    document = create_app(ports_of(api.kit)).openapi()
    (example,) = document["components"]["schemas"]["RunRequest"]["examples"]
    assert (await api.call("POST", RUNS, json=example)).status_code == 202
