"""The gateway as its composition root builds it, between a log, a PostgreSQL and a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from bus.codec import Delivered, decode
from bus.host import Service
from bus.local import LocalLog
from bus.provision import specs
from bus.publishing import Publisher
from bus.record import OutRecord
from contracts.events.base import Event
from contracts.events.marketing import SearchAnswered
from contracts.topics import (
    ANSWER_CAPTURED,
    CAMPAIGN_CHANGED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    TENANT_CHANGED,
    TOPICS,
    USER_FORGOTTEN,
    Topic,
)
from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from gateway import rejections
from gateway.app import build
from gateway.domain.marketing import microseconds
from gateway.settings import Settings
from pydantic import SecretStr
from redis.asyncio import Redis
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from runtime.server import HttpServer
from services.gateway.tests.marketing import a_campaign, ids, own_list, popular_list

pytestmark = pytest.mark.asyncio
SECRET = "lk_whole-gateway-test"
TENANT = "demo"
_TOPIC_OF: dict[type[Event], Topic[Event]] = {topic.event: topic for topic in TOPICS}


@dataclass
class Whole:
    """A running gateway, and the log it reads and writes."""

    service: Service
    http: httpx2.AsyncClient
    log: LocalLog
    redis: Redis
    publisher: Publisher

    async def tell(self, *events: Event) -> None:
        for event in events:
            await self.publisher.originate(_TOPIC_OF[type(event)], [(TENANT, event)])

    async def written(self, topic: Topic[Any]) -> list[Delivered[Any]]:
        """What is on a topic."""
        found: list[Delivered[Any]] = []
        for partition in await self.log.end_offsets(topic.name):
            records = await self.log.read(partition, 0, 1000)
            found += [decode({topic.name: topic}, record) for record in records]
        return found

    async def shown(self, user_id: str) -> list[str] | int:
        """The campaigns of a user, or the status of a refusal."""
        response = await self.http.get(f"/v1/recommendations/{user_id}")
        return ids(response.json()) if response.status_code == 200 else response.status_code


async def soon(wanted: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await wanted():  # noqa: ASYNC110 - what it waits for is told over HTTP
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def whole(
    postgres: EmbeddedPostgres,
    redis: EmbeddedRedis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Whole]:
    monkeypatch.setattr(rejections, "LOOK_SECONDS", 0.1)
    log = await LocalLog.open(tmp_path / "log.db")
    await log.create_topics(specs())
    settings = Settings(
        postgres_dsn=await postgres.database("whole_gateway"),
        redis_url=redis.url,
        host="127.0.0.1",
        port=0,
        bootstrap_key=SecretStr(SECRET),
        log_url=f"local:{tmp_path / 'log.db'}",
    )
    service = await build(settings, log)
    await service.start()
    (server,) = [part for part in service.components if isinstance(part, HttpServer)]
    headers = {"Authorization": f"Bearer {SECRET}"}
    http = httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60)
    publisher, raw = Publisher("recommender", log, SystemClock()), Redis.from_url(redis.url)
    await publisher.start()
    yield Whole(service, http, log, raw, publisher)
    await http.aclose()
    await service.stop(Deadline(10))
    await publisher.stop(Deadline(1))
    await raw.aclose()
    await log.close()


async def test_what_is_told_reaches_the_log_and_what_is_told_there_is_shown(whole: Whole) -> None:
    http = whole.http
    said = {"conversation_id": "c", "user_id": "u", "text": "What does it cost?"}
    assert (await http.post("/v1/conversations", json=said)).status_code == 202
    done = {"user_id": "u", "campaign_id": "a", "kind": "click"}
    assert (await http.post("/v1/engagements", json=done)).status_code == 202
    made = await http.put("/v1/campaigns/a", json={"title": "A"})
    assert made.status_code == 201

    async def published() -> bool:
        topics = (CONVERSATION_RECORDED, ENGAGEMENT_RECORDED, CAMPAIGN_CHANGED)
        return all([len(await whole.written(topic)) == 1 for topic in topics])

    await soon(published)
    await whole.tell(own_list("u", 1, "a", "b"), popular_list(1, "p"))
    await soon(lambda: _is(whole, "u", ["a", "b"]))
    await soon(lambda: _is(whole, "unknown", ["p"]))
    await whole.tell(a_campaign("b", budget="paused"))
    assert (await http.delete("/v1/campaigns/a")).status_code == 204
    await soon(lambda: _is(whole, "u", []))
    assert {name: await check() for name, check in whole.service.checks.items()} == dict.fromkeys(
        [
            "consumer",
            "relay",
            "consumer-recommendations",
            "consumer-campaigns",
            "consumer-live",
            "postgres",
            "redis",
        ],
        True,
    )
    assert whole.service.serving == frozenset({"postgres"})  # without the others it serves on


async def _is(whole: Whole, user_id: str, wanted: list[str] | int) -> bool:
    return await whole.shown(user_id) == wanted


async def test_a_flushed_redis_is_full_again_in_seconds(whole: Whole) -> None:
    await whole.tell(*(own_list(f"u{n}", 1, f"c{n}") for n in range(50)), popular_list(1, "p"))
    await whole.tell(a_campaign("c7", budget="paused"))
    await soon(lambda: _is(whole, "u49", ["c49"]))
    await whole.redis.flushall()
    assert await whole.shown("u49") == 503
    await soon(lambda: _is(whole, "u49", ["c49"]))
    assert await whole.shown("u7") == []
    assert await whole.shown("unknown") == ["p"]


async def test_a_search_is_answered(whole: Whole) -> None:
    asking = asyncio.create_task(whole.http.get("/v1/search", params={"q": "cost"}))
    await soon(lambda: _asked(whole))
    (item,) = await whole.written(SEARCH_REQUESTED)
    answer = SearchAnswered(
        search_id=item.event.search_id, hits=(), model="m@1", answered_at=datetime.now(UTC)
    )
    await whole.publisher.originate(SEARCH_ANSWERED, [(TENANT, answer)])
    response = await asking
    assert (response.status_code, response.json()["model"]) == (200, "m@1")


async def _asked(whole: Whole) -> bool:
    return bool(await whole.written(SEARCH_REQUESTED))


async def test_the_forgotten_are_shown_nothing_of_theirs(whole: Whole) -> None:
    version = microseconds(datetime.now(UTC))
    await whole.tell(own_list("u", version, "a"), popular_list(1, "p"))
    await soon(lambda: _is(whole, "u", ["a"]))
    assert (await whole.http.delete("/v1/users/u")).status_code == 202
    await soon(lambda: _is(whole, "u", ["p"]))
    assert len(await whole.written(USER_FORGOTTEN)) == 1


async def test_a_tenant_sees_what_was_refused_of_its_events(whole: Whole) -> None:
    async def announced() -> bool:
        return bool(await whole.written(TENANT_CHANGED))

    await soon(announced)  # what is refused of a tenant before is nobody's
    producer = await whole.log.producer()
    for body in (b'{"tenant_id": "demo"}', b'{"tenant_id": "no-such-tenant"}', b"no json"):
        await producer.send([OutRecord(ANSWER_CAPTURED.name, b"k", body)])

    async def listed() -> list[dict[str, Any]]:
        return list((await whole.http.get("/v1/rejected-events")).json()["items"])

    async def one_is() -> bool:
        return len(await listed()) == 1

    await soon(one_is)
    (found,) = await listed()
    assert (found["service"], found["reason"], found["offset"]) == ("gateway", "wrong-model", 0)
    assert "answer_id: Field required" in found["message"]
