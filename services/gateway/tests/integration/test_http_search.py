"""Searches over HTTP: asked by one replica, answered by whoever reads the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.codec import Delivered, decode
from bus.compose import publishing
from bus.errors import Unavailable
from bus.host import Service
from contracts.events.marketing import SearchAnswered, SearchHit, SearchRequested
from contracts.topics import SEARCH_ANSWERED, SEARCH_REQUESTED
from devkit.embedded import EmbeddedRedis
from gateway.adapters import searches
from gateway.adapters.searches import RedisSearchAnswers
from gateway.domain.recommendations import SearchAnswer
from httpx2 import Response
from runtime.deadline import Deadline
from services.gateway.tests.accounts import READ, WRITE, holder
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import Replica, replica

pytestmark = pytest.mark.asyncio
HIT = SearchHit(
    kind="message",
    similarity=0.83,
    text="What does it cost? ☕",
    user_id="u-ada",
    conversation_id="c-1",
    message_id="m-1",
    at=datetime(2026, 11, 4, 10, 1, tzinfo=UTC),
)
Answering = Callable[[Delivered[SearchRequested]], Awaitable[SearchAnswered | None]]


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    async with replica(kit, redis) as made:
        yield made


def answer(search_id: UUID, *hits: SearchHit, failure: str | None = None) -> SearchAnswered:
    return SearchAnswered(
        search_id=search_id,
        hits=hits,
        model="minilm@1",
        failure=failure,
        answered_at=datetime.now(UTC),
    )


async def found(item: Delivered[SearchRequested]) -> SearchAnswered:
    return answer(item.event.search_id, HIT)


@asynccontextmanager
async def answering(one: Replica, reply: Answering = found) -> AsyncIterator[list[Any]]:
    """Somebody who answers searches, in the asker's tenant; what they were asked."""
    asked: list[Delivered[SearchRequested]] = []
    topics: Any = {SEARCH_REQUESTED.name: SEARCH_REQUESTED}

    async def work() -> None:
        consumer = await one.log.consumer("embedding", [SEARCH_REQUESTED.name])
        while True:
            for record in await consumer.poll(10, 0.05):
                item = cast(Delivered[SearchRequested], decode(topics, record))
                asked.append(item)
                told = await reply(item)
                if told is not None:
                    await one.publisher.originate(SEARCH_ANSWERED, [(item.tenant_id, told)])

    task = asyncio.create_task(work())
    yield asked
    task.cancel()
    await asyncio.wait({task})


@asynccontextmanager
async def listening(one: Replica) -> AsyncIterator[Service]:
    """The consumers of a replica, on its log."""
    service = await publishing("gateway", one.log, one.publisher, one.listeners.lanes())
    consumers = Service([part for part in service.components if part is not one.publisher])
    await consumers.start()
    yield service
    await consumers.stop(Deadline(2))


async def search(api: Api, q: str = "what it costs", **params: Any) -> Response:
    return await api.call("GET", "/v1/search", params={"q": q, "wait": 30, **params})


async def test_an_answer_is_shown_to_who_asked(one: Replica) -> None:
    async with answering(one) as asked, listening(one):
        response = await search(one.api, " what it costs ☕ ")
    body = response.json()
    assert response.status_code == 200, body
    assert 0 <= body.pop("took_ms") < 10_000
    assert body == {"hits": [HIT.model_dump(mode="json")], "model": "minilm@1"}
    (item,) = asked
    assert (item.tenant_id, item.event.query) == (one.api.tenant_id, "what it costs ☕")
    assert (item.event.kinds, item.event.limit) == (("message", "answer"), 10)
    assert item.envelope.correlation_id == str(item.event.search_id)


async def test_any_replica_may_read_the_answer(
    kit: Kit, one: Replica, redis: EmbeddedRedis
) -> None:
    async with replica(kit, redis, one.log) as other, answering(one), listening(other):
        bodies = await asyncio.gather(*(search(one.api, f"q{n}") for n in range(20)))
    assert {response.status_code for response in bodies} == {200}


async def test_what_is_asked_is_what_was_given(one: Replica) -> None:
    async with answering(one) as asked, listening(one):
        await search(one.api, kind="answer", limit=100)
        await search(one.api, kind=["answer", "message"], limit=1)
        await search(one.api, kind=["message", "message"])
    seen = [(item.event.kinds, item.event.limit) for item in asked]
    assert seen == [(("answer",), 100), (("answer", "message"), 1), (("message",), 10)]


