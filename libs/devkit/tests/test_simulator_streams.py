"""Faults of streams, pacing and comments, as SDKs and raw clients see them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio
from devkit.simulator import (
    FaultRates,
    ModelSettings,
    RunningSimulator,
    SimulatorConfig,
    default_config,
    serve,
)
from openai.types.chat import ChatCompletionChunk, ChatCompletionUserMessageParam

pytestmark = pytest.mark.asyncio

MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Which app?"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/responses": {"input": "Which app?"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 1000},
}
LAST = {
    "/v1/chat/completions": "data: [DONE]",
    "/v1/responses": "event: response.completed",
    "/v1/messages": "event: message_stop",
}
EVERYWHERE = pytest.mark.parametrize("path", list(BODIES))


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


def http(simulator: RunningSimulator) -> httpx2.AsyncClient:
    headers = {"authorization": "Bearer x", "anthropic-version": "2026-10-21"}
    return httpx2.AsyncClient(
        base_url=simulator.root_url, headers=headers, trust_env=False, timeout=60
    )


def body_of(path: str, **more: Any) -> dict[str, Any]:
    return {"model": "sim-large", **BODIES[path], **more}


async def post(
    simulator: RunningSimulator, path: str, fault: str = "", **more: Any
) -> httpx2.Response:
    headers = {"x-limelight-fault": fault} if fault else {}
    async with http(simulator) as client:
        return await client.post(path, json=body_of(path, **more), headers=headers)


async def chunks(simulator: RunningSimulator, fault: str, heard: list[ChatCompletionChunk]) -> None:
    async with openai.AsyncOpenAI(
        base_url=simulator.base_url, api_key="x", max_retries=0
    ) as client:
        stream = await client.chat.completions.create(
            model="sim-large",
            messages=MESSAGES,
            stream=True,
            extra_headers={"x-limelight-fault": fault},
        )
        async for chunk in stream:
            heard += [chunk]


async def test_an_error_in_a_chat_stream_has_openrouters_shape(simulator: RunningSimulator) -> None:
    response = await post(simulator, "/v1/chat/completions", "error-in-stream", stream=True)
    assert response.status_code == 200
    *_, last, end = response.text.split("\n\n")
    assert end == ""
    chunk = json.loads(last.removeprefix("data: "))
    assert chunk["choices"][0]["finish_reason"] == "error"
    assert set(chunk["error"]) == {"code", "message"}
    assert chunk["simulated"] is True
    heard: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError, match="broke off"):
        await chunks(simulator, "error-in-stream", heard)
    assert len(heard) > 1


async def test_an_error_in_a_responses_stream_is_a_failed_response(
    simulator: RunningSimulator,
) -> None:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="x") as client:
        stream = await client.responses.create(
            model="sim-large",
            input="Which app?",
            stream=True,
            extra_headers={"x-limelight-fault": "error-in-stream"},
        )
        events = [event async for event in stream]
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert [event.sequence_number for event in events] == list(range(len(events)))


@EVERYWHERE
async def test_a_stream_without_an_end_is_the_whole_one_but_for_its_end(
    simulator: RunningSimulator, path: str
) -> None:
    cut = timeless((await post(simulator, path, "no-finish", stream=True)).text)
    async with await serve(default_config()) as fresh:
        whole = timeless((await post(fresh, path, "none", stream=True)).text)
    assert LAST[path] in whole
    assert LAST[path] not in cut
    assert 'finish_reason":"stop' not in cut
    assert "message_delta" not in cut
    assert whole.startswith(cut)
    assert cut.count("\n\n") >= whole.count("\n\n") - 2


def timeless(text: str) -> str:
    return re.sub(r'"(created|created_at)":\d+', "", text)


@EVERYWHERE
async def test_faults_of_streams_leave_plain_answers_alone(
    simulator: RunningSimulator, path: str
) -> None:
    for fault in ("error-in-stream", "no-finish", "break-schema"):
        response = await post(simulator, path, f"{fault};latency=0.1")
        assert response.status_code == 200
        assert '"error":{' not in response.text
    assert simulator.stats.by_fault == {"none": 3}


@EVERYWHERE
async def test_a_silent_stream_says_half_and_then_nothing(
    simulator: RunningSimulator, path: str
) -> None:
    heard = bytearray()
    async with (
        http(simulator) as client,
        client.stream(
            "POST",
            path,
            json=body_of(path, stream=True),
            headers={"x-limelight-fault": "hang-stream"},
            timeout=httpx2.Timeout(60, read=1.5),
        ) as response,
    ):
        with pytest.raises(httpx2.ReadTimeout):
            await listen(response, heard)
    assert heard.count(b"\n\n") > 1
    assert LAST[path].encode() not in heard
    await until(lambda: simulator.stats.in_flight == 0)


async def listen(response: httpx2.Response, heard: bytearray) -> None:
    async for piece in response.aiter_bytes():
        heard += piece


async def until(condition: Callable[[], bool]) -> None:
    """Let the simulator, which runs in this loop, go on until it is so."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the simulator's counters wake nobody up
            await asyncio.sleep(0.01)


