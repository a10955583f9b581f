"""Structured output and tools in OpenAI's two APIs, and the Responses API itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import anthropic
import httpx2
import openai
import pydantic
import pytest
import pytest_asyncio
from devkit.simulator import (
    FaultRates,
    Message,
    ModelSettings,
    Question,
    RunningSimulator,
    SimulatorConfig,
    default_config,
    draw,
    serve,
)
from devkit.simulator.tokens import IMAGE_TOKENS, estimate_tokens
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletion, ChatCompletionUserMessageParam
from openai.types.responses import Response

pytestmark = pytest.mark.asyncio

PROMPT = "Which note taking app should my team use?"
MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": PROMPT}]
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "product": {"type": "string", "minLength": 20},
        "limit": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["product", "limit"],
    "additionalProperties": False,
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "look_up", "parameters": PARAMETERS, "strict": True},
}
OTHER_TOOL: Any = {"type": "function", "function": {"name": "other", "parameters": PARAMETERS}}
FLAT_TOOL: Any = {"type": "function", **TOOL["function"]}


class Ranked(pydantic.BaseModel):
    name: str
    rank: int
    sentiment: Literal["positive", "neutral", "negative"]


class Opinion(pydantic.BaseModel):
    answer: str
    brands: list[str]
    ranked_brands: list[Ranked]
    confidence: float = pydantic.Field(ge=0, le=1)


def sdk_for(simulator: RunningSimulator) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=simulator.base_url, api_key="x", max_retries=0, timeout=30)


class Fresh:
    """A client of a simulator that has answered nothing yet."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self._config = config or default_config()

    async def __aenter__(self) -> openai.AsyncOpenAI:
        self._simulator = await serve(self._config)
        self._sdk = sdk_for(self._simulator)
        return self._sdk

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.close()
        await self._simulator.stop()


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


@pytest_asyncio.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_for(simulator) as sdk:
        yield sdk


async def chat(client: openai.AsyncOpenAI, fault: str = "none", **options: Any) -> ChatCompletion:
    values: dict[str, Any] = {"model": "sim-large", "messages": MESSAGES, "seed": 5}
    completion: ChatCompletion = await client.chat.completions.create(
        **(values | options), extra_headers={"x-limelight-fault": fault}
    )
    return completion


async def respond(client: openai.AsyncOpenAI, fault: str = "none", **options: Any) -> Response:
    values: dict[str, Any] = {"model": "sim-large", "input": PROMPT}
    response: Response = await client.responses.create(
        **(values | options), extra_headers={"x-limelight-fault": fault}
    )
    return response


def drawn(sample: str, *before: Message) -> Any:
    question = Question("sim-large", (*before, Message("user", PROMPT)), sample)
    return draw(default_config(), question)


def content_of(completion: ChatCompletion) -> str:
    content = completion.choices[0].message.content
    assert content is not None
    return content


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "opinion", "schema": schema}}


def assert_says_the_truth(opinion: Opinion, sample: str) -> None:
    answer = drawn(sample)
    assert opinion.answer == answer.text
    assert tuple(opinion.brands) == answer.truth.names
    assert [(one.name, one.rank, one.sentiment) for one in opinion.ranked_brands] == [
        (one.brand.name, one.rank, one.sentiment) for one in answer.brands
    ]


async def test_chat_parse_returns_the_drawn_truth(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.parse(
        model="sim-large", messages=MESSAGES, seed=5, response_format=Opinion
    )
    parsed = completion.choices[0].message.parsed
    assert parsed is not None
    assert_says_the_truth(parsed, "seed:5")
    async with client.chat.completions.stream(
        model="sim-large", messages=MESSAGES, seed=5, response_format=Opinion
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_completion()
    assert sum(event.type == "content.delta" for event in events) > 3
    assert final.choices[0].message.parsed == parsed


async def test_asking_for_json_does_not_change_the_opinion(client: openai.AsyncOpenAI) -> None:
    plain = await chat(client)
    asked = await chat(client, response_format={"type": "json_object"})
    value = json.loads(content_of(asked))
    assert value["answer"] == content_of(plain)
    assert tuple(value["brands"]) == drawn("seed:5").truth.names


async def test_a_schema_that_cannot_be_satisfied_says_why(client: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"minimum": 3, "maximum": 1}},
        "required": ["a"],
    }
    with pytest.raises(openai.BadRequestError, match="'minimum'") as caught:
        await chat(client, response_format=schema_format(schema))
    assert caught.value.param == "minimum"


