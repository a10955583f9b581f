"""The OpenAI adapter over HTTP: against the simulator, and against odd answers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from devkit.simulator import (
    FaultRates,
    Message,
    Question,
    RunningSimulator,
    default_config,
    draw,
    serve,
)
from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, Turn
from runtime.deadline import Deadline
from runtime.server import HttpServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

pytestmark = pytest.mark.asyncio
CALL = Call("sim-large", (Turn("user", "Which app?"),), seed=7)
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Notion."},
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


@asynccontextmanager
async def simulated(faults: FaultRates | None = None) -> AsyncIterator[RunningSimulator]:
    config = dataclasses.replace(default_config(), faults=faults or FaultRates())
    async with await serve(config) as running:
        yield running


@asynccontextmanager
async def provider_at(base_url: str, *, simulated: bool = False) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider("acme", base_url, "sk-test", simulated=simulated)
    yield provider
    await provider.close()


async def failure(provider: OpenAIProvider, call: Call = CALL, timeout: float = 10) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await provider.complete(call, timeout)
    return caught.value


async def failure_under(faults: FaultRates, timeout: float = 10) -> CallFailed:
    async with simulated(faults) as running, provider_at(running.base_url) as provider:
        return await failure(provider, timeout=timeout)


class Odd:
    """A server that answers every call with the same response, and keeps what it was asked."""

    def __init__(self) -> None:
        self.response: Callable[[], Response] = lambda: json_response(ANSWER)
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        app = Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])
        self.server = HttpServer(app, "127.0.0.1", 0)

    async def _answer(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.keys.append(request.headers["authorization"])
        return self.response()


def json_response(body: object, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers, media_type="application/json")


@pytest_asyncio.fixture
async def odd() -> AsyncIterator[Odd]:
    made = Odd()
    await made.server.start()
    yield made
    await made.server.stop(Deadline(1))


@pytest_asyncio.fixture
async def provider(odd: Odd) -> AsyncIterator[OpenAIProvider]:
    async with provider_at(f"{odd.server.url}/v1") as made:
        yield made


async def test_an_answer_of_the_simulator_is_mapped() -> None:
    async with simulated() as running, provider_at(running.base_url) as provider:
        reply = await provider.complete(CALL, 10)
        question = Question("sim-large", (Message("user", "Which app?"),), "seed:7")
        assert reply.text == draw(running.config, question).text
    assert reply.model == "sim-large"
    assert reply.response_id.startswith("chatcmpl-")
    assert reply.finish_reason == "stop"
    assert reply.input_tokens is not None
    assert reply.input_tokens > 0
    assert reply.output_tokens is not None
    assert reply.output_tokens > 0
    assert reply.simulated  # it says so itself


async def test_samples_differ_by_their_seed() -> None:
    async with simulated() as running, provider_at(running.base_url) as provider:
        calls = [dataclasses.replace(CALL, seed=seed) for seed in (1, 1, 2)]
        one, again, two = [(await provider.complete(call, 10)).text for call in calls]
    assert one == again != two


async def test_what_is_asked_is_sent(odd: Odd, provider: OpenAIProvider) -> None:
    turns = (Turn("system", "Be short. 🫘"), Turn("user", "Which app?"))
    reply = await provider.complete(Call("gpt-5", turns, 7, 0.5, 800), 10)
    assert odd.bodies == [
        {
            "model": "gpt-5",
            "messages": [
                {"role": "system", "content": "Be short. 🫘"},
                {"role": "user", "content": "Which app?"},
            ],
            "seed": 7,
            "temperature": 0.5,
            "max_completion_tokens": 800,
        }
    ]
    assert odd.keys == ["Bearer sk-test"]
    assert (reply.text, reply.model, reply.input_tokens, reply.output_tokens) == (
        "Notion.",
        "gpt-5",
        3,
        2,
    )
    assert not reply.simulated


async def test_what_is_not_asked_is_left_out(odd: Odd, provider: OpenAIProvider) -> None:
    await provider.complete(Call("gpt-5", (Turn("user", "Which app?"),)), 10)
    assert odd.bodies[0].keys() == {"model", "messages"}


async def test_the_account_of_a_simulator_marks_every_answer(odd: Odd) -> None:
    async with provider_at(f"{odd.server.url}/v1", simulated=True) as provider:
        assert provider.simulated
        assert (await provider.complete(CALL, 10)).simulated


async def test_a_reply_without_usage_has_no_tokens(odd: Odd, provider: OpenAIProvider) -> None:
    odd.response = lambda: json_response({**ANSWER, "usage": None})
    reply = await provider.complete(CALL, 10)
    assert (reply.input_tokens, reply.output_tokens) == (None, None)


async def test_an_empty_answer_is_an_answer(odd: Odd, provider: OpenAIProvider) -> None:
    odd.response = lambda: json_response(with_message(content=""))
    assert (await provider.complete(CALL, 10)).text == ""


async def test_rate_limited_says_when_to_come_back() -> None:
    failed = await failure_under(FaultRates(status_429=1.0, retry_after_s=2.5))
    assert (failed.kind, failed.retryable, failed.retry_after) == ("rate-limited", True, 2.5)
    assert "acme answered 429" in str(failed)


async def test_a_server_error() -> None:
    failed = await failure_under(FaultRates(status_500=1.0))
    assert (failed.kind, failed.retryable, failed.retry_after) == ("server-error", True, None)


async def test_a_silent_provider_times_out() -> None:
    started = asyncio.get_running_loop().time()
    failed = await failure_under(FaultRates(timeout=1.0), timeout=0.2)
    assert (failed.kind, failed.retryable) == ("timed-out", True)
    assert asyncio.get_running_loop().time() - started < 5


async def test_a_cut_connection() -> None:
    failed = await failure_under(FaultRates(cut_stream=1.0))
    assert (failed.kind, failed.retryable) == ("connection-failed", True)


async def test_nobody_listens() -> None:
    async with simulated() as running:
        url = running.base_url
    async with provider_at(url) as provider:
        failed = await failure(provider)
    assert (failed.kind, failed.retryable) == ("connection-failed", True)


async def test_json_that_breaks_off() -> None:
    failed = await failure_under(FaultRates(malformed_json=1.0))
    assert (failed.kind, failed.retryable) == ("malformed-answer", True)


async def test_a_model_that_nobody_knows() -> None:
    async with simulated() as running, provider_at(running.base_url) as provider:
        failed = await failure(provider, dataclasses.replace(CALL, model="sim-huge"))
    assert (failed.kind, failed.retryable) == ("unknown-model", False)
    assert "sim-huge" in str(failed)


async def test_a_request_that_is_refused() -> None:
    async with simulated() as running, provider_at(running.base_url) as provider:
        failed = await failure(provider, dataclasses.replace(CALL, turns=()))
    assert (failed.kind, failed.retryable) == ("bad-request", False)


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (400, "context_length_exceeded", "context-too-long", False),
        (400, "content_filter", "content-filtered", False),
        (400, None, "bad-request", False),
        (401, "invalid_api_key", "auth", False),
        (402, None, "out-of-credit", False),
        (403, None, "auth", False),
        (404, None, "unknown-model", False),
        (408, None, "server-error", True),
        (409, None, "server-error", True),
        (422, None, "bad-request", False),
        (429, "insufficient_quota", "out-of-credit", False),
        (429, "rate_limit_exceeded", "rate-limited", True),
        (500, None, "server-error", True),
        (502, None, "server-error", True),
        (503, None, "overloaded", True),
        (529, None, "overloaded", True),
    ],
)
async def test_every_status_has_a_kind(
    odd: Odd, provider: OpenAIProvider, status: int, code: str | None, kind: str, retryable: bool
) -> None:
    body = {"error": {"message": "said so", "type": "x", "param": None, "code": code}}
    odd.response = lambda: json_response(body, status)
    failed = await failure(provider)
    assert (failed.kind, failed.retryable) == (kind, retryable)
    assert f"acme answered {status}" in str(failed)
    assert "sk-test" not in str(failed)
    assert len(odd.bodies) == 1  # the SDK's own retries are off


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.25", 0.25), ("-1", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)],
)
async def test_retry_after_is_read_as_seconds(
    odd: Odd, provider: OpenAIProvider, header: str, seconds: float | None
) -> None:
    odd.response = lambda: json_response({}, 503, **{"retry-after": header})
    assert (await failure(provider)).retry_after == seconds


async def test_an_error_without_json_keeps_its_kind(odd: Odd, provider: OpenAIProvider) -> None:
    odd.response = lambda: Response("<html>Bad gateway</html>", 502, media_type="text/html")
    assert (await failure(provider)).kind == "server-error"


def with_message(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {**ANSWER, "choices": [choice]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        17,
        "text",
        {"choices": []},
        {"choices": None},
        {"choices": "none"},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"error": {"message": "said with status 200"}},
        with_message(content=None),
        with_message(content=5),
        with_message(content=[{"type": "text", "text": "in parts"}]),
    ],
    ids=json.dumps,
)
async def test_an_answer_without_a_text_is_malformed(
    odd: Odd, provider: OpenAIProvider, body: Any
) -> None:
    odd.response = lambda: json_response(body)
    failed = await failure(provider)
    assert (failed.kind, failed.retryable) == ("malformed-answer", True)


async def test_an_answer_that_is_no_json_is_malformed(odd: Odd, provider: OpenAIProvider) -> None:
    odd.response = lambda: Response("<html>Welcome</html>", media_type="text/html")
    assert (await failure(provider)).kind == "malformed-answer"


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": "3", "completion_tokens": -1}, "many", [], 5]
)
async def test_odd_usage_costs_no_answer(odd: Odd, provider: OpenAIProvider, usage: Any) -> None:
    odd.response = lambda: json_response({**ANSWER, "usage": usage})
    reply = await provider.complete(CALL, 10)
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("Notion.", None, None)


@pytest.mark.parametrize(
    "changes", [{"model": None}, {"id": None}, {"model": 5, "id": 5}, {"simulated": "yes"}]
)
async def test_odd_marks_cost_no_answer(
    odd: Odd, provider: OpenAIProvider, changes: dict[str, Any]
) -> None:
    odd.response = lambda: json_response({**ANSWER, **changes})
    reply = await provider.complete(CALL, 10)
    assert (type(reply.text), type(reply.model), type(reply.response_id)) == (str, str, str)


async def test_a_kept_answer_is_not_asked_for_again(odd: Odd, provider: OpenAIProvider) -> None:
    body = with_message(content=None)
    body["choices"][0]["finish_reason"] = "content_filter"
    odd.response = lambda: json_response(body)
    failed = await failure(provider)
    assert (failed.kind, failed.retryable) == ("content-filtered", False)


async def test_a_failure_shows_no_key_and_no_page(odd: Odd, provider: OpenAIProvider) -> None:
    said = "Incorrect API key provided: sk-test. " + "x" * 100_000
    odd.response = lambda: json_response({"error": {"message": said}}, 401)
    failed = await failure(provider)
    assert "Incorrect API key provided: ***." in str(failed)
    assert len(str(failed)) < 2000