@EVERYWHERE
@pytest.mark.parametrize("stream", [False, True])
async def test_silence_is_bounded_and_ends_in_a_broken_connection(
    simulator: RunningSimulator, path: str, stream: bool
) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await post(simulator, path, "hang-stream=0.05", stream=stream)


@EVERYWHERE
@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_is_html_under_status_200(
    simulator: RunningSimulator, path: str, stream: bool
) -> None:
    response = await post(simulator, path, "garbage", stream=stream)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-limelight-simulated"] == "true"
    assert response.text.startswith("<!doctype html>")


async def test_an_empty_answer_has_no_choices(simulator: RunningSimulator) -> None:
    response = await post(simulator, "/v1/chat/completions", "empty")
    assert response.json()["choices"] == []
    assert response.json()["usage"]["completion_tokens"] == 0
    streamed = await post(simulator, "/v1/chat/completions", "empty", stream=True)
    assert streamed.text == "data: [DONE]\n\n"


async def test_a_filtered_answer_says_so(simulator: RunningSimulator) -> None:
    (choice,) = (await post(simulator, "/v1/chat/completions", "filtered")).json()["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"] is None
    heard: list[ChatCompletionChunk] = []
    await chunks(simulator, "filtered", heard)
    assert [chunk.choices[0].finish_reason for chunk in heard] == [None, "content_filter"]


@EVERYWHERE
async def test_malformed_events_stand_in_the_middle(simulator: RunningSimulator, path: str) -> None:
    response = await post(simulator, path, "malformed-json", stream=True)
    payloads = [
        line.removeprefix("data: ")
        for line in response.text.splitlines()
        if line.startswith("data: ") and line != "data: [DONE]"
    ]
    assert [at for at, payload in enumerate(payloads) if not parses(payload)] == [
        response.text.count("\n\n") // 2
    ]