async def test_max_tokens_cuts_json_too(client: openai.AsyncOpenAI) -> None:
    completion = await chat(client, response_format={"type": "json_object"}, max_tokens=3)
    assert completion.choices[0].finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(content_of(completion))


async def test_a_broken_schema_is_mended_by_asking_again(client: openai.AsyncOpenAI) -> None:
    form = schema_format(Opinion.model_json_schema())
    broken = content_of(await chat(client, "break-schema;first=1", response_format=form))
    with pytest.raises(pydantic.ValidationError):
        Opinion.model_validate_json(broken)
    json.loads(broken)
    mended = content_of(await chat(client, "break-schema;first=1", response_format=form))
    assert_says_the_truth(Opinion.model_validate_json(mended), "seed:5")


async def test_broken_schemas_by_rate_spare_plain_answers(simulator: RunningSimulator) -> None:
    config = dataclasses.replace(default_config(), faults=FaultRates(break_schema=1.0))
    async with Fresh(config) as client:
        plain = await client.chat.completions.create(model="sim-large", messages=MESSAGES, seed=5)
        assert content_of(plain) == drawn("seed:5").text
        with pytest.raises(pydantic.ValidationError):
            await client.chat.completions.parse(
                model="sim-large", messages=MESSAGES, response_format=Opinion
            )


async def test_a_forced_tool_is_called_with_valid_arguments(client: openai.AsyncOpenAI) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "look_up"}}):
        completion = await chat(client, tools=[TOOL, OTHER_TOOL], tool_choice=choice)
        message = completion.choices[0].message
        assert completion.choices[0].finish_reason == "tool_calls"
        assert message.content is None
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        assert call.type == "function"
        assert call.function.name == "look_up"
        Draft202012Validator(PARAMETERS).validate(json.loads(call.function.arguments))


async def test_the_named_tool_is_the_one_called(client: openai.AsyncOpenAI) -> None:
    named = {"type": "function", "function": {"name": "other"}}
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [named]},
    }
    for choice in (named, allowed):
        completion = await chat(client, tools=[TOOL, OTHER_TOOL], tool_choice=choice)
        assert called(completion) == "other"
    with pytest.raises(openai.BadRequestError, match="not found in 'tools'"):
        await chat(client, tools=[TOOL], tool_choice=named)


def called(completion: ChatCompletion) -> str | None:
    calls = completion.choices[0].message.tool_calls
    if not calls:
        return None
    assert calls[0].type == "function"
    return calls[0].function.name


async def test_left_to_the_model_a_tool_is_called_at_the_configured_rate() -> None:
    for rate, low, high in ((0.0, 0, 0), (0.3, 6, 30), (1.0, 60, 60)):
        settings = {"sim-large": ModelSettings(tool_rate=rate)}
        async with Fresh(dataclasses.replace(default_config(), settings=settings)) as client:
            names = [called(await chat(client, tools=[TOOL], seed=seed)) for seed in range(60)]
            again = [called(await chat(client, tools=[TOOL], seed=seed)) for seed in range(60)]
        assert names == again
        assert low <= names.count("look_up") <= high
        assert set(names) <= {"look_up", None}


async def test_none_forbids_and_a_result_ends_the_calls(client: openai.AsyncOpenAI) -> None:
    silent = [
        called(await chat(client, tools=[TOOL], tool_choice="none", seed=seed)) for seed in range(9)
    ]
    assert set(silent) == {None}
    asked = await chat(client, tools=[TOOL], tool_choice="required")
    calls = asked.choices[0].message.tool_calls
    assert calls is not None
    conversation = [
        *MESSAGES,
        asked.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": calls[0].id, "content": "nothing found"},
    ]
    answers = [
        await chat(client, tools=[TOOL], messages=conversation, seed=seed) for seed in range(9)
    ]
    assert {called(answer) for answer in answers} == {None}
    assert all(content_of(answer) for answer in answers)


