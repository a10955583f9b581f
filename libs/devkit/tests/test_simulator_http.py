"""The simulator over real HTTP, called as the platform calls providers: with the openai SDK."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from devkit.simulator import (
    Message,
    Question,
    RunningSimulator,
    default_config,
    draw,
    serve,
)
from devkit.simulator.tokens import estimate_tokens
from openai.types.chat import ChatCompletion, ChatCompletionUserMessageParam

pytestmark = pytest.mark.asyncio

PROMPT = "Which note taking app should my team use?"
MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": PROMPT}]


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with await serve(default_config()) as running:
        yield running


@pytest_asyncio.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=simulator.base_url, api_key="x", max_retries=0, timeout=30
    ) as sdk:
        yield sdk


@pytest_asyncio.fixture
async def http(simulator: RunningSimulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=simulator.root_url, headers={"authorization": "Bearer x"}, trust_env=False
    ) as plain:
        yield plain


def text_of(completion: ChatCompletion) -> str:
    content = completion.choices[0].message.content
    assert content is not None
    return content


def question(sample: str, model: str = "sim-large") -> Question:
    return Question(model, (Message("user", PROMPT),), sample)


async def test_plain_completion_is_the_drawn_answer(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="sim-large", messages=MESSAGES, seed=11, temperature=0.7
    )
    assert text_of(completion) == draw(default_config(), question("seed:11")).text
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "sim-large"
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.system_fingerprint is not None
    assert completion.system_fingerprint.startswith("fp_")
    assert completion.created > 1_700_000_000
    assert completion.model_extra == {"simulated": True}


async def test_usage_is_the_documented_estimate(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="sim-large", messages=[{"role": "system", "content": "abcde"}, *MESSAGES], seed=1
    )
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens == 2 + -(-len(PROMPT) // 4) + 2 * 3 + 3
    assert usage.completion_tokens == estimate_tokens(text_of(completion))
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_raw_response_carries_the_marker_and_the_sample(
    client: openai.AsyncOpenAI,
) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="sim-small", messages=MESSAGES
    )
    assert raw.headers["x-limelight-simulated"] == "true"
    sample = raw.headers["x-limelight-sample"]
    expected = draw(default_config(), question(sample, "sim-small")).text
    assert text_of(raw.parse()) == expected


async def test_stream_has_openais_sequence_of_chunks(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="sim-large",
        messages=MESSAGES,
        seed=11,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert stream.response.headers["x-limelight-simulated"] == "true"
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    first, *deltas, last, usage = [chunk async for chunk in stream]
    assert first.choices[0].delta.role == "assistant"
    assert first.choices[0].delta.content == ""
    pieces = [chunk.choices[0].delta.content for chunk in deltas]
    assert len(pieces) > 3
    assert (
        "".join(piece or "" for piece in pieces) == draw(default_config(), question("seed:11")).text
    )
    assert all(c.choices[0].finish_reason is None for c in (first, *deltas))
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.content is None
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens > 0
    everything = (first, *deltas, last, usage)
    assert all(c.model_extra == {"simulated": True} for c in everything)
    assert len({(c.id, c.created, c.model) for c in everything}) == 1
    assert first.usage is None


async def test_stream_without_usage_option_has_no_usage(http: httpx2.AsyncClient) -> None:
    body = {"model": "sim-large", "messages": MESSAGES, "stream": True}
    response = await http.post("/v1/chat/completions", json=body)
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert all("usage" not in chunk for chunk in chunks)
    assert [len(chunk["choices"]) for chunk in chunks] == [1] * len(chunks)
    assert chunks[-1]["choices"][0]["delta"] == {}


async def test_stream_and_plain_report_the_same_usage(client: openai.AsyncOpenAI) -> None:
    plain = await client.chat.completions.create(model="sim-large", messages=MESSAGES, seed=4)
    stream = await client.chat.completions.create(
        model="sim-large",
        messages=MESSAGES,
        seed=4,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage == plain.usage


async def test_same_seed_repeats_and_other_seeds_differ(client: openai.AsyncOpenAI) -> None:
    async def ask(seed: int) -> ChatCompletion:
        return await client.chat.completions.create(model="sim-large", messages=MESSAGES, seed=seed)

    one, again, *others = [await ask(seed) for seed in (1, 1, 2, 3, 4)]
    assert text_of(one) == text_of(again)
    assert one.id != again.id
    assert len({text_of(completion) for completion in (one, *others)}) == 4


async def test_calls_without_seed_vary_and_a_new_process_repeats_them() -> None:
    async def run() -> list[str]:
        async with (
            await serve(default_config()) as simulator,
            openai.AsyncOpenAI(base_url=simulator.base_url, api_key="x", max_retries=0) as sdk,
        ):
            answers = [
                await sdk.chat.completions.create(model="sim-large", messages=MESSAGES)
                for _ in range(5)
            ]
        return [text_of(answer) for answer in answers]

    first = await run()
    assert len(set(first)) == 5
    assert await run() == first


async def test_text_parts_are_read_as_one_text(client: openai.AsyncOpenAI) -> None:
    parts: Any = [{"type": "text", "text": PROMPT[:9]}, {"type": "text", "text": PROMPT[9:]}]
    completion = await client.chat.completions.create(
        model="sim-large", messages=[{"role": "user", "content": parts}], seed=11
    )
    assert text_of(completion) == draw(default_config(), question("seed:11")).text


async def test_max_tokens_cuts_the_answer(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="sim-large", messages=MESSAGES, seed=11, max_completion_tokens=5
    )
    assert completion.choices[0].finish_reason == "length"
    assert text_of(completion) == draw(default_config(), question("seed:11")).text[:20]
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    page = await client.models.list()
    assert [model.id for model in page.data] == ["sim-large", "sim-small", "sim-contrarian"]
    assert page.model_extra == {"simulated": True}
    raw = await client.models.with_raw_response.list()
    assert raw.headers["x-limelight-simulated"] == "true"


async def test_unknown_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-none", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert caught.value.response.headers["x-limelight-simulated"] == "true"
    assert caught.value.response.json()["simulated"] is True


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic abc", "x"])
async def test_a_bearer_key_is_required(
    simulator: RunningSimulator, path: str, authorization: str
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    method = "GET" if path.endswith("models") else "POST"
    async with httpx2.AsyncClient(
        base_url=simulator.root_url, trust_env=False, timeout=60
    ) as plain:
        response = await plain.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_a_missing_key_is_an_authentication_error(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        await client.chat.completions.create(
            model="sim-large", messages=MESSAGES, extra_headers={"authorization": ""}
        )


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, None),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        ({"seed": "x"}, "seed"),
        ({"seed": True}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": 3}, "stream_options"),
        ({"n": 2}, "n"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["audio"]}, "modalities"),
    ],
)
async def test_malformed_and_unsupported_requests(
    http: httpx2.AsyncClient, change: dict[str, object], param: str | None
) -> None:
    body = {"model": "sim-large", "messages": MESSAGES} | change
    response = await http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["param"] == param
    assert response.json()["simulated"] is True


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_unparseable_bodies(http: httpx2.AsyncClient, raw: bytes) -> None:
    response = await http.post("/v1/chat/completions", content=raw)
    assert response.status_code == 400
    assert "could not parse" in response.json()["error"]["message"]


async def test_odd_text_is_answered(http: httpx2.AsyncClient) -> None:
    raw = b'{"model":"sim-large","messages":[{"role":"user","content":"\\ud800 \\u0000"}]}'
    response = await http.post("/v1/chat/completions", content=raw)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)],
)
async def test_wrong_addresses_are_marked_too(
    http: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path)
    assert response.status_code == status
    assert response.headers["x-limelight-simulated"] == "true"
    assert response.json()["error"]["message"] == f"Invalid URL ({method} {path})"


async def test_serving_leaves_signals_alone_and_refuses_a_taken_port(
    simulator: RunningSimulator,
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with await serve(default_config()) as other:
        assert other.port != simulator.port
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(OSError, match="in use"):
        await serve(default_config(), port=simulator.port)


async def test_a_stopped_simulator_refuses_connections() -> None:
    simulator = await serve(default_config())
    await simulator.stop()
    await simulator.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", simulator.port)


async def test_the_command_serves_until_terminated() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devkit.simulator", "--port", "0"), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        url = line.removeprefix("simulator listening on ").strip()
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as sdk:
            completion = await sdk.chat.completions.create(
                model="sim-large", messages=MESSAGES, seed=11
            )
        assert text_of(completion) == draw(default_config(), question("seed:11")).text
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            code = await process.wait()
    assert code == 0


async def test_the_command_reports_a_bad_configuration(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("sead = 1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devkit.simulator", "--config", str(path)), stderr=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"bad.toml: models: at least one model is needed" in errors
