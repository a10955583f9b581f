"""What every adapter must do, over HTTP against the provider simulator."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from devkit.simulator import (
    FaultRates,
    RunningSimulator,
    create_app,
    default_config,
    serve,
)
from devkit.simulator.settings import ModelSettings
from llm_executor.adapters.anthropic import AnthropicProvider
from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.adapters.wire import Access
from llm_executor.domain.errors import KINDS, CallFailed
from llm_executor.domain.models import Call, Reply, Turn
from llm_executor.domain.ports import OnText, Provider
from runtime.deadline import Deadline
from runtime.server import HttpServer

pytestmark = pytest.mark.asyncio
KEY = "sk-conformance-4711"
MODEL = "sim-large"
CALL = Call(MODEL, (Turn("system", "Be short."), Turn("user", "Which notes app? 🫘")), seed=7)
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "rank": {"type": "integer"}},
    "required": ["name", "rank"],
    "additionalProperties": False,
}

Make = Callable[[Access], Provider]
ADAPTERS: list[Make] = [OpenAIProvider, AnthropicProvider]
each_adapter = pytest.mark.parametrize("make", ADAPTERS, ids=["openai", "anthropic"])
plain_and_streamed = pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streamed"])


@asynccontextmanager
async def provider_at(make: Make, base_url: str) -> AsyncIterator[Provider]:
    provider = make(Access("acme", base_url, KEY, "ACME_API_KEY"))
    yield provider
    await provider.close()


@asynccontextmanager
async def simulated(
    make: Make, *, faults: FaultRates | None = None, **changes: Any
) -> AsyncIterator[tuple[Provider, RunningSimulator]]:
    config = dataclasses.replace(default_config(), faults=faults or FaultRates(), **changes)
    async with await serve(config) as running, provider_at(make, running.base_url) as provider:
        yield provider, running


@asynccontextmanager
async def failing(make: Make, directives: str) -> AsyncIterator[Provider]:
    """A provider at the simulator, with the same fault asked for in every request."""
    app = create_app(default_config())

    async def faulty(scope: Any, receive: Any, send: Any) -> None:
        header = (b"x-limelight-fault", directives.encode())
        await app({**scope, "headers": [*scope["headers"], header]}, receive, send)

    server = HttpServer(faulty, "127.0.0.1", 0)
    await server.start()
    async with provider_at(make, f"{server.url}/v1") as provider:
        yield provider
    await server.stop(Deadline(1))


def settings(**values: Any) -> dict[str, ModelSettings]:
    return {MODEL: dataclasses.replace(default_config().settings_of(MODEL), **values)}


def listener(streaming: bool) -> OnText | None:
    return (lambda _: None) if streaming else None


async def failure(
    provider: Provider, call: Call = CALL, timeout: float = 10, *, streaming: bool = False
) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await provider.complete(call, timeout, listener(streaming))
    failed = caught.value
    assert KEY not in repr(failed)
    assert len(str(failed)) <= 1000
    assert str(failed).startswith("acme ")
    return failed


async def failure_under(
    make: Make, faults: FaultRates, timeout: float = 10, *, streaming: bool = False
) -> CallFailed:
    async with simulated(make, faults=faults) as (provider, running):
        failed = await failure(provider, timeout=timeout, streaming=streaming)
        assert running.stats.snapshot()["requests"] == 1  # one attempt is one call
    return failed


def told(failed: CallFailed) -> tuple[str, bool]:
    return failed.kind, failed.billed


# Answers.


@each_adapter
async def test_an_answer_is_mapped(make: Make) -> None:
    async with simulated(make) as (provider, _):
        assert not provider.simulated
        reply = await provider.complete(CALL, 10)
    assert reply.text
    assert (reply.model, reply.finish_reason) == (MODEL, "stop")
    assert reply.response_id
    assert reply.tokens is not None
    assert min(reply.tokens.input, reply.tokens.output) > 0
    assert reply.simulated  # it says so itself
    assert reply.first_token_seconds is None


@each_adapter
async def test_a_streamed_answer_arrives_in_pieces_that_join_to_it(make: Make) -> None:
    pieces: list[str] = []
    async with simulated(make, comments=True) as (provider, _):
        plain = await provider.complete(dataclasses.replace(CALL, seed=1), 10)
        reply = await provider.complete(dataclasses.replace(CALL, seed=1), 10, pieces.append)
    assert len(pieces) > 2
    assert all(pieces)
    assert "".join(pieces) == reply.text
    assert (reply.finish_reason, reply.model) == ("stop", MODEL)
    assert reply.tokens is not None
    assert plain.tokens is not None
    assert reply.tokens.input == plain.tokens.input
    assert reply.simulated
    assert reply.first_token_seconds is not None


@each_adapter
async def test_the_first_token_comes_before_the_last(make: Make) -> None:
    faults = FaultRates(latency_s=0.2, chunk_delay_s=0.05)
    async with simulated(make, faults=faults) as (provider, _):
        started = asyncio.get_running_loop().time()
        reply = await provider.complete(CALL, 10, lambda _: None)
        took = asyncio.get_running_loop().time() - started
    assert reply.first_token_seconds is not None
    assert 0.2 <= reply.first_token_seconds < took - 0.05


@each_adapter
@plain_and_streamed
async def test_an_answer_may_be_cut_by_its_limit(make: Make, streaming: bool) -> None:
    async with simulated(make) as (provider, _):
        short = dataclasses.replace(CALL, max_output_tokens=5)
        reply = await provider.complete(short, 10, listener(streaming))
    assert reply.finish_reason == "length"
    assert reply.tokens is not None
    assert reply.tokens.output == 5


@each_adapter
@plain_and_streamed
async def test_an_answer_has_the_shape_that_was_asked_for(make: Make, streaming: bool) -> None:
    async with simulated(make) as (provider, _):
        shaped = dataclasses.replace(CALL, schema=SCHEMA)
        reply = await provider.complete(shaped, 10, listener(streaming))
    answer = json.loads(reply.text)
    assert answer.keys() == {"name", "rank"}
    assert isinstance(answer["rank"], int)


@each_adapter
async def test_pictures_are_seen(make: Make) -> None:
    pictures = (PICTURE, "https://example.com/a.png")
    turns = (Turn("user", "What is this?", pictures),)
    async with simulated(make) as (provider, _):
        seen = await provider.complete(dataclasses.replace(CALL, turns=turns), 10)
        unseen = await provider.complete(
            dataclasses.replace(CALL, turns=(Turn("user", "What is this?"),)), 10
        )
    assert seen.tokens is not None
    assert unseen.tokens is not None
    assert seen.tokens.input > unseen.tokens.input


@each_adapter
async def test_a_model_that_sees_nothing_refuses_pictures(make: Make) -> None:
    async with simulated(make, settings=settings(modalities=("text",))) as (provider, _):
        turns = (Turn("user", "What is this?", (PICTURE,)),)
        failed = await failure(provider, dataclasses.replace(CALL, turns=turns))
    assert told(failed) == ("bad-request", False)


@each_adapter
@plain_and_streamed
async def test_a_parameter_that_a_model_refuses_is_left_out_and_named(
    make: Make, streaming: bool
) -> None:
    call = dataclasses.replace(CALL, temperature=0.5, seed=None)
    async with simulated(make, settings=settings(not_settable=("temperature",))) as (provider, sim):
        first = await provider.complete(call, 10, listener(streaming))
        second = await provider.complete(call, 10, listener(streaming))
        calls = sim.stats.snapshot()["requests"]
    assert first.not_settable == second.not_settable == ("temperature",)
    assert calls == 3  # the refusal happens once


@each_adapter
async def test_calls_at_once_do_not_mix(make: Make) -> None:
    calls = [dataclasses.replace(CALL, turns=(Turn("user", f"Which app {n}?"),)) for n in range(40)]
    async with simulated(make) as (provider, _):

        async def both(call: Call) -> tuple[Reply, str]:
            pieces: list[str] = []
            return await provider.complete(call, 20, pieces.append), "".join(pieces)

        found = await asyncio.gather(*(both(call) for call in calls))
    assert all(reply.text == joined for reply, joined in found)
    assert len({reply.response_id for reply, _ in found}) == 40


# Failures.


@each_adapter
@plain_and_streamed
async def test_rate_limited_says_when_to_come_back(make: Make, streaming: bool) -> None:
    faults = FaultRates(status_429=1.0, retry_after_s=2.5)
    failed = await failure_under(make, faults, streaming=streaming)
    assert told(failed) == ("rate-limited", False)
    assert failed.retry_after == 2.5


@each_adapter
@plain_and_streamed
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad-request"),
        (401, "auth"),
        (402, "out-of-credit"),
        (403, "auth"),
        (404, "unknown-model"),
        (408, "timed-out"),
        (413, "context-too-long"),
        (429, "rate-limited"),
        (500, "server-error"),
        (502, "server-error"),
        (503, "overloaded"),
        (529, "overloaded"),
    ],
)
async def test_every_status_has_a_kind(make: Make, status: int, kind: str, streaming: bool) -> None:
    async with failing(make, f"status={status}") as provider:
        failed = await failure(provider, streaming=streaming)
    assert told(failed) == (kind, kind == "timed-out")
    assert failed.retryable is KINDS[kind][0]
    assert f"answered {status}" in str(failed)
    assert ("ACME_API_KEY" in str(failed)) is (kind == "auth")


@each_adapter
async def test_a_model_that_nobody_knows(make: Make) -> None:
    async with simulated(make) as (provider, _):
        failed = await failure(provider, dataclasses.replace(CALL, model="sim-huge"))
    assert told(failed) == ("unknown-model", False)
    assert "sim-huge" in str(failed)


@each_adapter
async def test_a_prompt_that_is_too_long(make: Make) -> None:
    async with simulated(make, settings=settings(context_tokens=5)) as (provider, _):
        failed = await failure(provider)
    assert told(failed) == ("context-too-long", False)


@each_adapter
async def test_a_request_that_is_refused(make: Make) -> None:
    async with simulated(make) as (provider, _):
        failed = await failure(provider, dataclasses.replace(CALL, turns=()))
    assert told(failed) == ("bad-request", False)


@each_adapter
@plain_and_streamed
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut_stream", "stream-cut"),
        ("malformed_json", "malformed-answer"),
        ("garbage", "malformed-answer"),
        ("filtered", "content-filtered"),
    ],
)
async def test_an_answer_that_goes_wrong_may_be_billed(
    make: Make, fault: str, kind: str, streaming: bool
) -> None:
    failed = await failure_under(make, FaultRates(**{fault: 1.0}), streaming=streaming)
    assert told(failed) == (kind, True)


@each_adapter
@plain_and_streamed
async def test_an_answer_without_a_word_may_be_billed(make: Make, streaming: bool) -> None:
    failed = await failure_under(make, FaultRates(empty=1.0), streaming=streaming)
    # A stream of Chat Completions without a word has no choice either, and so no finish.
    assert failed.kind in (
        {"malformed-answer", "stream-cut"} if streaming else {"malformed-answer"}
    )
    assert failed.billed


@each_adapter
@pytest.mark.parametrize(
    ("fault", "kinds"),
    [("no_finish", {"stream-cut"}), ("error_in_stream", {"overloaded", "server-error"})],
)
async def test_a_stream_that_goes_wrong_may_be_billed(
    make: Make, fault: str, kinds: set[str]
) -> None:
    failed = await failure_under(make, FaultRates(**{fault: 1.0}), streaming=True)
    assert failed.kind in kinds
    assert failed.billed


@each_adapter
@plain_and_streamed
@pytest.mark.parametrize("fault", ["timeout", "hang_stream"])
async def test_silence_ends_with_the_time(make: Make, fault: str, streaming: bool) -> None:
    started = asyncio.get_running_loop().time()
    failed = await failure_under(make, FaultRates(**{fault: 1.0}), 1, streaming=streaming)
    assert told(failed) == ("timed-out", True)
    assert 1 <= asyncio.get_running_loop().time() - started < 30


@each_adapter
async def test_a_stream_that_never_falls_silent_ends_with_the_time_too(make: Make) -> None:
    pieces: list[str] = []
    async with simulated(make, faults=FaultRates(chunk_delay_s=0.2), stream_words=1) as (made, _):
        with pytest.raises(CallFailed) as caught:
            await made.complete(CALL, 1.5, pieces.append)
    assert told(caught.value) == ("timed-out", True)
    assert pieces


@each_adapter
@plain_and_streamed
async def test_nobody_listens(make: Make, streaming: bool) -> None:
    async with simulated(make) as (_, running):
        url = running.base_url
    async with provider_at(make, url) as provider:
        failed = await failure(provider, streaming=streaming)
    assert told(failed) == ("connection-failed", False)
    assert url in str(failed)


@each_adapter
@plain_and_streamed
async def test_a_name_without_an_address(make: Make, streaming: bool) -> None:
    async with provider_at(make, "http://nobody.invalid/v1") as provider:
        failed = await failure(provider, streaming=streaming)
    assert told(failed) == ("connection-failed", False)


@each_adapter
@plain_and_streamed
async def test_a_connection_closed_without_a_word_may_be_billed(
    make: Make, streaming: bool
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with provider_at(make, f"http://127.0.0.1:{port}/v1") as provider:
            failed = await failure(provider, streaming=streaming)
    assert told(failed) == ("connection-failed", True)


@each_adapter
async def test_a_call_that_is_given_up_frees_its_connection(make: Make) -> None:
    async with simulated(make, faults=FaultRates(hang_stream=1.0)) as (provider, _):
        task = asyncio.ensure_future(provider.complete(CALL, 60, lambda _: None))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Lists.


@each_adapter
async def test_the_list_of_models_is_read(make: Make) -> None:
    async with simulated(make) as (provider, _):
        catalog, again = await provider.catalog(10), await provider.catalog(10)
    assert (catalog.provider, catalog.simulated) == ("acme", True)
    assert MODEL in {model.name for model in catalog.models}
    assert all(model.context_tokens for model in catalog.models)
    assert catalog.version == again.version
    assert len(catalog.version) == 12


@each_adapter
async def test_a_list_that_cannot_be_read_is_a_failure_that_costs_nothing(make: Make) -> None:
    async with simulated(make) as (_, running):
        url = running.base_url
    async with provider_at(make, url) as provider:
        with pytest.raises(CallFailed) as caught:
            await provider.catalog(10)
    assert told(caught.value) == ("connection-failed", False)


@each_adapter
async def test_a_list_that_takes_too_long_is_a_failure_that_costs_nothing(make: Make) -> None:
    given_up = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with provider_at(make, f"http://127.0.0.1:{port}/v1") as provider:
            with pytest.raises(CallFailed) as caught:
                await provider.catalog(0.2)
            given_up.set()
    assert told(caught.value) == ("timed-out", False)