def parses(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


@EVERYWHERE
async def test_chunks_can_be_paced_by_header_and_by_configuration(
    simulator: RunningSimulator, path: str
) -> None:
    assert await gap(simulator, path, "chunk-delay=0.02") >= 0.015
    paced = dataclasses.replace(default_config(), faults=FaultRates(chunk_delay_s=0.02))
    async with await serve(paced) as other:
        assert await gap(other, path, "") >= 0.015


async def gap(simulator: RunningSimulator, path: str, fault: str) -> float:
    """Mean seconds between two events."""
    start = time.monotonic()
    text = (await post(simulator, path, fault, stream=True)).text
    return (time.monotonic() - start) / (text.count("\n\n") - 1)


@EVERYWHERE
async def test_comments_come_while_the_model_is_still_thinking(path: str) -> None:
    config = dataclasses.replace(
        default_config(), comments=True, faults=FaultRates(latency_s=600.0)
    )
    async with (
        await serve(config) as simulator,
        http(simulator) as client,
        client.stream("POST", path, json=body_of(path, stream=True)) as response,
    ):
        pieces = response.aiter_bytes()
        async with asyncio.timeout(60):
            first = await anext(pieces)
            ending = asyncio.create_task(simulator.stop())  # which ends the thinking
            rest = b"".join([piece async for piece in pieces])
            await ending
    assert first.startswith(b": OPENROUTER PROCESSING\n\n")
    assert b"data:" not in first
    assert LAST[path].encode() in rest


async def test_sdks_pass_over_comments() -> None:
    config = dataclasses.replace(default_config(), comments=True)
    async with await serve(config) as simulator:
        heard: list[ChatCompletionChunk] = []
        await chunks(simulator, "none", heard)
        assert heard[0].choices[0].delta.role == "assistant"
        async with anthropic.AsyncAnthropic(base_url=simulator.root_url, api_key="x") as client:
            stream = await client.messages.create(
                model="sim-large",
                messages=[{"role": "user", "content": "?"}],
                max_tokens=9,
                stream=True,
            )
            events = [event.type async for event in stream]
    assert (events[0], events[-1]) == ("message_start", "message_stop")


def with_settings(**settings: Any) -> SimulatorConfig:
    return dataclasses.replace(
        default_config(),
        settings={"sim-large": ModelSettings(**settings)},
        faults=FaultRates(retry_after_s=0.5),
    )


async def test_requests_per_minute_are_limited_and_announced() -> None:
    async with await serve(with_settings(requests_per_minute=3)) as simulator:
        answers = [await post(simulator, "/v1/chat/completions") for _ in range(4)]
        other = await post(simulator, "/v1/messages")
        free = await post(simulator, "/v1/chat/completions", model="sim-small")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
    assert left == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"3"}
    reset_ms = int(answers[0].headers["x-ratelimit-reset-requests"].removesuffix("ms"))
    assert 15_000 < reset_ms <= 20_000
    assert 15 < float(answers[3].headers["retry-after"]) <= 20
    assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
    assert other.status_code == 429
    assert other.json()["error"]["type"] == "rate_limit_error"
    assert other.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert other.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert "x-ratelimit-limit-requests" not in free.headers


async def test_a_call_out_of_quota_is_no_attempt() -> None:
    async with await serve(with_settings(max_concurrency=1)) as simulator:
        first = asyncio.create_task(post(simulator, "/v1/chat/completions", "latency=4", seed=1))
        await until(lambda: simulator.stats.answerable > 0)
        refused = await post(simulator, "/v1/chat/completions")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "0.5")
        assert refused.headers["x-ratelimit-limit-requests"] == "1"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await first).status_code == 200
        retried = await post(simulator, "/v1/chat/completions")
    assert retried.status_code == 200
    assert retried.headers["x-limelight-sample"] == "call:0"
    assert simulator.stats.by_fault == {"none": 2, "quota": 1}
    assert (simulator.stats.answerable, simulator.stats.distinct) == (2, 2)


async def test_slots_are_given_back_however_a_call_ends() -> None:
    async with await serve(with_settings(max_concurrency=1)) as simulator:
        for fault in ("status=500", "garbage", "cut-stream", "filtered"):
            try:
                await post(simulator, "/v1/chat/completions", fault)
            except httpx2.RemoteProtocolError:
                assert fault == "cut-stream"
        assert (await post(simulator, "/v1/chat/completions")).status_code == 200


async def test_fault_rates_of_a_model_replace_the_general_ones() -> None:
    config = with_settings(faults=FaultRates(status_500=1.0))
    config = dataclasses.replace(config, faults=FaultRates(status_529=1.0))
    async with await serve(config) as simulator:
        large = await post(simulator, "/v1/chat/completions")
        small = await post(simulator, "/v1/chat/completions", model="sim-small")
    assert (large.status_code, small.status_code) == (500, 529)


async def test_repeated_calls_are_listed(simulator: RunningSimulator) -> None:
    for seed in (1, 1, 1, 2):
        await post(simulator, "/v1/chat/completions", seed=seed)
    async with http(simulator) as client:
        every = (await client.get("/_simulator/calls")).json()
        repeated = (await client.get("/_simulator/calls?repeated=true")).json()
    assert sorted(every["calls"].values()) == [1, 3]
    assert list(repeated["calls"].values()) == [3]
    assert repeated["simulated"] is True
