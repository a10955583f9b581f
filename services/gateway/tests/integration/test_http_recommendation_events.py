"""Watching a user's recommendations: the list as it is, and each change of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from devkit.embedded import EmbeddedRedis
from gateway.adapters.memory import ProcessStreamSlots
from gateway.api import create_app, recommendations
from gateway.domain.access import Allowance, Tier
from gateway.domain.limits import Limits
from runtime.deadline import Deadline
from runtime.server import HttpServer
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.kits import Kit, hold_now, redis_on
from services.gateway.tests.marketing import (
    Replica,
    a_campaign,
    forgotten_list,
    ids,
    own_list,
    popular_list,
    recommended,
    replica,
)

pytestmark = pytest.mark.asyncio
Shown = dict[str, Any]


@dataclass
class Watched:
    """A replica on a port of its own, and one who watches."""

    one: Replica
    url: str

    @asynccontextmanager
    async def watch(
        self, user_id: str, api: Api | None = None, limit: int = 5
    ) -> AsyncIterator[AsyncGenerator[Shown]]:
        headers = {"Authorization": f"Bearer {(api or self.one.api).secret}"}
        url = f"{self.url}/v1/recommendations/{user_id}/events?limit={limit}"
        async with (
            httpx2.AsyncClient(timeout=60) as http,
            http.stream("GET", url, headers=headers) as response,
        ):
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            async with aclosing(parsed(response)) as events:
                yield events


async def parsed(response: httpx2.Response) -> AsyncGenerator[Shown]:
    event = ""
    async for line in response.aiter_lines():
        name, _, given = line.partition(": ")
        if name == "event":
            event = given
        if name == "data":
            assert event == "recommendations"
            yield json.loads(given)


async def following(events: AsyncGenerator[Shown], seconds: float = 60) -> Shown:
    async with asyncio.timeout(seconds):
        return await anext(events)


async def nothing_follows(events: AsyncGenerator[Shown], seconds: float = 0.4) -> None:
    with pytest.raises(TimeoutError):
        await following(events, seconds)


@asynccontextmanager
async def serving(one: Replica, **changes: Any) -> AsyncIterator[Watched]:
    server = HttpServer(create_app(replace(one.ports, **changes)), "127.0.0.1", 0)
    await server.start()
    yield Watched(one, server.url)
    await server.stop(Deadline(1))


@pytest_asyncio.fixture
async def watched(
    kit: Kit, redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """It looks only when it is told, unless a test says otherwise."""
    monkeypatch.setattr(recommendations, "LOOK_SECONDS", 600.0)
    async with replica(kit, redis) as one, serving(one) as made:
        await one.complete()
        yield made


async def test_the_list_comes_as_it_is_and_whenever_it_changes(watched: Watched) -> None:
    one = watched.one
    await one.tell(popular_list(1, "p"), own_list("u", 1, "a"))
    async with watched.watch("u") as events:
        assert await following(events) == await one.shown("u")
        await one.tell(own_list("u", 2, "b"))
        assert await following(events) == await one.shown("u")
        await one.tell(own_list("u", 1, "late"), own_list("v", 3, "another's"))
        await one.tell(forgotten_list("u", 3))
        seen = await following(events)
        assert (ids(seen), seen["cold"]) == (["p"], True)
        await nothing_follows(events)


async def test_what_is_hidden_and_what_is_popular_changes_it_too(watched: Watched) -> None:
    one = watched.one
    await one.tell(popular_list(1, "p", "q"))
    async with watched.watch("u") as events:
        assert ids(await following(events)) == ["p", "q"]
        await one.tell(a_campaign("p", budget="paused"))
        assert ids(await following(events)) == ["q"]
        await one.tell(popular_list(2, "p", "r"))
        assert ids(await following(events)) == ["r"]
        await one.tell(a_campaign("r", excluded_users=("u",)))
        assert ids(await following(events)) == []
        # A change that this user does not see is no event.
        await one.tell(a_campaign("x", budget="paused"))
    async with watched.watch("u", limit=1) as events:
        assert ids(await following(events)) == []


async def test_a_campaign_that_ends_goes_by_itself(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "LOOK_SECONDS", 0.2)
    soon = datetime.now(UTC) + timedelta(hours=1)
    items = (recommended("a", ends_at=soon), recommended("b"))
    await watched.one.tell(own_list("u", 1, items=items))
    async with watched.watch("u") as events:
        assert ids(await following(events)) == ["a", "b"]
        hold_now(monkeypatch, recommendations, soon)
        assert ids(await following(events)) == ["b"]


async def test_another_tenants_changes_are_not_heard(watched: Watched) -> None:
    one, other = watched.one, await watched.one.api.another_tenant()
    async with watched.watch("u") as mine, watched.watch("u", other) as theirs:
        assert ids(await following(mine)) == ids(await following(theirs)) == []
        await one.tell(own_list("u", 1, "a"), popular_list(1, "p"))
        assert ids(await following(mine)) == ["a"]
        await nothing_follows(theirs)


async def test_many_changes_at_once_are_few_events(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "GAP_SECONDS", 1.0)
    async with watched.watch("u") as events:
        await following(events)
        for n in range(1, 101):
            await watched.one.tell(own_list("u", n, f"c{n}"))
        count = 1
        while ids(await following(events)) != ["c100"]:
            count += 1
        assert count < 50


async def test_what_one_replica_is_told_another_shows(
    kit: Kit, redis: EmbeddedRedis, watched: Watched
) -> None:
    async with replica(kit, redis) as other, watched.watch("u") as events:
        await following(events)
        await other.tell(own_list("u", 1, "a"), tenant_id=watched.one.api.tenant_id)
        assert ids(await following(events)) == ["a"]


async def test_who_watches_outlives_a_redis_that_goes_and_comes(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "LOOK_SECONDS", 0.2)
    redis = await redis_on(tmp_path / "redis")
    async with replica(kit, redis) as one, serving(one) as watched:
        await one.complete()
        await one.tell(own_list("u", 1, "a"))
        async with watched.watch("u") as events:
            assert ids(await following(events)) == ["a"]
            await redis.stop()
            await asyncio.sleep(0.5)
            redis = await redis_on(tmp_path / "redis")
            await one.tell(own_list("u", 2, "b"))
            assert ids(await following(events)) == ["b"]
    await redis.stop()


async def test_streams_are_counted(kit: Kit, redis: EmbeddedRedis) -> None:
    tiers = Limits(tiers={tier: Allowance(1000, 100, 1) for tier in Tier})
    async with (
        replica(kit, redis) as one,
        serving(one, limits=tiers, streams=ProcessStreamSlots()) as watched,
    ):
        await one.complete()
        url = f"{watched.url}/v1/recommendations/u/events"
        headers = {"Authorization": f"Bearer {one.api.secret}"}
        async with watched.watch("u") as events, httpx2.AsyncClient(timeout=60) as http:
            await following(events)
            problem(await http.get(url, headers=headers), 429, "too-many-streams")
            assert (await one.shown("u"))["items"] == []


async def test_a_stream_ends_so_that_its_key_is_shown_anew(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "LASTS_SECONDS", 2)
    monkeypatch.setattr(recommendations, "LOOK_SECONDS", 0.1)
    async with watched.watch("u") as events, asyncio.timeout(60):
        assert len([shown async for shown in events]) == 1
