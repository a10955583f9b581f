"""Anthropic's Messages API as the anthropic SDK sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
import pytest_asyncio
from anthropic.types import Message as SdkMessage
from anthropic.types import MessageParam, ToolParam
from devkit.simulator import (
    FaultRates,
    Message,
    ModelSettings,
    Question,
    RunningSimulator,
    default_config,
    draw,
    serve,
)
from devkit.simulator.tokens import IMAGE_TOKENS, estimate_tokens
from pydantic import BaseModel

pytestmark = pytest.mark.asyncio

PROMPT = "Which note taking app should my team use?"
MESSAGES: list[MessageParam] = [{"role": "user", "content": PROMPT}]
TOOL: ToolParam = {
    "name": "look_up",
    "input_schema": {
        "type": "object",
        "properties": {"product": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["product", "limit"],
    },
}


class Opinion(BaseModel):
    brands: list[str]
    confident: bool


def sdk_for(simulator: RunningSimulator, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        base_url=simulator.root_url, api_key="x", max_retries=0, timeout=30, **options
    )


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


@pytest_asyncio.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with sdk_for(simulator) as sdk:
        yield sdk


async def ask(client: anthropic.AsyncAnthropic, fault: str = "none", **options: Any) -> SdkMessage:
    values: dict[str, Any] = {"model": "sim-large", "messages": MESSAGES, "max_tokens": 1000}
    message: SdkMessage = await client.messages.create(
        **(values | options), extra_headers={"x-limelight-fault": fault}
    )
    return message


def expected(sample: str, *before: Message) -> str:
    question = Question("sim-large", (*before, Message("user", PROMPT)), sample)
    return draw(default_config(), question).text


def text_of(message: SdkMessage) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_plain_message_is_the_drawn_answer(client: anthropic.AsyncAnthropic) -> None:
    raw = await client.messages.with_raw_response.create(
        model="sim-large", messages=MESSAGES, max_tokens=1000
    )
    message = await raw.parse()
    assert raw.headers["x-limelight-simulated"] == "true"
    assert raw.headers["x-limelight-sample"] == "call:0"
    assert raw.headers["request-id"].startswith("req_")
    assert text_of(message) == expected("call:0")
    assert (message.role, message.type, message.model) == ("assistant", "message", "sim-large")
    assert message.stop_reason == "end_turn"
    assert message.stop_sequence is None
    assert message.id.startswith("msg_")
    assert message.model_extra == {"simulated": True}


async def test_usage_is_the_documented_estimate(client: anthropic.AsyncAnthropic) -> None:
    message = await ask(client, system="abcde")
    assert message.usage.input_tokens == 2 + -(-len(PROMPT) // 4) + 2 * 3 + 3
    assert message.usage.output_tokens == estimate_tokens(text_of(message))
    assert message.usage.cache_read_input_tokens == 0
    assert message.usage.cache_creation_input_tokens == 0
    counted = await client.messages.count_tokens(
        model="sim-large", messages=MESSAGES, system="abcde"
    )
    assert counted.input_tokens == message.usage.input_tokens
    assert counted.model_extra == {"simulated": True}


async def test_system_prompts_and_blocks_are_part_of_the_prompt(
    client: anthropic.AsyncAnthropic,
) -> None:
    system = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]
    blocks = [{"type": "text", "text": PROMPT[:9]}, {"type": "text", "text": PROMPT[9:]}]
    one = await ask(client, system=system, messages=[{"role": "user", "content": blocks}])
    assert text_of(one) == expected("call:0", Message("system", "Be brief."))
    other = await ask(client, system="Be brief.")
    assert text_of(other) == expected("call:1", Message("system", "Be brief."))


async def test_stream_has_anthropics_sequence_of_events(client: anthropic.AsyncAnthropic) -> None:
    whole = await ask(client)
    async with sdk_of_a_new_process() as fresh:
        stream = await fresh.messages.create(
            model="sim-large", messages=MESSAGES, max_tokens=1000, stream=True
        )
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        events = [event async for event in stream]
    kinds = [event.type for event in events]
    deltas = kinds.count("content_block_delta")
    assert deltas > 3
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all((event.model_extra or {}).get("simulated") is True for event in events)
    started, delta = events[0], events[-2]
    assert started.type == "message_start"
    assert started.message.content == []
    assert started.message.stop_reason is None
    assert delta.type == "message_delta"
    assert delta.delta.stop_reason == "end_turn"
    assert delta.usage.output_tokens == whole.usage.output_tokens


def sdk_of_a_new_process() -> FreshSdk:
    return FreshSdk()


class FreshSdk:
    """A client of a simulator that has answered nothing yet."""

    async def __aenter__(self) -> anthropic.AsyncAnthropic:
        self._simulator = await serve(default_config())
        self._sdk = sdk_for(self._simulator)
        return self._sdk

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.close()
        await self._simulator.stop()


async def test_stream_helper_gathers_the_same_message(client: anthropic.AsyncAnthropic) -> None:
    whole = await ask(client)
    async with (
        sdk_of_a_new_process() as fresh,
        fresh.messages.stream(model="sim-large", messages=MESSAGES, max_tokens=1000) as stream,
    ):
        heard = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(heard) == text_of(whole) == text_of(final)
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.stop_reason == "end_turn"
    assert final.id == whole.id


async def test_a_ping_is_sent(simulator: RunningSimulator) -> None:
    headers = {"x-api-key": "x", "anthropic-version": "2026-10-21"}
    body = {"model": "sim-large", "messages": MESSAGES, "max_tokens": 9, "stream": True}
    async with httpx2.AsyncClient(
        base_url=simulator.root_url, trust_env=False, timeout=60
    ) as plain:
        response = await plain.post("/v1/messages", json=body, headers=headers)
    assert 'event: ping\ndata: {"type":"ping","simulated":true}\n\n' in response.text


async def test_max_tokens_cuts_the_answer(client: anthropic.AsyncAnthropic) -> None:
    message = await ask(client, max_tokens=5)
    assert message.stop_reason == "max_tokens"
    assert text_of(message) == expected("call:0")[:20]
    assert message.usage.output_tokens == 5


async def test_parse_returns_the_model_with_the_drawn_brands(
    client: anthropic.AsyncAnthropic,
) -> None:
    message = await client.messages.parse(
        model="sim-large", messages=MESSAGES, max_tokens=1000, output_format=Opinion
    )
    assert message.parsed_output is not None
    question = Question("sim-large", (Message("user", PROMPT),), "call:0")
    assert tuple(message.parsed_output.brands) == draw(default_config(), question).truth.names
    async with (
        sdk_of_a_new_process() as fresh,
        fresh.messages.stream(
            model="sim-large", messages=MESSAGES, max_tokens=1000, output_format=Opinion
        ) as stream,
    ):
        assert (await stream.get_final_message()).parsed_output == message.parsed_output


async def test_a_forced_tool_is_called_and_its_result_answered(
    client: anthropic.AsyncAnthropic,
) -> None:
    message = await ask(client, tools=[TOOL], tool_choice={"type": "tool", "name": "look_up"})
    (block,) = message.content
    assert block.type == "tool_use"
    assert message.stop_reason == "tool_use"
    assert block.id.startswith("toolu_")
    assert {name: type(value) for name, value in block.input.items()} == {
        "product": str,
        "limit": int,
    }
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "nothing found"}
    conversation = [
        *MESSAGES,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    answered = await ask(client, messages=conversation, tools=[TOOL])
    assert answered.stop_reason == "end_turn"
    assert text_of(answered)


async def test_tool_input_is_streamed_in_pieces(client: anthropic.AsyncAnthropic) -> None:
    whole = await ask(client, tools=[TOOL], tool_choice={"type": "any"})
    async with (
        sdk_of_a_new_process() as fresh,
        fresh.messages.stream(
            model="sim-large",
            messages=MESSAGES,
            max_tokens=1000,
            tools=[TOOL],
            tool_choice={"type": "any"},
        ) as stream,
    ):
        pieces = [event.partial_json async for event in stream if event.type == "input_json"]
        final = await stream.get_final_message()
    assert len(pieces) > 1
    assert final.content[0].type == "tool_use"
    assert final.content == whole.content


async def test_images_are_counted_and_part_of_the_prompt(client: anthropic.AsyncAnthropic) -> None:
    def asked(data: str) -> list[MessageParam]:
        source: Any = {"type": "base64", "media_type": "image/png", "data": data}
        image: Any = {"type": "image", "source": source}
        return [{"role": "user", "content": [image, {"type": "text", "text": PROMPT}]}]

    one, other, bare = [
        await ask(client, messages=messages)
        for messages in (asked("AAAA"), asked("AAAB"), MESSAGES)
    ]
    assert one.usage.input_tokens == bare.usage.input_tokens + IMAGE_TOKENS
    assert len({text_of(message) for message in (one, other, bare)}) == 3


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.ContentTooLargeError, "request_too_large"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
async def test_statuses_map_to_the_sdks_errors(
    client: anthropic.AsyncAnthropic, status: int, kind: type[anthropic.APIStatusError], name: str
) -> None:
    with pytest.raises(kind) as caught:
        await ask(client, f"status={status}")
    error = caught.value
    assert (error.status_code, error.type) == (status, name)
    body: Any = error.body
    assert set(body) == {"type", "error", "request_id", "simulated"}
    assert body["type"] == "error"
    assert error.request_id == body["request_id"]


async def test_rate_limits_carry_retry_after(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as caught:
        await ask(client, "status=429;retry-after=1")
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.type == "rate_limit_error"


async def test_refusals_name_what_is_wrong(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        await ask(client, model="claude-none")
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: 16385 > 16384"):
        await ask(client, max_tokens=16_385)
    with pytest.raises(anthropic.BadRequestError, match="Missing required parameter: 'max_tokens'"):
        await ask(client, max_tokens=None)
    with pytest.raises(anthropic.BadRequestError, match="Tool 'other' not found"):
        await ask(client, tools=[TOOL], tool_choice={"type": "tool", "name": "other"})
    with pytest.raises(anthropic.BadRequestError, match="'document' blocks"):
        await ask(client, messages=[{"role": "user", "content": [{"type": "document"}]}])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"anthropic-version": "2026-10-21"}, 401),
        ({"x-api-key": "x"}, 400),
        ({"authorization": "Bearer x", "anthropic-version": "2026-10-21"}, 200),
        ({"x-api-key": "x", "anthropic-version": "2026-10-21"}, 200),
    ],
)
async def test_a_key_and_a_version_are_required(
    simulator: RunningSimulator, headers: dict[str, str], status: int
) -> None:
    body = {"model": "sim-large", "messages": MESSAGES, "max_tokens": 9}
    async with httpx2.AsyncClient(
        base_url=simulator.root_url, trust_env=False, timeout=60
    ) as plain:
        response = await plain.post("/v1/messages", json=body, headers=headers)
    assert response.status_code == status
    assert response.headers["x-limelight-simulated"] == "true"
    assert response.headers["request-id"]


async def test_parameters_a_model_does_not_take_are_refused() -> None:
    settings = {"sim-large": ModelSettings(not_settable=("temperature",))}
    config = dataclasses.replace(default_config(), settings=settings)
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        with pytest.raises(anthropic.BadRequestError, match="temperature: is not supported"):
            await ask(client, extra_body={"temperature": 0.5})
        assert text_of(await ask(client, model="sim-small", extra_body={"temperature": 0.5}))


async def test_a_prompt_beyond_the_context_is_refused() -> None:
    settings = {"sim-large": ModelSettings(context_tokens=20)}
    config = dataclasses.replace(default_config(), settings=settings)
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        with pytest.raises(
            anthropic.BadRequestError, match="prompt is too long: 21 tokens > 20 maximum"
        ):
            await ask(client, messages=[{"role": "user", "content": "x" * 4 * 15}])
        assert text_of(await ask(client, messages=[{"role": "user", "content": "x" * 4 * 14}]))


async def test_a_body_beyond_the_limit_is_refused() -> None:
    config = dataclasses.replace(default_config(), max_request_bytes=100_000)
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        with pytest.raises(anthropic.ContentTooLargeError, match="100000 bytes"):
            await ask(client, messages=[{"role": "user", "content": "x" * 100_000}])
        assert text_of(await ask(client))


async def test_an_error_in_a_stream_reaches_the_caller(client: anthropic.AsyncAnthropic) -> None:
    heard: list[str] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        await listen(client, "error-in-stream", heard)
    assert caught.value.type == "overloaded_error"
    assert heard


async def listen(client: anthropic.AsyncAnthropic, fault: str, heard: list[str]) -> None:
    stream = await client.messages.create(
        model="sim-large",
        messages=MESSAGES,
        max_tokens=1000,
        stream=True,
        extra_headers={"x-limelight-fault": fault},
    )
    async for event in stream:
        heard += [event.type]


async def test_a_stream_without_an_end_just_stops(client: anthropic.AsyncAnthropic) -> None:
    heard: list[str] = []
    await listen(client, "no-finish", heard)
    assert heard[-1] == "content_block_stop"


async def test_a_refusal_has_no_content(client: anthropic.AsyncAnthropic) -> None:
    message = await ask(client, "filtered")
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None
    assert message.stop_details.type == "refusal"
    heard: list[str] = []
    await listen(client, "filtered", heard)
    assert heard == ["message_start", "message_delta", "message_stop"]


async def test_an_empty_answer_ends_as_if_nothing_were_wrong(
    client: anthropic.AsyncAnthropic,
) -> None:
    message = await ask(client, "empty")
    assert (message.stop_reason, message.content) == ("end_turn", [])


async def test_rates_apply_to_this_api_too() -> None:
    config = dataclasses.replace(default_config(), faults=FaultRates(status_529=1.0))
    async with await serve(config) as simulator, sdk_for(simulator) as client:
        with pytest.raises(anthropic.OverloadedError):
            await client.messages.create(model="sim-large", messages=MESSAGES, max_tokens=9)
    assert simulator.stats.by_fault == {"status=529": 1}
