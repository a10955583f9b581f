"""The executor takes every golden example of its topic, twice, and emits what its topic says."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from bus.codec import Delivered, decode
from bus.errors import Unavailable
from bus.record import Record
from contracts import telemetry
from contracts.envelope import from_headers
from contracts.events.base import Event
from contracts.events.completion import CompletionFinished, CompletionRequested
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import COMPLETION_FINISHED, COMPLETION_REQUESTED, topic_named
from jsonschema import Draft202012Validator
from llm_executor.adapters.memory import (
    FixedProviders,
    MemoryCalls,
    MemoryCallStore,
    ScriptedProvider,
)
from llm_executor.calling import CallPolicy
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Claim, Key, Reply
from llm_executor.handlers import Executor, on_completion_requested
from runtime import metrics

pytestmark = pytest.mark.asyncio
FED = examples(COMPLETION_REQUESTED.name)
TOPICS = {COMPLETION_REQUESTED.name: topic_named(COMPLETION_REQUESTED.name)}
SCHEMA = json.loads((SCHEMAS / f"{COMPLETION_FINISHED.name}.json").read_text(encoding="utf-8"))
REPLY = Reply("光珈琲 and Notion. 🫘", "gpt-5-2026", "id-1", "stop", 3, 2, simulated=False)
REFUSED = CallFailed("auth", "set ACME_API_KEY", retryable=False)
each_example = pytest.mark.parametrize("example", FED, ids=str)


class Bench:
    """The real handler over a store in memory and a provider with a script."""

    def __init__(self, *script: Reply | CallFailed) -> None:
        self.provider = ScriptedProvider(*script)
        self.calls = MemoryCalls()
        names = {model.partition("/")[0] for model in (ex.body["model"] for ex in FED)}
        providers = FixedProviders(dict.fromkeys(names, self.provider))
        policy = CallPolicy(attempts=1)
        self.executor = Executor(MemoryCallStore(self.calls), providers, policy)

    async def feed(self, item: Delivered[Event]) -> None:
        await on_completion_requested(item, self.executor)

    def stored(self, item: Delivered[Event]) -> CompletionFinished:
        payload = self.calls.entries[key_of(item)].payload
        assert payload is not None
        Draft202012Validator(SCHEMA).validate(json.loads(payload))
        return CompletionFinished.model_validate_json(payload)


def delivered(example: Example, *, late: bool = False) -> Delivered[Event]:
    """An example as it is read. Unless ``late``, its deadline is moved before us."""
    body = example.body
    if not late:
        body["deadline_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    value = json.dumps(body).encode()
    return decode(TOPICS, Record(example.topic, 0, 0, example.key, value, example.headers, 0))


def request_of(item: Delivered[Event]) -> CompletionRequested:
    assert isinstance(item.event, CompletionRequested)
    return item.event


def key_of(item: Delivered[Event]) -> Key:
    return Key(item.tenant_id, request_of(item).completion_id)


@each_example
@pytest.mark.parametrize("script", [REPLY, REFUSED], ids=["answered", "failed"])
async def test_every_example_is_called_once(example: Example, script: Reply | CallFailed) -> None:
    bench, item = Bench(script), delivered(example)
    await bench.feed(item)
    first = dataclasses.replace(bench.calls.entries[key_of(item)])
    bench.calls.entries[key_of(item)].published = True  # as the relay marks it
    await bench.feed(item)
    assert bench.calls.entries[key_of(item)] == first  # to be published again, unchanged
    assert len(bench.provider.calls) == 1
    assert len(bench.calls.entries) == 1
    assert not bench.executor.active


@each_example
async def test_an_answer_is_what_its_topic_says(example: Example) -> None:
    bench, item = Bench(REPLY), delivered(example)
    await bench.feed(item)
    event, request = bench.stored(item), request_of(item)
    assert (event.outcome, event.text, event.failure) == ("answered", REPLY.text, None)
    assert (event.model, event.model_used) == (request.model, REPLY.model)
    assert event.origin == request.origin
    assert event.usage is not None
    assert (event.usage.input_tokens, event.usage.output_tokens) == (3, 2)
    assert (event.attempts, event.finish_reason, event.simulated) == (1, "stop", False)


@each_example
async def test_a_failure_is_what_its_topic_says(example: Example) -> None:
    bench, item = Bench(REFUSED), delivered(example)
    await bench.feed(item)
    event = bench.stored(item)
    assert (event.outcome, event.text, event.usage) == ("failed", None, None)
    assert event.failure is not None
    assert (event.failure.kind, event.failure.message) == ("auth", "set ACME_API_KEY")


async def test_an_answer_that_no_event_can_carry_is_a_failure_that_is_told() -> None:
    text = "x" * COMPLETION_FINISHED.max_record_bytes
    bench, item = Bench(dataclasses.replace(REPLY, text=text)), delivered(FED[0])
    await bench.feed(item)
    failure = bench.stored(item).failure
    assert failure is not None
    assert failure.kind == "answer-too-large"
    assert str(COMPLETION_FINISHED.max_record_bytes - 4096) in failure.message


@each_example
async def test_the_envelope_follows_from_the_request(example: Example) -> None:
    one, two, item = Bench(REPLY), Bench(REFUSED), delivered(example)
    await one.feed(item)
    await two.feed(item)
    envelopes = []
    for bench in (one, two):
        headers = bench.calls.entries[key_of(item)].headers
        assert headers is not None
        pairs = [(name, value.encode()) for name, value in headers.items()]
        envelopes.append(from_headers(pairs))
    first, second = envelopes
    assert first.id == second.id  # whoever handles it emits the same id
    assert first.subject == str(key_of(item).completion_id)
    assert first.tenant_id == item.tenant_id
    assert first.correlation_id == item.envelope.correlation_id
    assert first.causation_id == item.envelope.id
    assert (first.source, first.type) == ("llm-executor", COMPLETION_FINISHED.name)


@each_example
async def test_the_call_is_what_was_requested(example: Example) -> None:
    bench, item = Bench(REPLY), delivered(example)
    await bench.feed(item)
    (call,), request = bench.provider.calls, request_of(item)
    assert call.model == request.model.partition("/")[2]
    assert [(turn.role, turn.content) for turn in call.turns] == [
        (message.role, message.content) for message in request.messages
    ]
    assert (call.seed, call.temperature, call.max_output_tokens) == (
        request.seed,
        request.temperature,
        request.max_output_tokens,
    )


async def test_a_late_request_is_not_called() -> None:
    example = FED[0]
    body = example.body | {"deadline_at": "2020-01-01T00:00:00Z"}
    late = dataclasses.replace(example, value=json.dumps(body).encode())
    bench, item = Bench(REPLY), delivered(late, late=True)
    await bench.feed(item)
    failure = bench.stored(item).failure
    assert failure is not None
    assert failure.kind == "deadline-passed"
    assert (bench.stored(item).attempts, bench.provider.calls) == (0, [])


async def test_tenants_may_use_the_same_completion_id() -> None:
    example = FED[0]
    headers = tuple(
        (name, b"another" if name == "ce_tenantid" else value) for name, value in example.headers
    )
    bench, item = Bench(REPLY, REFUSED), delivered(example)
    other = delivered(dataclasses.replace(example, headers=headers))
    await bench.feed(item)
    await bench.feed(other)
    assert len(bench.provider.calls) == 2
    assert bench.stored(item).outcome == "answered"
    assert bench.stored(other).outcome == "failed"


async def test_a_call_that_another_process_is_at_is_left_to_it() -> None:
    bench, item = Bench(REPLY), delivered(FED[0])
    other = MemoryCallStore(bench.calls)
    assert await other.claim(key_of(item), 60) is Claim.FRESH
    with pytest.raises(Unavailable) as caught:
        await bench.feed(item)
    assert caught.value.retry_after == bench.executor.held_seconds
    assert bench.provider.calls == []


async def test_a_call_whose_outcome_is_unknown_is_made_again_and_counted() -> None:
    bench, item = Bench(REPLY), delivered(FED[0])
    await MemoryCallStore(bench.calls).claim(key_of(item), -1)  # that process is gone
    before = metrics.value(telemetry.OUTCOME_UNKNOWN, service="llm-executor")
    await bench.feed(item)
    assert bench.stored(item).outcome == "answered"
    assert metrics.value(telemetry.OUTCOME_UNKNOWN, service="llm-executor") == before + 1


async def test_a_claim_is_released_when_the_record_fails() -> None:
    class Down(MemoryCallStore):
        async def record(self, key: Key, headers: dict[str, str], payload: bytes) -> bool:
            raise Unavailable("the store is down")

    bench, item = Bench(REPLY, REPLY), delivered(FED[0])
    broken = dataclasses.replace(bench.executor, store=Down(bench.calls))
    with pytest.raises(Unavailable):
        await on_completion_requested(item, broken)
    assert not broken.active
    await bench.feed(item)
    assert bench.stored(item).outcome == "answered"


async def test_an_active_call_is_known_while_it_is_made() -> None:
    seen: list[set[UUID]] = []

    class Looking(ScriptedProvider):
        async def complete(self, call: object, timeout: float) -> Reply:
            seen.append({key.completion_id for key in bench.executor.active})
            return REPLY

    bench, item = Bench(), delivered(FED[0])
    providers = FixedProviders({request_of(item).model.partition("/")[0]: Looking()})
    executor = dataclasses.replace(bench.executor, providers=providers)
    await on_completion_requested(item, executor)
    assert seen == [{key_of(item).completion_id}]
    assert not executor.active
