"""What is particular to the adapter of Anthropic's Messages."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.adapters import wire
from llm_executor.adapters.anthropic import DEFAULT_MAX_TOKENS, AnthropicProvider, _Answer
from llm_executor.adapters.failures import Failures
from llm_executor.adapters.wire import Access, Malformed
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, ModelFacts, Reply, Tokens, Turn

CALL = Call("claude-sonnet", (Turn("user", "Which app?"),))
FULL = dataclasses.replace(CALL, seed=7, temperature=0.5, max_output_tokens=800)
ACCESS = Access("anthropic", "http://127.0.0.1:9/v1", "sk-ant-test", "ANTHROPIC_API_KEY")
USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 3000,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
}


@pytest_asyncio.fixture
async def provider(odd: Any) -> AsyncIterator[AnthropicProvider]:
    made = AnthropicProvider(dataclasses.replace(ACCESS, base_url=odd.url))
    yield made
    await made.close()


def message(*texts: object, stop: object = "end_turn", **more: object) -> dict[str, Any]:
    blocks = [{"type": "text", "text": text} for text in texts]
    return {
        "id": "msg_1",
        "model": "claude-sonnet-1",
        "content": blocks,
        "stop_reason": stop,
        **more,
    }


def event(kind: str, **more: object) -> bytes:
    body = json.dumps({"type": kind, **more}, ensure_ascii=False).encode()
    return f"event: {kind}\n".encode() + b"data: " + body + b"\n\n"


def delta(text: object) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def ended(stop: str | None, **usage: object) -> bytes:
    return event("message_delta", delta={"stop_reason": stop}, usage=usage)


START = event(
    "message_start", message={**message(stop=None), "usage": {**USAGE, "output_tokens": 1}}
)
STOP = event("message_stop")


def error(kind: str, words: str = "said so", **details: object) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words, "details": details or None}}


async def failed(provider: AnthropicProvider, *, stream: bool = False) -> CallFailed:
    on_text = [].append if stream else None  # type: ignore[var-annotated]
    with pytest.raises(CallFailed) as caught:
        await provider.complete(FULL, 10, on_text)
    return caught.value


@pytest.mark.asyncio
async def test_what_is_asked_is_sent(odd: Any, provider: AnthropicProvider) -> None:
    odd.says(message("Notion."))
    turns = (
        Turn("system", "Be short."),
        Turn("user", "Which app? 🫘"),
        Turn("assistant", "For what?"),
        Turn("system", "Be kind."),
        Turn("user", "Notes."),
    )
    reply = await provider.complete(dataclasses.replace(FULL, turns=turns), 10)
    assert odd.bodies == [
        {
            "model": "claude-sonnet",
            "max_tokens": 800,
            "system": "Be short.\n\nBe kind.",
            "messages": [
                {"role": "user", "content": "Which app? 🫘"},
                {"role": "assistant", "content": "For what?"},
                {"role": "user", "content": "Notes."},
            ],
            "temperature": 0.5,
        }
    ]
    assert odd.paths == ["/v1/messages"]
    assert odd.headers[0]["authorization"] == "Bearer sk-ant-test"
    assert odd.headers[0]["anthropic-version"]
    assert reply.not_settable == ("seed",)


@pytest.mark.asyncio
async def test_what_is_not_asked_is_left_out(odd: Any, provider: AnthropicProvider) -> None:
    odd.says(message("Notion."))
    reply = await provider.complete(CALL, 10)
    assert odd.bodies[0].keys() == {"model", "max_tokens", "messages"}
    assert reply.not_settable == ()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("known", "sent"),
    [(None, DEFAULT_MAX_TOKENS), (1000, 1000), (10**6, DEFAULT_MAX_TOKENS)],
)
async def test_a_limit_is_always_sent(odd: Any, known: int | None, sent: int) -> None:
    odd.says(message("Notion."))
    access = dataclasses.replace(ACCESS, base_url=odd.server.url)
    provider = AnthropicProvider(access, lambda _: ModelFacts(max_output_tokens=known))
    await provider.complete(CALL, 10)
    await provider.close()
    assert odd.bodies[0]["max_tokens"] == sent
    assert odd.paths == ["/v1/messages"]


@pytest.mark.asyncio
async def test_images_stand_before_their_text(odd: Any, provider: AnthropicProvider) -> None:
    odd.says(message("A bean."))
    pictures = ("https://example.com/a.png", "data:image/jpeg;base64,aGk=")
    await provider.complete(Call("claude-sonnet", (Turn("user", "What?", pictures),)), 10)
    inline = {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}
    assert odd.bodies[0]["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": pictures[0]}},
        {"type": "image", "source": inline},
        {"type": "text", "text": "What?"},
    ]


@pytest.mark.asyncio
async def test_a_schema_is_sent_in_the_part_of_it_that_anthropic_takes(
    odd: Any, provider: AnthropicProvider
) -> None:
    odd.says(message("{}"))
    name = {"type": "string", "minLength": 1}
    schema = {"type": "object", "properties": {"name": name}, "required": ["name"]}
    await provider.complete(dataclasses.replace(CALL, schema=schema), 10)
    sent = odd.bodies[0]["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["required"] == ["name"]
    assert "minLength" not in sent["schema"]["properties"]["name"]
    assert "minLength" in sent["schema"]["properties"]["name"]["description"]


@pytest.mark.asyncio
@pytest.mark.parametrize("schema", [{}, {"type": "weird"}, {"properties": 5, "type": "object"}])
async def test_a_schema_that_cannot_be_narrowed_is_sent_as_it_is(
    odd: Any, provider: AnthropicProvider, schema: dict[str, Any]
) -> None:
    odd.says(message("{}"))
    await provider.complete(dataclasses.replace(CALL, schema=schema), 10)
    assert odd.bodies[0]["output_config"]["format"]["schema"] == schema


@pytest.mark.asyncio
async def test_parameters_that_a_model_is_known_to_refuse_are_left_out(odd: Any) -> None:
    odd.says(message("Notion."))
    known = {"claude-sonnet": ModelFacts(not_settable=("temperature", "seed"))}
    access = dataclasses.replace(ACCESS, base_url=odd.url)
    provider = AnthropicProvider(access, lambda name: known[name])
    reply = await provider.complete(FULL, 10)
    await provider.close()
    assert odd.bodies[0].keys() == {"model", "max_tokens", "messages"}
    assert reply.not_settable == ("seed", "temperature")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "words",
    [
        "`temperature` is deprecated for this model.",
        "temperature: Extra inputs are not permitted",
        "temperature: is not supported by claude-sonnet",
    ],
)
async def test_a_refused_parameter_is_left_out_from_then_on(
    odd: Any, provider: AnthropicProvider, words: str
) -> None:
    odd.says(error("invalid_request_error", words), 400)
    odd.says(message("Notion."))
    for _ in range(2):
        reply = await provider.complete(FULL, 10)
        assert reply.not_settable == ("seed", "temperature")
    assert ["temperature" in body for body in odd.bodies] == [True, False, False]


@pytest.mark.asyncio
async def test_another_refusal_is_final(odd: Any, provider: AnthropicProvider) -> None:
    odd.says(error("invalid_request_error", "temperature: should be at most 1"), 400)
    assert (await failed(provider)).kind == "bad-request"
    assert len(odd.bodies) == 1


# Answers.


@pytest.mark.asyncio
async def test_an_answer_is_read(odd: Any, provider: AnthropicProvider) -> None:
    body = message("Not", "ion.", usage=USAGE, simulated=True)
    body["content"].insert(0, {"type": "thinking", "thinking": "Hm."})
    odd.says(body)
    tokens = Tokens(3210, 50, cached=200, reasoning=20)
    assert await provider.complete(CALL, 10) == Reply(
        "Notion.", "claude-sonnet-1", "msg_1", "stop", tokens, simulated=True
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ("many", None),
        ({"input_tokens": 3}, None),
        ({"input_tokens": "3", "output_tokens": 1}, None),
        ({"input_tokens": 3, "output_tokens": 1}, Tokens(3, 1)),
        ({"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": None}, Tokens(3, 1)),
        ({"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 0}, Tokens(3, 1, 0)),
    ],
)
async def test_odd_usage_costs_no_answer(
    odd: Any, provider: AnthropicProvider, usage: object, tokens: Tokens | None
) -> None:
    odd.says(message("Notion.", usage=usage))
    assert (await provider.complete(CALL, 10)).tokens == tokens


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_why_an_answer_ended_is_told(
    odd: Any, provider: AnthropicProvider, stop: str, reason: str, streaming: bool
) -> None:
    if streaming:
        odd.streams(START, delta("Not"), ended(stop), STOP)
    else:
        odd.says(message("Not", stop=stop))
    reply = await provider.complete(CALL, 10, (lambda _: None) if streaming else None)
    assert (reply.text, reply.finish_reason) == ("Not", reason)


@pytest.mark.asyncio
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("stop", "kind"),
    [("refusal", "content-filtered"), ("end_turn", "malformed-answer"), ("max_tokens", None)],
)
async def test_an_answer_without_a_text(
    odd: Any, provider: AnthropicProvider, stop: str, kind: str | None, streaming: bool
) -> None:
    if streaming:
        odd.streams(START, ended(stop), STOP)
    else:
        odd.says(message(stop=stop))
    if kind is None:
        on_text = (lambda _: None) if streaming else None
        assert (await provider.complete(CALL, 10, on_text)).text == ""
    else:
        got = await failed(provider, stream=streaming)
        assert (got.kind, got.billed) == (kind, True)


@pytest.mark.asyncio
async def test_a_refusal_is_explained(odd: Any, provider: AnthropicProvider) -> None:
    odd.says(message(stop="refusal", stop_details={"explanation": "Not that."}))
    assert "Not that." in str(await failed(provider))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body", [{}, [], 5, None, {"content": 5}, message(5), message(None)], ids=json.dumps
)
async def test_an_odd_answer_is_malformed(
    odd: Any, provider: AnthropicProvider, body: object
) -> None:
    odd.says(body)
    got = await failed(provider)
    assert (got.kind, got.billed) == ("malformed-answer", True)


# Streams.


@pytest.mark.asyncio
async def test_a_stream_is_read_however_it_is_cut(odd: Any, provider: AnthropicProvider) -> None:
    thinking = event("content_block_delta", delta={"type": "thinking_delta", "thinking": "Hm"})
    block = event("content_block_start", content_block={"type": "text", "text": ""})
    whole = START + event("ping") + thinking + block + delta("Größe\u2028") + delta("🫘")
    whole += ended("end_turn", output_tokens=50, input_tokens=None) + STOP
    odd.streams(*(bytes([byte]) for byte in whole))
    pieces: list[str] = []
    reply = await provider.complete(CALL, 10, pieces.append)
    assert pieces == ["Größe\u2028", "🫘"]
    assert (reply.text, reply.model) == ("Größe\u2028🫘", "claude-sonnet-1")
    assert reply.tokens == Tokens(3210, 50, cached=200, reasoning=20)
    assert reply.first_token_seconds is not None


@pytest.mark.asyncio
async def test_connections_are_used_again_after_a_stream(
    odd: Any, provider: AnthropicProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_DRAIN_SECONDS", 30)

    async def linger() -> None:
        await asyncio.sleep(0.02)  # the end of the body comes apart from that of the answer

    for _ in range(3):
        odd.streams(START, delta("a"), ended("end_turn"), STOP, then=linger)
    for _ in range(3):
        await provider.complete(CALL, 10, lambda _: None)
    assert len(set(odd.ports)) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((START, delta("Not")), "stream-cut"),
        ((START, delta("Not"), STOP), "stream-cut"),
        ((b": nothing\n\n",), "malformed-answer"),
        ((START, b"data: {\n\n"), "malformed-answer"),
        ((START, b"data: 5\n\n"), "malformed-answer"),
        ((START, delta(5)), "malformed-answer"),
        ((START, event("error", error={"type": "overloaded_error"})), "overloaded"),
        ((START, event("error", error={"type": "api_error"})), "server-error"),
        ((START, event("error", error={"type": "rate_limit_error"})), "rate-limited"),
        ((START, event("error", error=5)), "server-error"),
        ((START, event("error")), "server-error"),
    ],
)
async def test_a_stream_without_an_answer_is_a_failure(
    odd: Any, provider: AnthropicProvider, pieces: tuple[bytes, ...], kind: str
) -> None:
    odd.streams(*pieces)
    got = await failed(provider, stream=True)
    assert (got.kind, got.billed) == (kind, True)


@pytest.mark.asyncio
async def test_silence_in_a_stream_ends_with_the_time(
    odd: Any, provider: AnthropicProvider
) -> None:
    async def forever() -> None:
        await asyncio.sleep(20)

    odd.streams(START, delta("Not"), then=forever)
    with pytest.raises(CallFailed) as caught:
        await provider.complete(CALL, 1, lambda _: None)
    assert (caught.value.kind, caught.value.billed) == ("timed-out", True)


# Failures.


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("invalid_request_error"), "bad-request"),
        (
            400,
            error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            "context-too-long",
        ),
        (
            400,
            error("invalid_request_error", "Your credit balance is too low to access the API"),
            "out-of-credit",
        ),
        (401, error("authentication_error"), "auth"),
        (402, error("billing_error"), "out-of-credit"),
        (403, error("permission_error"), "auth"),
        (
            403,
            error("permission_error", error_code="enforced_spend_limit_reached"),
            "out-of-credit",
        ),
        (404, error("not_found_error", "model: claude-x"), "unknown-model"),
        (413, error("request_too_large"), "context-too-long"),
        (429, error("rate_limit_error"), "rate-limited"),
        (500, error("api_error"), "server-error"),
        (504, error("timeout_error"), "timed-out"),
        (529, error("overloaded_error"), "overloaded"),
        (529, "no object", "overloaded"),
    ],
)
async def test_every_error_has_a_kind(
    odd: Any, provider: AnthropicProvider, status: int, body: object, kind: str
) -> None:
    odd.says(body, status, **{"retry-after": "3"})
    got = await failed(provider)
    assert (got.kind, got.retry_after) == (kind, 3.0)
    assert f"anthropic answered {status}" in str(got)
    assert len(odd.bodies) == 1  # the SDK's own retries are off


@pytest.mark.asyncio
async def test_what_is_wrong_with_the_key_names_its_variable_and_never_shows_it(
    odd: Any, provider: AnthropicProvider
) -> None:
    odd.says(error("authentication_error", "invalid x-api-key sk-ant-test " + "x" * 9999), 401)
    got = await failed(provider)
    assert "invalid x-api-key ***" in str(got)
    assert "ANTHROPIC_API_KEY" in str(got)
    assert len(str(got)) <= 1000
    assert got.__suppress_context__


# Lists.


@pytest.mark.asyncio
async def test_all_pages_of_the_list_are_read(odd: Any, provider: AnthropicProvider) -> None:
    odd.says({"data": [{"id": "claude-1"}], "has_more": True, "last_id": "claude-1"})
    odd.says({"data": [{"id": "claude-2", "max_tokens": 64}], "has_more": False, "last_id": "x"})
    catalog = await provider.catalog(10)
    assert [model.name for model in catalog.models] == ["claude-1", "claude-2"]
    assert catalog.models[1].max_output_tokens == 64
    assert odd.paths == ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=claude-1"]


@pytest.mark.asyncio
async def test_a_list_without_an_end_ends(odd: Any, provider: AnthropicProvider) -> None:
    odd.says({"data": [{"id": "claude-1"}], "has_more": True, "last_id": "claude-1"})
    assert len((await provider.catalog(10)).models) == 1
    assert len(odd.paths) == 20


# Anything at all.

KEYS = (
    *("type", "message", "content", "text", "delta", "content_block", "stop_reason", "usage"),
    *("error", "stop_details", "explanation", "input_tokens", "output_tokens", "model", "id"),
    *("cache_read_input_tokens", "output_tokens_details", "thinking_tokens", "simulated"),
)
WORDS = ("message_start", "content_block_start", "content_block_delta", "message_delta", "text")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([*WORDS, "text_delta", "end_turn", "refusal", "max_tokens", "error"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)
EVENTS = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(WORDS)},
    optional={"delta": JSON, "message": JSON, "content_block": JSON, "usage": JSON},
)


@given(st.lists(EVENTS, max_size=4), JSON)
def test_no_answer_breaks_the_reader(events: list[object], whole: object) -> None:
    taken = _Answer(Failures(ACCESS, ValueError))
    said = ""
    try:
        for body in events:
            said += taken.take_event(body)
        reply = AnthropicProvider(ACCESS)._reply(taken, ())
        assert reply.text == said
        _Answer(Failures(ACCESS, ValueError)).take_message(whole)
    except (CallFailed, Malformed):
        return
    assert isinstance(reply.finish_reason, str | None)
    assert isinstance(reply.model, str)