async def test_arguments_are_streamed_in_pieces(client: openai.AsyncOpenAI) -> None:
    whole = await chat(client, tools=[TOOL], tool_choice="required")
    async with client.chat.completions.stream(
        model="sim-large", messages=MESSAGES, seed=5, tools=[TOOL], tool_choice="required"
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_completion()
    kinds = [event.type for event in events]
    assert kinds.count("tool_calls.function.arguments.delta") > 1
    assert kinds.count("tool_calls.function.arguments.done") == 1
    assert final.choices[0].finish_reason == "tool_calls"
    one, other = final.choices[0].message.tool_calls, whole.choices[0].message.tool_calls
    assert one is not None
    assert other is not None
    assert other[0].type == "function"
    assert one[0].function.arguments == other[0].function.arguments


async def test_tools_count_as_prompt_tokens(client: openai.AsyncOpenAI) -> None:
    bare, tooled = await chat(client), await chat(client, tools=[TOOL])
    assert bare.usage is not None
    assert tooled.usage is not None
    text = json.dumps([TOOL], separators=(",", ":"))
    assert tooled.usage.prompt_tokens == bare.usage.prompt_tokens + estimate_tokens(text)


async def test_other_tools_and_schemas_are_other_requests(simulator: RunningSimulator) -> None:
    async with sdk_for(simulator) as client:
        forms: list[dict[str, Any]] = [
            {},
            {"tools": [TOOL]},
            {"tools": [TOOL], "tool_choice": "required"},
            {"response_format": {"type": "json_object"}},
            {"response_format": schema_format({"type": "object"})},
        ]
        for form in forms:
            await chat(client, **form)
        assert (simulator.stats.answerable, simulator.stats.distinct) == (5, 5)
        for form in forms[:2]:
            await chat(client, **form)
        assert (simulator.stats.answerable, simulator.stats.distinct) == (7, 5)


async def test_images_in_chat_are_counted_and_part_of_the_prompt(
    client: openai.AsyncOpenAI,
) -> None:
    def asked(url: str) -> list[Any]:
        image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
        return [{"role": "user", "content": [{"type": "text", "text": PROMPT}, image]}]

    urls = ("https://x.example/a.png", "data:image/png;base64,AAAA")
    one, other = [await chat(client, messages=asked(url)) for url in urls]
    bare = await chat(client)
    assert one.usage is not None
    assert bare.usage is not None
    assert one.usage.prompt_tokens == bare.usage.prompt_tokens + IMAGE_TOKENS
    assert len({content_of(completion) for completion in (one, other, bare)}) == 3


async def test_a_response_is_the_drawn_answer(client: openai.AsyncOpenAI) -> None:
    raw = await client.responses.with_raw_response.create(
        model="sim-large", input=PROMPT, instructions="Be brief.", temperature=0.5
    )
    response = raw.parse()
    assert raw.headers["x-limelight-sample"] == "call:0"
    assert raw.headers["x-limelight-simulated"] == "true"
    assert response.output_text == drawn("call:0", Message("system", "Be brief.")).text
    assert (response.status, response.object) == ("completed", "response")
    assert (response.instructions, response.temperature) == ("Be brief.", 0.5)
    assert response.id.startswith("resp_")
    assert response.error is None
    assert response.incomplete_details is None
    assert response.model_extra == {"simulated": True}
    usage = response.usage
    assert usage is not None
    assert usage.input_tokens == 3 + -(-len(PROMPT) // 4) + 2 * 3 + 3
    assert usage.output_tokens == estimate_tokens(response.output_text)
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.output_tokens_details.reasoning_tokens == 0
    assert (usage.model_extra or {})["cost"] > 0


async def test_one_conversation_is_one_prompt_in_every_api(simulator: RunningSimulator) -> None:
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
        {"type": "function_call", "call_id": "c", "name": "look_up", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c", "output": "nothing"},
        {"role": "user", "content": "Go on."},
    ]
    call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"a":1}'}}
    turns: Any = [
        {"role": "system", "content": "Be brief."},
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "nothing"},
        {"role": "user", "content": "Go on."},
    ]
    blocks: Any = [
        *MESSAGES,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "look_up", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": "nothing"},
                {"type": "text", "text": "Go on."},
            ],
        },
    ]
    async with (
        sdk_for(simulator) as client,
        anthropic.AsyncAnthropic(base_url=simulator.root_url, api_key="x") as other,
    ):
        response = await respond(client, input=items, instructions="Be brief.")
        completion = await client.chat.completions.create(model="sim-large", messages=turns)
        message = await other.messages.create(
            model="sim-large", max_tokens=1000, system="Be brief.", messages=blocks
        )
    assert message.content[0].type == "text"
    assert response.output_text == content_of(completion) == message.content[0].text
    assert response.usage is not None
    assert completion.usage is not None
    assert response.usage.input_tokens == completion.usage.prompt_tokens
    assert response.usage.input_tokens == message.usage.input_tokens


async def test_responses_stream_the_sdks_sequence_of_events(client: openai.AsyncOpenAI) -> None:
    whole = await respond(client)
    async with Fresh() as fresh:
        stream = await fresh.responses.create(model="sim-large", input=PROMPT, stream=True)
        events = [event async for event in stream]
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas > 3
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert all((event.model_extra or {}).get("simulated") is True for event in events)
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage == whole.usage
    assert last.response.output == whole.output


