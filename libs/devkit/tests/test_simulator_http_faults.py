"""Injected faults as the openai SDK sees them, and how the simulator counts calls."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from devkit.simulator import FaultRates, RunningSimulator, default_config, serve
from openai.types.chat import ChatCompletion, ChatCompletionUserMessageParam

pytestmark = pytest.mark.asyncio

MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Which app?"}]


def sdk_for(simulator: RunningSimulator, timeout: float = 30) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=simulator.base_url, api_key="x", max_retries=0, timeout=timeout
    )


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


@pytest_asyncio.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_for(simulator) as sdk:
        yield sdk


async def call(
    client: openai.AsyncOpenAI, fault: str, *, seed: int | None = 1, model: str = "sim-large"
) -> ChatCompletion:
    return await client.chat.completions.create(
        model=model, messages=MESSAGES, seed=seed, extra_headers={"x-limelight-fault": fault}
    )


async def stream_text(client: openai.AsyncOpenAI, fault: str, heard: list[str]) -> None:
    stream = await client.chat.completions.create(
        model="sim-large",
        messages=MESSAGES,
        seed=1,
        stream=True,
        extra_headers={"x-limelight-fault": fault},
    )
    async for chunk in stream:
        heard += [choice.delta.content or "" for choice in chunk.choices]


async def stats(simulator: RunningSimulator) -> dict[str, Any]:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as plain:
        response = await plain.get(f"{simulator.root_url}/_simulator/stats")
    assert response.headers["x-limelight-simulated"] == "true"
    counts: dict[str, Any] = response.json()
    return counts


async def until(
    simulator: RunningSimulator, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Ask for the counts until they satisfy ``condition``."""
    async with asyncio.timeout(60):
        while not condition(counts := await stats(simulator)):
            pass
    return counts


async def test_rate_limit_carries_retry_after(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await call(client, "status=429;retry-after=1")
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.json()["simulated"] is True


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
async def test_statuses_map_to_the_sdks_errors(
    client: openai.AsyncOpenAI, status: int, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        await call(client, f"status={status}")
    assert caught.value.status_code == status
    assert "retry-after" not in caught.value.response.headers


async def test_timeout_lasts_until_the_client_gives_up(simulator: RunningSimulator) -> None:
    async with sdk_for(simulator, timeout=1.5) as client:
        with pytest.raises(openai.APITimeoutError):
            await call(client, "timeout")
    counts = await until(simulator, lambda counts: counts["in_flight"] == 0)
    assert counts["by_status"] == {"no_response": 1}
    assert counts["by_fault"] == {"timeout": 1}


async def test_timeout_is_bounded(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await call(client, "timeout=0.05")
    assert caught.value.status_code == 504


async def test_a_cut_plain_response_is_a_connection_error(
    client: openai.AsyncOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(openai.APIConnectionError) as caught:
        await call(client, "cut-stream")
    assert not isinstance(caught.value, openai.APITimeoutError)
    assert caplog.records == []


async def test_a_cut_stream_breaks_after_some_text(client: openai.AsyncOpenAI) -> None:
    heard: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        await stream_text(client, "cut-stream", heard)
    whole: list[str] = []
    await stream_text(client, "none", whole)
    assert 1 < len(heard) < len(whole)
    assert "".join(whole).startswith("".join(heard))


async def test_malformed_json_reaches_the_caller(client: openai.AsyncOpenAI) -> None:
    # The SDK does not wrap this one: whoever calls it has to know.
    with pytest.raises(json.JSONDecodeError):
        await call(client, "malformed-json")
    heard: list[str] = []
    with pytest.raises(json.JSONDecodeError):
        await stream_text(client, "malformed-json", heard)
    assert heard


async def test_latency_delays_the_answer(client: openai.AsyncOpenAI) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await call(client, "latency=0.2")
    assert loop.time() - start >= 0.19


async def test_an_unknown_fault_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown directive 'explode'"):
        await call(client, "explode")


async def test_a_retry_succeeds_when_only_the_first_attempt_fails(
    client: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.InternalServerError):
        await call(client, "status=500;first=1")
    assert (await call(client, "status=500;first=1")).choices
    with pytest.raises(openai.InternalServerError):
        await call(client, "status=500;first=1", seed=2)


async def test_the_sdks_own_retries_get_through(simulator: RunningSimulator) -> None:
    async with sdk_for(simulator).with_options(max_retries=1) as client:
        assert (await call(client, "status=429;retry-after=0.01;first=1")).choices
    assert (await stats(simulator))["by_status"] == {"429": 1, "200": 1}


async def statuses_under(rates: FaultRates) -> list[list[int]]:
    config = dataclasses.replace(default_config(), faults=rates)
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        return [[await status_of(client, seed) for _ in range(4)] for seed in range(15)]


async def status_of(client: openai.AsyncOpenAI, seed: int) -> int:
    try:
        await client.chat.completions.create(model="sim-large", messages=MESSAGES, seed=seed)
    except openai.APIStatusError as error:
        return error.status_code
    return 200


async def test_configured_rates_repeat_and_let_retries_succeed() -> None:
    rates = FaultRates(status_500=0.3, status_429=0.3)
    seen = await statuses_under(rates)
    assert await statuses_under(rates) == seen
    assert {status for row in seen for status in row} == {200, 429, 500}
    failed_first = [row for row in seen if row[0] != 200]
    assert any(200 in row for row in failed_first)


async def test_the_header_overrules_the_configured_rates() -> None:
    config = dataclasses.replace(default_config(), faults=FaultRates(status_500=1.0))
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="sim-large", messages=MESSAGES)
        assert (await call(client, "none")).choices


async def test_counts_by_model_status_and_fault(
    simulator: RunningSimulator, client: openai.AsyncOpenAI
) -> None:
    await call(client, "none")
    await call(client, "none", model="sim-small")
    with pytest.raises(openai.RateLimitError):
        await call(client, "status=429")
    with pytest.raises(openai.NotFoundError):
        await call(client, "none", model="gpt-none")
    await client.models.list()
    assert await stats(simulator) == {
        "requests": 4,
        "in_flight": 0,
        "max_concurrency": 1,
        "answerable": 3,
        "distinct": 2,
        "by_model": {"sim-large": 2, "sim-small": 1, "(unknown)": 1},
        "by_status": {"200": 2, "429": 1, "404": 1},
        "by_fault": {"none": 3, "status=429": 1},
        "simulated": True,
    }
    assert simulator.stats.requests == 4


async def test_concurrency_is_seen_and_stopping_releases_every_call(
    simulator: RunningSimulator, client: openai.AsyncOpenAI
) -> None:
    waiting = [asyncio.create_task(call(client, "latency=600", seed=at)) for at in range(3)]
    hanging = asyncio.create_task(call(client, "timeout=600"))
    await until(simulator, lambda counts: counts["in_flight"] == 4)
    async with asyncio.timeout(60):
        await simulator.stop()
        assert [len(one.choices) for one in await asyncio.gather(*waiting)] == [1, 1, 1]
        with pytest.raises(openai.InternalServerError):
            await hanging
    assert simulator.stats.max_concurrency == 4
    assert simulator.stats.in_flight == 0
