"""Finished completions as their own outbox, on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.stores.postgres import Pool
from call_store_kit import end, request, requests, taken
from contracts.envelope import Envelope, to_headers
from llm_executor.adapters.postgres import PostgresCallStore
from llm_executor.adapters.postgres_outbox import CompletionOutbox
from llm_executor.domain.models import Finished, Queued

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 11, 3, 9, 15, tzinfo=UTC)


@pytest_asyncio.fixture
async def outbox(dsn: str) -> AsyncIterator[CompletionOutbox]:
    opened = CompletionOutbox(dsn, "llm-executor")
    yield opened
    await opened.release()


def envelope(completion_id: UUID, tenant_id: str = "tenant") -> Envelope:
    return Envelope(
        id=str(uuid4()),
        source="llm-executor",
        type="completion.finished.v1",
        time=NOW,
        subject=str(completion_id),
        tenant_id=tenant_id,
        correlation_id="run",
        causation_id="request",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def ended(item: Queued, text: str) -> tuple[Finished, Envelope]:
    made = envelope(item.key.completion_id, item.key.tenant_id)
    headers = {name: value.decode() for name, value in to_headers(made)}
    return end(item.key, text, headers=headers), made


async def finish(pool: Pool, text: str = "Größe 🫘") -> tuple[Queued, Envelope]:
    store, item = PostgresCallStore(pool), request()
    await taken(store, [item])
    finished, made = ended(item, text)
    await store.record([finished])
    return item, made


async def test_what_is_finished_is_pending_in_that_order(
    pool: Pool, outbox: CompletionOutbox
) -> None:
    finished = [await finish(pool, text) for text in ("b", "a", "c")]
    rows = await outbox.pending(10)
    assert [row.envelope for row in rows] == [made for _, made in finished]
    assert [json.loads(row.payload) for row in rows] == [{"text": text} for text in "bac"]
    assert [row.key for row in rows] == [str(item.key.completion_id) for item, _ in finished]
    assert [row.topic for row in rows] == ["completion.finished.v1"] * 3
    assert list(await outbox.pending(2)) == list(rows[:2])


async def test_text_comes_back_as_it_was(pool: Pool, outbox: CompletionOutbox) -> None:
    text = 'Größe 🫘 "quoted" \\ \n\t \u2028 光珈琲 {"a": 1}'
    await finish(pool, text)
    (row,) = await outbox.pending(10)
    assert json.loads(row.payload) == {"text": text}


async def test_what_waits_or_is_held_is_not_pending(pool: Pool, outbox: CompletionOutbox) -> None:
    store = PostgresCallStore(pool)
    await taken(store, requests(1))
    await store.accept(requests(1))
    assert await outbox.pending(10) == []
    assert await outbox.oldest_age() == 0.0


async def test_what_is_marked_is_not_pending(pool: Pool, outbox: CompletionOutbox) -> None:
    for _ in range(3):
        await finish(pool)
    first, second, third = await outbox.pending(10)
    await outbox.mark_published([first, third])
    assert list(await outbox.pending(10)) == [second]
    await outbox.mark_published([])
    assert list(await outbox.pending(10)) == [second]


async def test_what_is_to_be_published_again_is_pending_as_it_was(
    pool: Pool, outbox: CompletionOutbox
) -> None:
    item, _ = await finish(pool)
    await finish(pool)
    rows = await outbox.pending(10)
    await outbox.mark_published(rows[1:])
    await outbox.mark_published(rows[:1])
    assert await outbox.pending(10) == []
    await PostgresCallStore(pool).accept([request(), item])
    assert list(await outbox.pending(10)) == list(rows[:1])
    await finish(pool)
    assert list(await outbox.pending(10))[:1] == list(rows[:1])


async def test_ends_of_one_write_are_pending_in_the_order_of_the_write(
    pool: Pool, outbox: CompletionOutbox
) -> None:
    store, items = PostgresCallStore(pool), [request(f"tenant-{n % 3}") for n in range(30)]
    await taken(store, items)
    ends = [ended(item, str(n)) for n, item in enumerate(items)]
    await store.record([finished for finished, _ in ends])
    rows = await outbox.pending(100)
    assert [row.envelope for row in rows] == [made for _, made in ends]


async def test_an_end_that_came_too_late_is_not_pending(
    pool: Pool, outbox: CompletionOutbox
) -> None:
    item, _ = await finish(pool, "first")
    await PostgresCallStore(pool).record([ended(item, "second")[0]])
    (row,) = await outbox.pending(10)
    assert json.loads(row.payload) == {"text": "first"}
    await outbox.mark_published([row])
    await PostgresCallStore(pool).record([ended(item, "third")[0]])
    assert await outbox.pending(10) == []


async def test_age_is_that_of_the_oldest(pool: Pool, outbox: CompletionOutbox) -> None:
    item, _ = await finish(pool)
    await finish(pool)
    assert 0 < await outbox.oldest_age() < 60
    await pool.execute(
        "UPDATE completions SET finished_at = clock_timestamp() - interval '1 hour' "
        "WHERE completion_id = $1",
        item.key.completion_id,
    )
    assert 3600 <= await outbox.oldest_age() < 3660
    await outbox.mark_published((await outbox.pending(10))[:1])
    assert await outbox.oldest_age() < 60


async def test_a_record_wakes_the_relay(pool: Pool, outbox: CompletionOutbox) -> None:
    assert await outbox.acquire()
    waiting = asyncio.create_task(outbox.wait(300))
    await finish(pool)
    async with asyncio.timeout(60):
        await waiting


async def test_one_relay_is_active(dsn: str, outbox: CompletionOutbox) -> None:
    other = CompletionOutbox(dsn, "llm-executor")
    try:
        assert await outbox.acquire()
        assert not await other.acquire()
        await outbox.release()
        assert await other.acquire()
    finally:
        await other.release()
