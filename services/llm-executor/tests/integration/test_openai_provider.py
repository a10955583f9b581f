"""What is particular to the adapter of Chat Completions: its requests, and odd answers to them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from llm_executor.adapters import wire
from llm_executor.adapters.failures import Failures
from llm_executor.adapters.openai import OpenAIProvider, _Answer, takes_strict
from llm_executor.adapters.wire import Access, Malformed
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, ModelFacts, Reply, Tokens, Turn

CALL = Call("gpt-5", (Turn("user", "Which app?"),))
FULL = dataclasses.replace(CALL, seed=7, temperature=0.5, max_output_tokens=800)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
ACCESS = Access("acme", "http://127.0.0.1:9/v1", "sk-test", "ACME_API_KEY")


@pytest_asyncio.fixture
async def provider(odd: Any) -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider(dataclasses.replace(ACCESS, base_url=odd.url))
    yield made
    await made.close()


def answer(content: object = "Notion.", finish: object = "stop", **more: object) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"content": content}}
    return {"id": "chatcmpl-1", "model": "gpt-5", "choices": [choice], **more}


def chunk(content: object = None, finish: object = None, **more: object) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "delta": {"content": content}}
    return event({"id": "chatcmpl-1", "model": "gpt-5", "choices": [choice], **more})


def event(body: object) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def error(message: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "param": None, "code": None, **more}}


async def failed(provider: OpenAIProvider, *, stream: bool = False) -> CallFailed:
    on_text = [].append if stream else None  # type: ignore[var-annotated]
    with pytest.raises(CallFailed) as caught:
        await provider.complete(FULL, 10, on_text)
    return caught.value


async def streamed(provider: OpenAIProvider) -> tuple[Reply, list[str]]:
    pieces: list[str] = []
    return await provider.complete(CALL, 10, pieces.append), pieces


# Requests.


@pytest.mark.asyncio
async def test_what_is_asked_is_sent(odd: Any, provider: OpenAIProvider) -> None:
    odd.says(answer())
    turns = (Turn("system", "Be short. 🫘"), Turn("user", "Which app?"))
    await provider.complete(dataclasses.replace(FULL, turns=turns), 10)
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
    assert odd.headers[0]["authorization"] == "Bearer sk-test"


@pytest.mark.asyncio
async def test_what_is_not_asked_is_left_out(odd: Any, provider: OpenAIProvider) -> None:
    odd.says(answer())
    reply = await provider.complete(CALL, 10)
    assert odd.bodies[0].keys() == {"model", "messages"}
    assert reply.not_settable == ()


@pytest.mark.asyncio
async def test_a_stream_asks_for_its_usage(odd: Any, provider: OpenAIProvider) -> None:
    odd.streams(chunk("a", "stop"))
    await streamed(provider)
    assert odd.bodies[0]["stream"] is True
    assert odd.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.asyncio
async def test_images_are_parts_of_their_turn(odd: Any, provider: OpenAIProvider) -> None:
    odd.says(answer())
    pictures = ("https://example.com/a.png", "data:image/png;base64,aGk=")
    await provider.complete(Call("gpt-5", (Turn("user", "What?", pictures),)), 10)
    assert odd.bodies[0]["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": pictures[0]}},
        {"type": "image_url", "image_url": {"url": pictures[1]}},
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("strict", [True, False])
async def test_a_schema_is_sent_as_it_was_asked(
    odd: Any, provider: OpenAIProvider, strict: bool
) -> None:
    odd.says(answer())
    schema = SCHEMA if strict else {**SCHEMA, "additionalProperties": True}
    await provider.complete(dataclasses.replace(CALL, schema=schema), 10)
    assert odd.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }


@pytest.mark.parametrize(
    ("change", "strict"),
    [
        ({}, True),
        ({"properties": {"name": SCHEMA}}, True),
        ({"properties": {"name": {"anyOf": [SCHEMA, {"type": "null"}]}}}, True),
        ({"properties": {"name": {"type": "array", "items": SCHEMA, "minItems": 1}}}, True),
        ({"properties": {"name": {"$ref": "#/$defs/N"}}, "$defs": {"N": SCHEMA}}, True),
        ({"type": "array"}, False),
        ({"required": []}, False),
        ({"additionalProperties": True}, False),
        ({"properties": {"name": {"type": "string", "minLength": 1}}}, False),
        ({"properties": {"name": {"type": "object"}}}, False),
        ({"properties": {"name": {"type": ["object", "null"]}}}, False),
        ({"properties": {"name": {"properties": {}}}}, False),
        ({"properties": {"name": {"anyOf": [{"type": "object"}]}}}, False),
        ({"properties": {"name": {"type": "array", "items": {"oneOf": []}}}}, False),
        ({"$defs": {"N": {"type": "object"}}}, False),
        ({"$defs": 5}, False),
        ({"properties": 5}, False),
        ({"oneOf": []}, False),
    ],
)
def test_only_what_strict_output_takes_is_strict(change: dict[str, Any], strict: bool) -> None:
    assert takes_strict({**SCHEMA, **change}) is strict


@pytest.mark.asyncio
async def test_parameters_that_a_model_is_known_to_refuse_are_left_out(odd: Any) -> None:
    odd.says(answer())
    known = {"gpt-5": ModelFacts(not_settable=("temperature", "max_output_tokens"))}
    provider = OpenAIProvider(
        dataclasses.replace(ACCESS, base_url=odd.url), lambda name: known[name]
    )
    reply = await provider.complete(FULL, 10)
    await provider.close()
    assert odd.bodies[0].keys() == {"model", "messages", "seed"}
    assert reply.not_settable == ("temperature", "max_output_tokens")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (error("No.", code="unsupported_parameter", param="temperature"), 400),
        (error("No.", code="unsupported_value", param="temperature"), 400),
        (error("Unknown parameter: 'temperature'.", param="temperature"), 400),
        (error("`temperature` is deprecated for this model."), 400),
        ([error('Unknown name "temperature": Cannot find field.')], 400),
        ({"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs not permitted"}]}, 422),
    ],
)
async def test_a_refused_parameter_is_left_out_from_then_on(
    odd: Any, provider: OpenAIProvider, refusal: object, status: int
) -> None:
    odd.says(refusal, status)
    odd.says(answer())
    for _ in range(2):
        reply = await provider.complete(FULL, 10)
        assert (reply.text, reply.not_settable) == ("Notion.", ("temperature",))
    assert ["temperature" in body for body in odd.bodies] == [True, False, False]
    assert all(body["seed"] == 7 for body in odd.bodies)
    await provider.complete(dataclasses.replace(FULL, model="gpt-4"), 10)
    assert odd.bodies[-1]["temperature"] == 0.5  # it was the other model that refused


@pytest.mark.asyncio
async def test_servers_that_know_only_the_older_names_are_asked_by_them(
    odd: Any, provider: OpenAIProvider
) -> None:
    for name in ("max_completion_tokens", "stream_options", "seed"):
        odd.says(error("No.", code="unknown_parameter", param=name), 400)
    odd.streams(chunk("a", "stop"))
    reply = await provider.complete(FULL, 10, lambda _: None)
    assert odd.bodies[-1].keys() == {"model", "messages", "stream", "temperature", "max_tokens"}
    assert odd.bodies[-1]["max_tokens"] == 800
    assert reply.not_settable == ("seed",)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refusal",
    [
        error("temperature: must be at most 1", param="temperature", code="invalid_value"),
        error("No.", code="unsupported_parameter", param="tools"),
        error("Invalid schema for response_format: not permitted.", param="seed"),
        error("The messages are not supported."),
    ],
)
async def test_another_refusal_is_final(
    odd: Any, provider: OpenAIProvider, refusal: object
) -> None:
    odd.says(refusal, 400)
    refused = await failed(provider)
    assert (refused.kind, refused.billed) == ("bad-request", False)
    assert len(odd.bodies) == 1


# Answers.


@pytest.mark.asyncio
async def test_an_answer_is_read(odd: Any, provider: OpenAIProvider) -> None:
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    odd.says(answer(usage=usage, simulated=True))
    assert await provider.complete(CALL, 10) == Reply(
        "Notion.", "gpt-5", "chatcmpl-1", "stop", Tokens(30, 20, 10, 15), simulated=True
    )


@pytest.mark.asyncio
async def test_a_real_provider_is_not_simulated(odd: Any, provider: OpenAIProvider) -> None:
    odd.says(answer())
    assert not (await provider.complete(CALL, 10)).simulated
    made = OpenAIProvider(dataclasses.replace(ACCESS, base_url=odd.url, simulated=True))
    assert (await made.complete(CALL, 10)).simulated
    await made.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ("many", None),
        ({"prompt_tokens": "3", "completion_tokens": 1}, None),
        ({"prompt_tokens": 3, "completion_tokens": -1}, None),
        ({"prompt_tokens": 3, "completion_tokens": 1.0}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, None),
        ({"prompt_tokens": 10**400, "completion_tokens": 1}, None),
        ({"prompt_tokens": 3, "completion_tokens": 1}, Tokens(3, 1)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Tokens(3, 1),
        ),
    ],
)
async def test_odd_usage_costs_no_answer(
    odd: Any, provider: OpenAIProvider, usage: object, tokens: Tokens | None
) -> None:
    odd.says(answer(usage=usage))
    assert (await provider.complete(CALL, 10)).tokens == tokens


@pytest.mark.asyncio
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('"cost": 0.00012345678901234567890123', Decimal("0.00012345678901234567890123")),
        ('"cost": 0.1', Decimal("0.1")),
        ('"cost": 0', Decimal(0)),
        ('"cost": -0.1', None),
        ('"cost": 1e999999', None),
        ('"cost": "free"', None),
        ('"cost": [1]', None),
        (
            '"is_byok": true, "cost": 0.01, "cost_details": {"upstream_inference_cost": 0.2}',
            Decimal("0.21"),
        ),
        ('"is_byok": true, "cost": 0.01', None),
    ],
)
async def test_the_cost_is_what_the_provider_says_to_the_last_digit(
    odd: Any, usage: str, cost: Decimal | None, streaming: bool
) -> None:
    body = json.dumps(answer(usage="?")).replace('"?"', f"{{{usage}}}")
    if streaming:
        last = chunk(usage="?").replace(b'"?"', f"{{{usage}}}".encode())
        odd.streams(chunk("Notion.", "stop"), last, b"data: [DONE]\n\n")
    else:
        odd.says_raw(body, kind="application/json")
    access = dataclasses.replace(ACCESS, base_url=odd.url)
    provider = OpenAIProvider(access, reports_cost=True)
    reply = await provider.complete(CALL, 10, (lambda _: None) if streaming else None)
    await provider.close()
    assert (str(reply.cost_usd), reply.text) == (str(cost), "Notion.")
    assert odd.bodies[0]["usage"] == {"include": True}


BILLED_MALFORMED = ("malformed-answer", True, True)


@pytest.mark.asyncio
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
        {"choices": [5]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        answer(None),
        answer(""),
        answer(5),
        answer([{"type": "text", "text": "in parts"}]),
        answer(None, "tool_calls"),
    ],
    ids=json.dumps,
)
async def test_an_answer_without_a_text_is_malformed(
    odd: Any, provider: OpenAIProvider, body: Any
) -> None:
    odd.says(body)
    got = await failed(provider)
    assert (got.kind, got.retryable, got.billed) == BILLED_MALFORMED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "raw", [b"<html>Welcome</html>", b"", b"\xff", b"{" * 100_000, b'{"choices": NaN}']
)
async def test_an_answer_that_is_no_json_is_malformed(
    odd: Any, provider: OpenAIProvider, raw: bytes
) -> None:
    odd.says_raw(raw)
    got = await failed(provider)
    assert (got.kind, got.retryable, got.billed) == BILLED_MALFORMED


@pytest.mark.asyncio
async def test_an_answer_that_was_cut_by_its_limit_is_one_even_if_empty(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.says(answer(None, "length"))
    reply = await provider.complete(CALL, 10)
    assert (reply.text, reply.finish_reason) == ("", "length")


@pytest.mark.asyncio
@pytest.mark.parametrize("finish", ["content_filter", "SAFETY"])
async def test_a_filtered_answer_is_one_only_if_there_is_text(
    odd: Any, provider: OpenAIProvider, finish: str
) -> None:
    odd.says(answer(None, finish))
    odd.says(answer("Notion and", finish))
    got = await failed(provider)
    assert (got.kind, got.retryable, got.billed) == ("content-filtered", False, True)
    assert (await provider.complete(CALL, 10)).finish_reason == finish


@pytest.mark.asyncio
async def test_a_refusal_is_quoted(odd: Any, provider: OpenAIProvider) -> None:
    body = answer(None)
    body["choices"][0]["message"]["refusal"] = "I will not."
    odd.says(body)
    got = await failed(provider)
    assert got.kind == "content-filtered"
    assert "I will not." in str(got)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"code": 429, "message": "Slow down."}, "rate-limited"),
        ({"code": 502, "message": "Down."}, "server-error"),
        ({"code": "503", "message": "Full."}, "overloaded"),
        ({"code": "context_length_exceeded", "message": "Long."}, "context-too-long"),
        ({"type": "rate_limit_exceeded"}, "rate-limited"),
        ({"code": [], "message": {}}, "server-error"),
        ("just words", "server-error"),
        (["odd"], "server-error"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("inside", [False, True])
async def test_an_error_under_status_200_is_a_failure(
    odd: Any, provider: OpenAIProvider, told: object, kind: str, streaming: bool, inside: bool
) -> None:
    choice = {"finish_reason": "error", "error": told}
    body = {"choices": [choice]} if inside else {"error": told, "choices": []}
    if streaming:
        odd.streams(chunk("Not"), event(body))
    else:
        odd.says(body)
    got = await failed(provider, stream=streaming)
    assert (got.kind, got.billed) == (kind, True)


@pytest.mark.asyncio
async def test_a_finish_that_is_an_error_is_a_failure(odd: Any, provider: OpenAIProvider) -> None:
    odd.streams(chunk("Not"), chunk("ion", "error"), b"data: [DONE]\n\n")
    got = await failed(provider, stream=True)
    assert (got.kind, got.billed) == ("server-error", True)


# Streams.


@pytest.mark.asyncio
async def test_a_stream_is_read_however_it_is_cut(odd: Any, provider: OpenAIProvider) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    whole = (
        b": OPENROUTER PROCESSING\n\n" + chunk("") + chunk("Größe\u2028") + chunk("🫘\n", "stop")
    )
    whole += event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    odd.streams(*(bytes([byte]) for byte in whole.replace(b"\n\n", b"\r\n\r\n")))
    reply, pieces = await streamed(provider)
    assert pieces == ["Größe\u2028", "🫘\n"]
    assert reply.text == "Größe\u2028🫘\n"
    assert (reply.tokens, reply.finish_reason) == (Tokens(3, 2), "stop")
    assert (reply.model, reply.response_id) == ("gpt-5", "chatcmpl-1")


@pytest.mark.asyncio
async def test_the_first_token_is_the_first_text_and_no_comment(
    odd: Any, provider: OpenAIProvider
) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b": OPENROUTER PROCESSING\n\n" + chunk("")
        await asyncio.sleep(0.3)
        yield chunk("a")
        await asyncio.sleep(0.3)
        yield chunk("b", "stop")

    odd.streams()
    odd.answers[0].body_iterator = slow()
    clock = time.perf_counter
    heard: list[float] = []
    started = clock()
    reply = await provider.complete(CALL, 60, lambda _: heard.append(clock() - started))
    assert reply.first_token_seconds is not None
    assert 0.3 <= reply.first_token_seconds <= heard[0] < heard[1]


@pytest.mark.asyncio
async def test_an_answer_in_one_piece_has_no_first_token(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.says(answer())
    assert (await provider.complete(CALL, 10)).first_token_seconds is None


@pytest.mark.asyncio
async def test_connections_are_used_again_after_a_stream(
    odd: Any, provider: OpenAIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_DRAIN_SECONDS", 30)

    async def linger() -> None:
        await asyncio.sleep(0.02)  # the end of the body comes apart from that of the answer

    for _ in range(3):
        odd.streams(chunk("a", "stop"), b"data: [DONE]\n\n", then=linger)
    for _ in range(3):
        await streamed(provider)
    assert len(set(odd.ports)) == 1


@pytest.mark.asyncio
async def test_a_stream_that_is_left_open_after_its_end_costs_no_time(
    odd: Any, provider: OpenAIProvider
) -> None:
    async def forever() -> None:
        await asyncio.sleep(60)

    odd.streams(chunk("a", "stop"), b"data: [DONE]\n\n", then=forever)
    started = asyncio.get_running_loop().time()
    assert (await streamed(provider))[0].text == "a"
    assert asyncio.get_running_loop().time() - started < 30


async def _break() -> None:
    raise RuntimeError("the server's side of a cut connection")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((chunk("Not"),), "stream-cut"),
        ((chunk("Not"), b"data: [DONE]\n\n"), "stream-cut"),
        ((b": nothing\n\n",), "malformed-answer"),
        ((json.dumps(answer()).encode(),), "malformed-answer"),
        ((b"<html></html>",), "malformed-answer"),
        ((chunk("Not"), b"data: {\n\n"), "malformed-answer"),
        ((chunk("Not"), b"data: 5\n\n"), "malformed-answer"),
        ((chunk("Not"), event({"choices": 5})), "malformed-answer"),
        ((chunk("Not"), chunk(5)), "malformed-answer"),
        ((chunk("", "stop"),), "malformed-answer"),
        ((chunk("", "content_filter"),), "content-filtered"),
    ],
)
async def test_a_stream_without_an_answer_is_a_failure(
    odd: Any, provider: OpenAIProvider, pieces: tuple[bytes, ...], kind: str
) -> None:
    odd.streams(*pieces)
    got = await failed(provider, stream=True)
    assert (got.kind, got.billed) == (kind, True)


@pytest.mark.asyncio
async def test_a_connection_that_is_lost_before_the_first_word(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.streams(b": nothing yet\n\n", then=_break)
    got = await failed(provider, stream=True)
    assert (got.kind, got.billed) == ("stream-cut", True)


@pytest.mark.asyncio
async def test_a_connection_that_is_lost_after_the_answer_costs_nothing(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.streams(chunk("Not"), chunk("ion", "stop"), then=_break)
    reply, _ = await streamed(provider)
    assert (reply.text, reply.tokens) == ("Notion", None)


@pytest.mark.asyncio
async def test_a_refused_stream_is_asked_for_again(odd: Any, provider: OpenAIProvider) -> None:
    odd.says(error("No.", code="unsupported_parameter", param="seed"), 400)
    odd.streams(chunk("a", "stop"))
    reply = await provider.complete(FULL, 10, lambda _: None)
    assert reply.not_settable == ("seed",)


# Failures.


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "more", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, "context-too-long"),
        (400, {"message": "This model's maximum context length is 8192."}, "context-too-long"),
        (429, {"message": "Request too large for gpt-5 on tokens per min"}, "context-too-long"),
        (413, {}, "context-too-long"),
        (400, {"code": "content_filter"}, "content-filtered"),
        (403, {"metadata": {"reasons": ["violence"]}}, "content-filtered"),
        (400, {}, "bad-request"),
        (400, {"message": "API key not valid. Please pass a valid API key."}, "auth"),
        (400, {"message": "acme/x is not a valid model ID"}, "unknown-model"),
        (401, {"code": "invalid_api_key"}, "auth"),
        (402, {}, "out-of-credit"),
        (403, {}, "auth"),
        (403, {"code": "model_not_found"}, "unknown-model"),
        (403, {"message": "Key limit exceeded (total limit)."}, "out-of-credit"),
        (404, {}, "unknown-model"),
        (408, {}, "timed-out"),
        (409, {}, "server-error"),
        (422, {}, "bad-request"),
        (429, {"code": "insufficient_quota"}, "out-of-credit"),
        (429, {"code": "rate_limit_exceeded"}, "rate-limited"),
        (500, {}, "server-error"),
        (500, {"message": "context window"}, "server-error"),
        (502, {}, "server-error"),
        (503, {}, "overloaded"),
        (504, {}, "timed-out"),
        (529, {}, "overloaded"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_every_status_has_a_kind(
    odd: Any, provider: OpenAIProvider, status: int, more: Any, kind: str, streaming: bool
) -> None:
    odd.says(error(**{"message": "said so", **more}), status)
    got = await failed(provider, stream=streaming)
    assert (got.kind, got.billed) == (kind, kind == "timed-out")
    assert f"acme answered {status}" in str(got)
    assert len(odd.bodies) == 1  # the SDK's own retries are off


@pytest.mark.asyncio
async def test_what_is_wrong_with_the_key_names_its_variable_and_never_shows_it(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.says(error("Incorrect API key provided: sk-test. " + "x" * 100_000), 401)
    got = await failed(provider)
    assert "Incorrect API key provided: ***." in str(got)
    assert "ACME_API_KEY" in str(got)
    assert len(str(got)) <= 1000
    assert "sk-test" not in repr(got)
    assert got.__cause__ is None
    assert got.__suppress_context__


@pytest.mark.asyncio
async def test_of_a_page_only_its_title_is_shown(odd: Any, provider: OpenAIProvider) -> None:
    page = "<!DOCTYPE html><html><head><title>Bad\n gateway</title>" + "<p>" * 9999
    odd.says_raw(page, 502)
    got = await failed(provider)
    assert got.kind == "server-error"
    assert "answered 502: a page of HTML: Bad gateway;" in str(got)
    assert "<" not in str(got)


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "value"), [("retry-after", "2.5"), ("retry-after-ms", "2500")])
async def test_a_provider_may_say_when_to_come_back(
    odd: Any, provider: OpenAIProvider, name: str, value: str
) -> None:
    odd.says(error("Slow down."), 429, **{name: value})
    assert (await failed(provider)).retry_after == 2.5


@pytest.mark.asyncio
async def test_a_request_that_cannot_be_sent_is_the_requests_fault(
    odd: Any, provider: OpenAIProvider
) -> None:
    odd.says(answer())
    with pytest.raises(CallFailed) as caught:
        await provider.complete(Call("gpt-5", (Turn("user", "\ud83e"),)), 10)
    assert (caught.value.kind, caught.value.billed) == ("bad-request", False)
    assert odd.bodies == []


# Anything at all.

KEYS = (
    *("choices", "message", "delta", "content", "refusal", "finish_reason", "error", "code"),
    *("usage", "prompt_tokens", "completion_tokens", "cost", "cost_details", "is_byok"),
    *("prompt_tokens_details", "cached_tokens", "id", "model", "simulated", "metadata", "type"),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["stop", "length", "error", "content_filter"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)
CHOICE = st.fixed_dictionaries({"message": JSON, "delta": JSON, "finish_reason": JSON})
ANSWERS = JSON | st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, max_size=2) | JSON, "usage": JSON}, optional={"error": JSON}
)


@given(st.lists(ANSWERS, min_size=1, max_size=4), st.sampled_from(["message", "delta"]))
def test_no_answer_breaks_the_reader(answers: list[object], part: str) -> None:
    taken = _Answer(Failures(ACCESS, ValueError))
    said = ""
    try:
        for body in answers:
            said += taken.take(body, part)
        reply = OpenAIProvider(ACCESS)._reply(taken, ())
    except (CallFailed, Malformed):
        return
    assert reply.text == said
    assert isinstance(reply.model, str)
    assert isinstance(reply.finish_reason, str | None)
    assert isinstance(reply.cost_usd, Decimal | None)
    assert reply.tokens is None or reply.tokens.input >= (reply.tokens.cached or 0)