async def test_an_answer_that_is_there_before_anybody_waits_is_taken(one: Replica) -> None:
    search_id = uuid4()
    await one.tell(answer(search_id, HIT))
    taken = await one.searches.wait(one.api.tenant_id, search_id, 30)
    assert taken is not None
    assert HIT.text in taken.body
    assert await one.searches.wait(one.api.tenant_id, search_id, 0.1) is None


async def test_without_an_answer_one_is_told_to_ask_again(one: Replica) -> None:
    started = time.monotonic()
    async with listening(one):
        response = await search(one.api, wait=0.3)
    assert 0.3 <= time.monotonic() - started < 10  # which it waits unless told otherwise
    assert "0.3 seconds" in problem(response, 503, "search-unanswered")["title"]
    assert response.headers["retry-after"] == "2"


async def test_a_search_that_failed_is_told_with_its_cause(one: Replica) -> None:
    async def failing(item: Delivered[SearchRequested]) -> SearchAnswered:
        return answer(item.event.search_id, failure="the index cannot be reached")

    async with answering(one, failing), listening(one):
        response = await search(one.api)
    assert "the index cannot be reached" in problem(response, 503, "search-unanswered")["title"]


async def test_an_answer_of_another_tenant_is_never_handed_over(one: Replica) -> None:
    other = await one.api.another_tenant()

    async def foreign(item: Delivered[SearchRequested]) -> None:
        event = answer(item.event.search_id, HIT)
        await one.publisher.originate(SEARCH_ANSWERED, [(other.tenant_id, event)])

    async with answering(one, foreign) as asked, listening(one):
        response = await search(one.api, wait=0.5)
        assert asked
    problem(response, 503, "search-unanswered")


async def test_an_answer_that_comes_twice_is_shown_once(one: Replica) -> None:
    async def twice(item: Delivered[SearchRequested]) -> SearchAnswered:
        event = answer(item.event.search_id, HIT)
        await one.publisher.originate(SEARCH_ANSWERED, [(item.tenant_id, event)])
        return event

    async with answering(one, twice), listening(one):
        assert (await search(one.api)).status_code == 200


async def test_what_nobody_fetches_is_gone_after_a_while(one: Replica) -> None:
    await one.tell(answer(uuid4(), HIT))
    (key,) = await one.raw.keys("search:*")
    assert timedelta(seconds=50) < timedelta(seconds=await one.raw.ttl(key)) <= timedelta(minutes=1)


async def test_without_a_log_nothing_is_asked(one: Replica) -> None:
    one.log.down = True
    problem(await search(one.api, wait=0.2), 503, "unavailable")


@pytest.mark.parametrize(
    "params",
    [
        {"q": ""},
        {"q": "  "},
        {"q": "x" * 2001},
        {"q": "a\x00b"},
        {"kind": "user"},
        {"limit": 0},
        {"limit": 101},
        {"wait": 0},
        {"wait": 30.5},
        {"wait": "nan"},
        {"wait": "inf"},
    ],
)
async def test_a_malformed_search_is_refused(one: Replica, params: dict[str, Any]) -> None:
    problem(await search(one.api, **params), 422, "invalid-request")
    assert sum(map(len, one.log.records.values())) == 0


async def test_searching_needs_a_key_that_reads(one: Replica) -> None:
    writer, reader = await holder(one.api, scopes=WRITE), await holder(one.api, scopes=READ)
    params: dict[str, Any] = {"q": "x", "wait": 0.1}
    assert (await writer.call("GET", "/v1/search", params=params)).status_code == 403
    assert (await reader.call("GET", "/v1/search", params=params)).status_code == 503
    assert (await one.api.http.get("/v1/search", params=params)).status_code == 401


async def test_a_store_that_is_away_is_told(kit: Kit, redis: EmbeddedRedis, tmp_path: Any) -> None:
    away = RedisSearchAnswers(f"unix://{tmp_path / 'nobody.sock'}")
    async with replica(kit, redis, searches=away) as one:
        problem(await search(one.api, wait=0.2), 503, "unavailable")


async def test_more_than_may_wait_are_told_to_ask_again(
    redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "MOST_WAITING", 3)
    few = RedisSearchAnswers(redis.url)
    tenant_id, search_ids = "t", [uuid4() for _ in range(5)]
    waiting = [asyncio.create_task(few.wait(tenant_id, one, 1)) for one in search_ids]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended].count(Unavailable) == 2
    await few.hand_over([SearchAnswer(tenant_id, search_ids[0], "{}")])
    assert await few.wait(tenant_id, search_ids[0], 30) is not None
    await few.close()
