"""The list of models, prices and limits, as SDKs and OpenRouter's clients read them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio
from devkit.simulator import (
    ModelSettings,
    Prices,
    RunningSimulator,
    SimulatorConfig,
    default_config,
    serve,
)
from devkit.simulator.tokens import IMAGE_TOKENS
from hypothesis import given
from hypothesis import strategies as st

BEARER = {"authorization": "Bearer x"}


def configured(**settings: Any) -> SimulatorConfig:
    """The default models, of which the large one has other settings and the others none."""
    return dataclasses.replace(default_config(), settings={"sim-large": ModelSettings(**settings)})


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


async def get(simulator: RunningSimulator, path: str, headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(
        base_url=simulator.root_url, trust_env=False, timeout=60
    ) as plain:
        return await plain.get(path, headers=headers)


async def raw_chat(simulator: RunningSimulator, **body: Any) -> httpx2.Response:
    values: dict[str, Any] = {
        "model": "sim-large",
        "messages": [{"role": "user", "content": "Which app?"}],
    }
    async with httpx2.AsyncClient(
        base_url=simulator.base_url, trust_env=False, timeout=60
    ) as plain:
        return await plain.post("/chat/completions", json=values | body, headers=BEARER)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models"])
async def test_the_list_has_openrouters_shape(simulator: RunningSimulator, path: str) -> None:
    response = await get(simulator, path, BEARER)
    body = response.json()
    assert (body["object"], body["simulated"]) == ("list", True)
    large = body["data"][0]
    assert large["id"] == "sim-large"
    assert large["context_length"] == 128_000
    assert large["architecture"]["input_modalities"] == ["text", "image"]
    assert large["architecture"]["output_modalities"] == ["text"]
    assert isinstance(large["architecture"]["tokenizer"], str)
    assert large["top_provider"] == {
        "context_length": 128_000,
        "max_completion_tokens": 16_384,
        "is_moderated": False,
    }
    assert large["pricing"] == {
        "prompt": "0.000002345",
        "completion": "0.00000987",
        "input_cache_read": "0.000000234",
        "request": "0",
        "image": "0",
        "web_search": "0",
        "internal_reasoning": "0",
        "input_cache_write": "0",
    }
    assert {"temperature", "response_format", "tools"} < set(large["supported_parameters"])
    assert isinstance(large["created"], int)


@pytest.mark.asyncio
async def test_every_default_model_has_a_price(simulator: RunningSimulator) -> None:
    listed = (await get(simulator, "/v1/models", BEARER)).json()["data"]
    prices = [Decimal(model["pricing"]["prompt"]) for model in listed]
    assert len(set(prices)) == 3
    assert all(0 < price < Decimal("0.00001") for price in prices)


@pytest.mark.asyncio
async def test_settings_show_in_the_list() -> None:
    config = configured(
        context_tokens=1000,
        max_output_tokens=50,
        modalities=("text",),
        not_settable=("temperature",),
    )
    async with await serve(config) as simulator:
        large, small, _ = (await get(simulator, "/v1/models", BEARER)).json()["data"]
    assert (large["context_length"], small["context_length"]) == (1000, 128_000)
    assert large["top_provider"]["max_completion_tokens"] == 50
    assert large["architecture"]["input_modalities"] == ["text"]
    assert "temperature" not in large["supported_parameters"]
    assert large["pricing"] == {}


@pytest.mark.asyncio
async def test_both_sdks_read_the_list_and_single_models(simulator: RunningSimulator) -> None:
    ids = ["sim-large", "sim-small", "sim-contrarian"]
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="x") as sdk:
        assert [model.id async for model in sdk.models.list()] == ids
        assert (await sdk.models.retrieve("sim-small")).id == "sim-small"
        with pytest.raises(openai.NotFoundError):
            await sdk.models.retrieve("none/such")
    async with anthropic.AsyncAnthropic(base_url=simulator.root_url, api_key="x") as client:
        listed = [model async for model in client.models.list()]
        assert [model.id for model in listed] == ids
        assert (listed[0].max_input_tokens, listed[0].max_tokens) == (128_000, 16_384)
        assert listed[0].lifecycle == "active"
        assert (await client.models.retrieve("sim-small")).display_name == "Simulated: sim-small"
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("none")


@pytest.mark.asyncio
async def test_cost_is_exact_on_every_route(simulator: RunningSimulator) -> None:
    response = await raw_chat(simulator, seed=3)
    usage = json.loads(response.text, parse_float=Decimal)["usage"]
    expected = usage["prompt_tokens"] * Decimal("0.000002345") + usage[
        "completion_tokens"
    ] * Decimal("0.00000987")
    assert usage["cost"] == expected
    assert isinstance(usage["cost"], Decimal)
    streamed = await raw_chat(
        simulator, seed=3, stream=True, stream_options={"include_usage": True}
    )
    last = json.loads(streamed.text.split("\n\n")[-3].removeprefix("data: "), parse_float=Decimal)
    assert last["usage"] == usage
    assert last["choices"] == []


@pytest.mark.asyncio
async def test_openrouters_way_of_asking_for_usage_adds_it_to_a_stream(
    simulator: RunningSimulator,
) -> None:
    response = await raw_chat(simulator, stream=True, usage={"include": True})
    assert '"cost":' in response.text
    response = await raw_chat(simulator, stream=True)
    assert '"cost":' not in response.text


@pytest.mark.asyncio
async def test_a_model_without_a_price_costs_nothing_known() -> None:
    async with await serve(configured()) as simulator:
        response = await raw_chat(simulator, usage={"include": True})
    assert "cost" not in response.json()["usage"]


@pytest.mark.asyncio
async def test_limits_are_refused_in_openais_words() -> None:
    async with await serve(configured(context_tokens=10, max_output_tokens=50)) as simulator:
        fits = [{"role": "user", "content": "x" * 16}]
        long = [{"role": "user", "content": "x" * 17}]
        assert (await raw_chat(simulator, messages=fits)).status_code == 200
        response = await raw_chat(simulator, messages=long)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
        assert "10 tokens" in error["message"]
        assert "11 tokens" in error["message"]
        assert (await raw_chat(simulator, messages=fits, max_tokens=50)).status_code == 200
        response = await raw_chat(simulator, messages=fits, max_tokens=51)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "max_tokens")


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["chat/completions", "responses"])
async def test_parameters_a_model_does_not_take(route: str) -> None:
    config = configured(not_settable=("temperature",))
    question = {"messages": [{"role": "user", "content": "?"}], "input": "?"}
    async with (
        await serve(config) as simulator,
        httpx2.AsyncClient(base_url=simulator.base_url, trust_env=False, timeout=60) as plain,
    ):

        async def status(**body: Any) -> tuple[int, Any]:
            response = await plain.post(f"/{route}", json=question | body, headers=BEARER)
            return response.status_code, response.json().get("error")

        refused, error = await status(model="sim-large", temperature=0)
        assert (refused, error["param"], error["code"]) == (
            400,
            "temperature",
            "unsupported_parameter",
        )
        assert (await status(model="sim-large", temperature=None))[0] == 200
        assert (await status(model="sim-large", top_p=1))[0] == 200
        assert (await status(model="sim-small", temperature=0))[0] == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/chat/completions",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "https://x.example"}}
                        ],
                    }
                ]
            },
        ),
        (
            "/v1/responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_image", "image_url": "data:image/png;base64,A"}
                        ],
                    }
                ]
            },
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 9,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "url", "url": "https://x.example"}}
                        ],
                    }
                ],
            },
        ),
    ],
)
async def test_images_need_a_model_that_reads_them(path: str, body: dict[str, Any]) -> None:
    headers = {**BEARER, "anthropic-version": "2026-10-21"}
    async with (
        await serve(configured(modalities=("text",))) as simulator,
        httpx2.AsyncClient(base_url=simulator.root_url, trust_env=False, timeout=60) as plain,
    ):
        blind = await plain.post(path, json=body | {"model": "sim-large"}, headers=headers)
        seeing = await plain.post(path, json=body | {"model": "sim-small"}, headers=headers)
    assert (blind.status_code, seeing.status_code) == (400, 200)
    assert "image" in blind.json()["error"]["message"]
    usage = seeing.json()["usage"]
    assert IMAGE_TOKENS + 3 + 3 in (usage.get("prompt_tokens"), usage.get("input_tokens"))


decimals = st.decimals(0, 1000, places=6)


@given(decimals, decimals, st.integers(0, 10**7), st.integers(0, 10**7))
def test_cost_is_additive_and_never_rounded(
    given_: Decimal, got: Decimal, prompt: int, completion: int
) -> None:
    prices = Prices(given_, got)
    whole = prices.cost(prompt, completion)
    assert whole == prices.cost(prompt, 0) + prices.cost(0, completion)
    assert whole * 1_000_000 == given_ * prompt + got * completion