async def test_responses_parse_and_stream_return_the_drawn_truth() -> None:
    async with Fresh() as client:
        response = await client.responses.parse(
            model="sim-large", input=PROMPT, text_format=Opinion
        )
    assert response.output_parsed is not None
    assert_says_the_truth(response.output_parsed, "call:0")
    async with (
        Fresh() as client,
        client.responses.stream(model="sim-large", input=PROMPT, text_format=Opinion) as stream,
    ):
        final = await stream.get_final_response()
    assert final.output_parsed == response.output_parsed


async def test_responses_call_functions_and_read_their_results() -> None:
    async with Fresh() as client:
        response = await respond(client, tools=[FLAT_TOOL], tool_choice="required")
        (call,) = response.output
        assert call.type == "function_call"
        assert (call.name, call.status) == ("look_up", "completed")
        Draft202012Validator(PARAMETERS).validate(json.loads(call.arguments))
        items = [
            {"role": "user", "content": PROMPT},
            call.model_dump(exclude_none=True),
            {"type": "function_call_output", "call_id": call.call_id, "output": "nothing"},
        ]
        answered = await respond(client, input=items, tools=[FLAT_TOOL])
        assert answered.output_text
    async with (
        Fresh() as client,
        client.responses.stream(
            model="sim-large", input=PROMPT, tools=[FLAT_TOOL], tool_choice="required"
        ) as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds.count("response.function_call_arguments.delta") > 1
    assert kinds.count("response.function_call_arguments.done") == 1
    assert final.output[0].type == "function_call"
    assert final.output[0].arguments == call.arguments


async def test_max_output_tokens_leave_a_response_incomplete(client: openai.AsyncOpenAI) -> None:
    response = await respond(client, max_output_tokens=5)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == drawn("call:0").text[:20]
    assert response.max_output_tokens == 5
    async with Fresh() as fresh:
        stream = await fresh.responses.create(
            model="sim-large", input=PROMPT, stream=True, max_output_tokens=5
        )
        kinds = [event.type async for event in stream]
    assert kinds[-1] == "response.incomplete"


async def test_images_in_responses(client: openai.AsyncOpenAI) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    parts = [{"type": "input_text", "text": PROMPT}, image]
    seen, bare = (
        await respond(client, input=[{"role": "user", "content": parts}]),
        await respond(client),
    )
    assert seen.usage is not None
    assert bare.usage is not None
    assert seen.usage.input_tokens == bare.usage.input_tokens + IMAGE_TOKENS
    assert seen.output_text != bare.output_text


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, None),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
async def test_responses_refuse_what_cannot_be_answered(
    simulator: RunningSimulator, change: dict[str, Any], param: str | None
) -> None:
    body = {"model": "sim-large", "input": PROMPT} | change
    headers = {"authorization": "Bearer x"}
    async with httpx2.AsyncClient(
        base_url=simulator.base_url, trust_env=False, timeout=60
    ) as plain:
        response = await plain.post("/responses", json=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert response.json()["simulated"] is True


async def test_responses_errors_are_the_sdks(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await respond(client, model="gpt-none")
    with pytest.raises(openai.RateLimitError):
        await respond(client, "status=429")
    filtered = await respond(client, "filtered")
    assert filtered.incomplete_details is not None
    assert (filtered.status, filtered.output) == ("incomplete", [])
    assert filtered.incomplete_details.reason == "content_filter"
    empty = await respond(client, "empty")
    assert (empty.status, empty.output) == ("completed", [])


async def test_openrouters_prefix_serves_both_apis(simulator: RunningSimulator) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{simulator.root_url}/api/v1", api_key="x", max_retries=0
    ) as client:
        assert content_of(await chat(client)) == drawn("seed:5").text
        assert (await respond(client)).output_text == drawn("call:0").text


async def test_structured_text_is_the_same_function_everywhere(
    client: openai.AsyncOpenAI,
) -> None:
    async def asked(build: Callable[[], Any]) -> list[str]:
        return [await build() for _ in range(3)]

    async def by_chat() -> str:
        form = schema_format(Opinion.model_json_schema())
        return content_of(await chat(client, response_format=form, seed=None))

    async def by_responses() -> str:
        text = {
            "format": {"type": "json_schema", "name": "o", "schema": Opinion.model_json_schema()}
        }
        return (await respond(client, text=text)).output_text

    assert await asked(by_chat) == await asked(by_responses)
