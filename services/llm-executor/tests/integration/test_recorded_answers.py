"""What providers say, through the handler and PostgreSQL to the event that is published."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from bus.codec import Delivered
from bus.record import Record
from bus.stores.postgres import Pool
from contracts.envelope import Envelope
from contracts.events.completion import (
    CompletionFinished,
    CompletionRequested,
    Message,
    Origin,
)
from contracts.topics import COMPLETION_REQUESTED
from llm_executor.adapters.memory import FixedProviders, ScriptedProvider
from llm_executor.adapters.postgres import CompletionOutbox, PostgresCallStore
from llm_executor.calling import CallPolicy
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Reply
from llm_executor.handlers import Executor, on_completion_requested

pytestmark = pytest.mark.asyncio


def requested() -> Delivered[CompletionRequested]:
    now = datetime.now(UTC)
    request = CompletionRequested(
        completion_id=uuid4(),
        model="acme/gpt-5",
        messages=(Message(role="user", content="Which app?"),),
        origin=Origin(kind="visibility", parent_id=uuid4(), item_id=uuid4()),
        deadline_at=now + timedelta(hours=1),
    )
    subject = str(request.completion_id)
    topic = COMPLETION_REQUESTED.name
    envelope = Envelope(str(uuid4()), "gateway", topic, now, subject, "tenant", "run")
    return Delivered(request, envelope, Record(topic, 0, 0, None, b"", (), 0))


async def published(pool: Pool, dsn: str, *script: Reply | CallFailed) -> CompletionFinished:
    """The one event that is owed after one request was delivered twice."""
    provider = ScriptedProvider(*script)
    providers = FixedProviders({"acme": provider})
    executor = Executor(PostgresCallStore(pool), providers, CallPolicy(attempts=1))
    item = requested()
    await on_completion_requested(item, executor)
    await on_completion_requested(item, executor)
    assert len(provider.calls) == 1
    outbox = CompletionOutbox(dsn, "llm-executor")
    (row,) = await outbox.pending(10)
    await outbox.release()
    assert row.envelope.causation_id == item.envelope.id
    assert row.key == json.loads(row.payload)["completion_id"]
    return CompletionFinished.model_validate_json(row.payload)


async def test_an_answer_is_published_as_it_came(pool: Pool, dsn: str) -> None:
    text = 'Größe 🫘 "quoted" \\ \n 光珈琲'
    event = await published(pool, dsn, Reply(text, "gpt-5", "id", "stop", 1, 2, simulated=True))
    assert (event.text, event.simulated) == (text, True)


async def test_what_no_store_can_hold_is_replaced_and_paid_once(pool: Pool, dsn: str) -> None:
    odd = "a\x00b\ud83ec"
    event = await published(pool, dsn, Reply(odd, odd, "id", odd, None, None, simulated=False))
    assert event.text == event.model_used == event.finish_reason == "a\ufffdb\ufffdc"


async def test_a_failure_may_say_anything(pool: Pool, dsn: str) -> None:
    failed = CallFailed("bad-request", "no\x00\ud83e", retryable=False)
    event = await published(pool, dsn, failed)
    assert event.failure is not None
    assert event.failure.message == "no\ufffd\ufffd"
