"""The executor takes every golden example of its topics, twice, and emits what its topic says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from bus.codec import Delivered, decode
from bus.local import LocalLog
from bus.outbox import HEADER_BYTES
from bus.record import Record
from contracts.envelope import from_headers
from contracts.events.base import Event
from contracts.events.completion import CompletionFinished, CompletionRequested
from contracts.examples import Example, examples
from contracts.topics import (
    COMPLETION_BATCH_CANCELLED,
    COMPLETION_FINISHED,
    COMPLETION_REQUESTED,
)
from executor_kit import REPLY, TOPICS, Executing, key_of, open_log
from llm_executor.adapters.memory import ScriptedProvider
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import ModelFacts, ModelPrice, Reply
from llm_executor.domain.ports import Complaint

pytestmark = pytest.mark.asyncio
FED = examples(COMPLETION_REQUESTED.name)
CANCELLED = examples(COMPLETION_BATCH_CANCELLED.name)
REFUSED = CallFailed("auth", "set ACME_API_KEY")
each_example = pytest.mark.parametrize("example", FED, ids=str)


def not_judged(_: object) -> Complaint:
    """The scripted answers satisfy no schema of the examples; schemas have tests of their own."""
    return lambda text: None


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await open_log(tmp_path)
    yield opened
    await opened.close()


def bench(log: LocalLog, *script: Reply | CallFailed) -> tuple[ScriptedProvider, Executing]:
    """All providers of the examples are one that goes through a script."""
    provider = ScriptedProvider(*script)
    models = {model for example in FED for model in _models(example)}
    price = ModelPrice("v1", Decimal("0.000001"), Decimal("0.00001"))
    return provider, Executing(
        log,
        dict.fromkeys({model.partition("/")[0] for model in models}, provider),
        facts=dict.fromkeys(models, ModelFacts(price=price)),
        complaints=not_judged,
    )


def _models(example: Example) -> list[str]:
    return [example.body["model"], *(example.body.get("fallbacks") or ())]


def delivered(example: Example, *, late: bool = False) -> Delivered[Event]:
    """An example as it is read. Unless ``late``, its deadline is moved before us."""
    body = example.body
    if not late and "deadline_at" in body:
        body["deadline_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    value = json.dumps(body).encode()
    return decode(TOPICS, Record(example.topic, 0, 0, example.key, value, example.headers, 0))


def request_of(item: Delivered[Event]) -> CompletionRequested:
    assert isinstance(item.event, CompletionRequested)
    return item.event


async def ended(executing: Executing, item: Delivered[Event]) -> CompletionFinished:
    async with executing:
        await executing.feed(item)
        return await executing.end_of(item)


@each_example
@pytest.mark.parametrize("script", [REPLY, REFUSED], ids=["answered", "failed"])
async def test_every_example_is_called_once(
    example: Example, script: Reply | CallFailed, log: LocalLog
) -> None:
    provider, executing = bench(log, *[script] * 3)
    item = delivered(example)
    async with executing:
        await executing.feed(item, item)
        await executing.end_of(item)
        entry = executing.calls.entries[key_of(item)]
        entry.published = True  # as the relay marks it
        first, calls = entry.finished, len(provider.calls)
        await executing.feed(item)
    assert entry.finished == first
    assert not entry.published  # it is published again, unchanged
    fallbacks = len(request_of(item).fallbacks or ())
    assert len(provider.calls) == calls == (1 if script is REPLY else 1 + fallbacks)
    assert len(executing.calls.entries) == 1


@each_example
async def test_an_answer_is_what_its_topic_says(example: Example, log: LocalLog) -> None:
    _, executing = bench(log, REPLY)
    item = delivered(example)
    event, request = await ended(executing, item), request_of(item)
    assert (event.outcome, event.text, event.failure) == ("answered", REPLY.text, None)
    assert (event.model, event.model_called) == (request.model, request.model)
    assert event.model_used == REPLY.model
    assert event.origin == request.origin
    assert event.usage is not None
    assert (event.usage.input_tokens, event.usage.output_tokens) == (3, 2)
    assert event.cost is not None
    assert (event.cost.usd, event.cost.price_version) == (Decimal("0.000023"), "v1")
    assert (event.attempts, event.finish_reason, event.simulated) == (1, "stop", False)
    assert event.tried == ()


@each_example
async def test_a_failure_is_what_its_topic_says(example: Example, log: LocalLog) -> None:
    _, executing = bench(log, *[REFUSED] * 3)
    item = delivered(example)
    event = await ended(executing, item)
    assert (event.outcome, event.text, event.usage) == ("failed", None, None)
    assert event.failure is not None
    assert (event.failure.kind, event.failure.message) == ("auth", "set ACME_API_KEY")
    fallbacks = request_of(item).fallbacks or ()
    assert [tried.model for tried in event.tried] == [
        request_of(item).model,
        *fallbacks[:-1],
    ][: len(fallbacks)]


async def test_an_answer_that_no_event_can_carry_is_a_failure_that_is_told(log: LocalLog) -> None:
    text = "x" * COMPLETION_FINISHED.max_record_bytes
    _, executing = bench(log, dataclasses.replace(REPLY, text=text))
    event = await ended(executing, delivered(FED[0]))
    assert event.failure is not None
    assert event.failure.kind == "answer-too-large"
    assert str(COMPLETION_FINISHED.max_record_bytes - HEADER_BYTES) in event.failure.message
    assert event.cost is not None  # it was paid for
    assert event.cost.usd


@each_example
async def test_the_envelope_follows_from_the_request(example: Example, log: LocalLog) -> None:
    item, envelopes = delivered(example), []
    for script in ([REPLY], [REFUSED] * 3):
        _, executing = bench(log, *script)
        await ended(executing, item)
        finished = executing.calls.entries[key_of(item)].finished
        assert finished is not None
        envelopes.append(from_headers((k, v.encode()) for k, v in finished.headers.items()))
    first, second = envelopes
    assert first.id == second.id  # whoever handles it emits the same id
    assert first.subject == str(key_of(item).completion_id)
    assert first.tenant_id == item.tenant_id
    assert first.correlation_id == item.envelope.correlation_id
    assert first.causation_id == item.envelope.id
    assert (first.source, first.type) == ("llm-executor", COMPLETION_FINISHED.name)


@each_example
async def test_the_call_is_what_was_requested(example: Example, log: LocalLog) -> None:
    provider, executing = bench(log, REPLY)
    item = delivered(example)
    await ended(executing, item)
    (call,), request = provider.calls, request_of(item)
    assert call.model == request.model.partition("/")[2]
    assert [(turn.role, turn.content) for turn in call.turns] == [
        (message.role, message.content) for message in request.messages
    ]
    assert [turn.images for turn in call.turns] == [
        tuple(image.url for image in message.images) for message in request.messages
    ]
    assert (call.seed, call.temperature, call.max_output_tokens, call.schema) == (
        request.seed,
        request.temperature,
        request.max_output_tokens,
        request.response_schema,
    )


async def test_a_late_request_is_not_run(log: LocalLog) -> None:
    example = FED[0]
    body = example.body | {"deadline_at": "2020-01-01T00:00:00Z"}
    late = dataclasses.replace(example, value=json.dumps(body).encode())
    provider, executing = bench(log, REPLY)
    event = await ended(executing, delivered(late, late=True))
    assert event.failure is not None
    assert (event.outcome, event.failure.kind) == ("not_run", "deadline-passed")
    assert (event.attempts, event.cost, provider.calls) == (0, None, [])


async def test_tenants_may_use_the_same_completion_id(log: LocalLog) -> None:
    example = FED[0]
    headers = tuple(
        (name, b"another" if name == "ce_tenantid" else value) for name, value in example.headers
    )
    provider, executing = bench(log, REPLY, REFUSED)
    item, other = delivered(example), delivered(dataclasses.replace(example, headers=headers))
    async with executing:
        await executing.feed(item)
        await executing.end_of(item)
        await executing.feed(other)
        await executing.end_of(other)
    assert len(provider.calls) == 2
    assert executing.stored(item).outcome == "answered"
    assert executing.stored(other).outcome == "failed"


@pytest.mark.parametrize("example", CANCELLED, ids=str)
async def test_every_cancellation_stops_the_requests_of_its_parent(
    example: Example, log: LocalLog
) -> None:
    mine = [each for each in FED if each.body["origin"]["parent_id"] == example.key.decode()]
    assert mine
    provider, executing = bench(log, *[REPLY] * len(mine))
    items = [delivered(each) for each in mine]
    async with executing:
        await executing.feed(delivered(example), delivered(example))  # it came first, and twice
        await executing.feed(*items)
        ends = await executing.ends_of(items)
    assert {(event.outcome, event.failure and event.failure.kind) for event in ends} == {
        ("not_run", "cancelled")
    }
    assert provider.calls == []
