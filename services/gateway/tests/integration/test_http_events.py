"""Watching a run: nothing lost, nothing told twice, texts not too often, and an end."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
from contracts.events.base import Event
from contracts.events.completion import CompletionChunked, CompletionRequested
from devkit.embedded import EmbeddedRedis
from gateway.adapters.live import RedisLiveText
from gateway.adapters.memory import ProcessLiveText
from gateway.api import create_app, events
from gateway.domain.access import Allowance, Tier
from gateway.domain.limits import Limits
from gateway.domain.live import Coalescer
from gateway.domain.readings import TextPiece
from gateway.handlers import on_completions_chunked
from runtime.deadline import Deadline
from runtime.server import HttpServer
from services.gateway.tests.calling_api import RUNS, Api, ports_of, problem
from services.gateway.tests.feeding import (
    Feed,
    a_capture,
    analyzed,
    answered,
    asked,
    delivered,
    failed,
    record_of,
)
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
SMALL: dict[str, Any] = {"prompts": ["Which?"], "models": ["openai/gpt-5"], "samples": 3}
TIERS = {tier: Allowance(1000, 100, 2) for tier in Tier}


@dataclass
class Sent:
    """A server-sent event."""

    event: str
    data: Any
    id: int | None


@dataclass
class Watched:
    """The API on a port of its own, and one who watches."""

    api: Api
    live: ProcessLiveText
    url: str

    @asynccontextmanager
    async def watch(
        self, run_id: str, after: int | None = None
    ) -> AsyncIterator[AsyncIterator[Sent]]:
        headers = {"Authorization": f"Bearer {self.api.secret}"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        async with (
            httpx2.AsyncClient(timeout=60) as http,
            http.stream("GET", f"{self.url}{RUNS}/{run_id}/events", headers=headers) as response,
        ):
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            async with aclosing(parsed(response)) as events:
                yield events

    async def all_of(self, run_id: str, after: int | None = None) -> list[Sent]:
        """What comes until the end."""
        async with self.watch(run_id, after) as events, asyncio.timeout(60):
            return [sent async for sent in events]

    async def tell(self, *events: Event) -> None:
        await Feed(self.api.kit).tell(self.api.tenant_id, *events)

    async def chunk(
        self, call: CompletionRequested, index: int, text: str, attempt: int = 1
    ) -> None:
        event = CompletionChunked(
            completion_id=call.completion_id,
            origin=call.origin,
            model_called=call.model,
            attempt=attempt,
            index=index,
            text=text,
            simulated=False,
        )
        batch: Sequence[Any] = [delivered(record_of(self.api.tenant_id, event))]
        await on_completions_chunked(batch, self.live)


async def parsed(response: httpx2.Response) -> AsyncGenerator[Sent]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.strip()
        elif "event" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Sent(fields["event"], json.loads(fields["data"]), number)
            fields = {}


@pytest_asyncio.fixture
async def watched(kit: Kit) -> AsyncIterator[Watched]:
    live = ProcessLiveText()
    ports = replace(ports_of(kit), live=live, limits=Limits(tiers=TIERS))
    api = await Api.over(kit, ports)
    server = HttpServer(create_app(ports), "127.0.0.1", 0)
    await server.start()
    yield Watched(api, live, server.url)
    await server.stop(Deadline(1))
    await api.http.aclose()


async def started(watched: Watched, **changes: Any) -> tuple[str, list[CompletionRequested]]:
    run_id = (await watched.api.start(**SMALL | changes)).json()["run_id"]
    return run_id, await asked(watched.api, run_id)


def settled(events: list[Sent]) -> list[tuple[str, str]]:
    """State and completion, as they were told."""
    return [
        (state, completion_id)
        for sent in events
        if sent.event == "progress"
        for state, ids in sent.data["settled"].items()
        for completion_id in ids
    ]


async def test_what_happens_is_told_in_order_and_then_the_end(watched: Watched) -> None:
    run_id, (one, two, three) = await started(watched)
    watching = asyncio.create_task(watched.all_of(run_id))
    await watched.tell(answered(one), failed(two))
    await watched.tell(analyzed(one))
    await watched.tell(failed(three, "budget", outcome="not_run"))
    events = await watching
    assert sorted(settled(events)) == sorted(
        [
            ("answered", str(one.completion_id)),
            ("failed", str(two.completion_id)),
            ("analyzed", str(one.completion_id)),
            ("not_run", str(three.completion_id)),
        ]
    )
    order = [sent.id for sent in events]
    assert order == sorted(order, key=lambda number: number or 0)
    last = events[-1]
    assert (last.event, last.data["state"]) == ("end", "completed_with_errors")
    assert last.data["progress"] == {
        "expected": 3,
        "waiting": 0,
        "answered": 0,
        "analyzed": 1,
        "failed": 1,
        "not_run": 1,
    }


async def test_an_ended_run_is_told_at_once(watched: Watched) -> None:
    run_id, calls = await started(watched)
    for call in calls:
        await watched.tell(answered(call), analyzed(call))
    events = await watched.all_of(run_id)
    assert [sent.event for sent in events] == ["progress", "end"]
    assert len(settled(events)) == 6
    (again,) = await watched.all_of(run_id, events[-1].id)
    assert (again.event, again.data) == ("end", events[-1].data)


@pytest.mark.parametrize("seed", range(3))
async def test_a_watcher_that_comes_back_misses_nothing(watched: Watched, seed: int) -> None:
    run_id, calls = await started(watched, samples=12)
    rng, after = random.Random(seed), 0
    events: list[Sent] = []

    async def happen() -> None:
        for call in calls:
            await watched.tell(answered(call))
            await asyncio.sleep(rng.random() / 50)
            await watched.tell(analyzed(call))

    happening = asyncio.create_task(happen())
    while not events or events[-1].event != "end":
        async with watched.watch(run_id, after) as coming, asyncio.timeout(60):
            for _ in range(rng.randint(1, 2)):
                sent = await anext(coming, None)
                if sent is not None:
                    events.append(sent)
                    after = sent.id if sent.id is not None else after
    await happening
    told = settled(events)
    assert len(told) == len(set(told)) == 24
    assert events[-1].data["progress"]["analyzed"] == 12


async def test_more_than_a_page_of_events_is_told_whole(watched: Watched) -> None:
    run_id, calls = await started(watched)
    for n in range(250):
        again = analyzed(calls[0], analyzer_version=f"test-{n}")
        await watched.tell(again)
    await watched.tell(*(analyzed(call) for call in calls[1:]))
    await watched.tell(*map(answered, calls))
    events = await watched.all_of(run_id)
    assert len(settled(events)) == 252 + len(calls)
    assert [sent.event for sent in events] == ["progress", "progress", "end"]


async def test_answers_added_to_an_import_are_told(watched: Watched) -> None:
    feed, api = Feed(watched.api.kit), watched.api
    await feed.apply([delivered(record_of(api.tenant_id, a_capture()))])
    (run,) = (await api.call("GET", RUNS)).json()["items"]
    async with watched.watch(run["run_id"]) as coming, asyncio.timeout(60):
        first = await anext(coming)
        assert (first.event, first.data["progress"]["expected"]) == ("progress", 1)
        assert len(first.data["settled"]["answered"]) == 1


async def test_texts_are_shown_as_they_are_written(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "Coalescer", lambda: Coalescer(1.5))
    run_id, (one, two, _) = await started(watched, stream=True)
    async with watched.watch(run_id) as coming, asyncio.timeout(60):
        await watching(watched)
        await watched.chunk(one, 0, "It ")
        first = await anext(coming)
        assert (first.event, first.id) == ("text", None)
        assert first.data == {
            "completion_id": str(one.completion_id),
            "model": one.model,
            "attempt": 1,
            "index": 0,
            "text": "It ",
        }
        for index, text in enumerate(("is ", "Notion."), 1):
            await watched.chunk(one, index, text)
        second = await anext(coming)
        assert (second.data["index"], second.data["text"]) == (1, "is Notion.")
        await watched.chunk(two, 0, "Else", attempt=2)
        assert (await anext(coming)).data["attempt"] == 2


async def watching(watched: Watched) -> None:
    """Until the server has joined the run's texts."""
    async with asyncio.timeout(60):
        while not vars(watched.live)["_watchers"]:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.005)


async def test_texts_come_at_most_twenty_times_a_second(watched: Watched) -> None:
    run_id, (one, two, _) = await started(watched, stream=True)
    clock, shown = asyncio.get_running_loop().time, []

    async def write() -> None:
        await watching(watched)
        for index in range(300):
            await watched.chunk(one, index, f"{index} ")
            await watched.chunk(two, index, f"{index} ")
            await asyncio.sleep(0.002)

    writing = asyncio.create_task(write())
    begun = clock()
    async with watched.watch(run_id) as coming, asyncio.timeout(60):
        texts: dict[str, str] = {}
        async for sent in coming:
            shown.append(sent.data["completion_id"])
            texts[shown[-1]] = texts.get(shown[-1], "") + sent.data["text"]
            if len(texts) == 2 and all(text.endswith(" 299 ") for text in texts.values()):
                break
        took = clock() - begun
    await writing
    whole = "".join(f"{index} " for index in range(300))
    assert texts == {str(one.completion_id): whole, str(two.completion_id): whole}
    for completion_id in texts:
        assert 2 < shown.count(completion_id) <= took * 20 + 2


async def test_texts_of_another_run_are_not_shown(watched: Watched) -> None:
    run_id, calls = await started(watched, stream=True)
    other, (theirs, *_) = await started(watched, stream=True, samples=2)
    async with watched.watch(run_id) as coming, asyncio.timeout(60):
        await watching(watched)
        await watched.chunk(theirs, 0, "secret")
        await watched.chunk(calls[0], 0, "mine")
        assert (await anext(coming)).data["text"] == "mine"
    assert other != run_id


async def test_another_tenants_run_is_a_404_before_the_stream(watched: Watched) -> None:
    run_id, _ = await started(watched)
    other = await watched.api.another_tenant()
    problem(await other.call("GET", f"{RUNS}/{run_id}/events"), 404, "not-found")
    problem(await other.call("GET", f"{RUNS}/{UUID(int=1)}/events"), 404, "not-found")


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 19, ""])
async def test_a_wrong_last_event_id_is_refused(watched: Watched, given: str) -> None:
    run_id, _ = await started(watched)
    headers = {"Last-Event-ID": given}
    response = await watched.api.call("GET", f"{RUNS}/{run_id}/events", headers)
    problem(response, 422, "invalid-request")


async def test_a_stream_holds_a_slot_until_it_is_closed(watched: Watched) -> None:
    run_id, _ = await started(watched)
    path = f"{RUNS}/{run_id}/events"
    async with watched.watch(run_id), watched.watch(run_id):
        problem(await watched.api.call("GET", path), 429, "too-many-streams")
    other = await watched.api.another_tenant()
    for _ in range(4):
        problem(await other.call("GET", path), 404, "not-found")
    async with asyncio.timeout(60):
        for _ in itertools.count():
            headers = {"Authorization": f"Bearer {watched.api.secret}"}
            async with (
                httpx2.AsyncClient(timeout=60) as http,
                http.stream("GET", f"{watched.url}{path}", headers=headers) as response,
            ):
                if response.status_code == 200:
                    break


async def test_texts_reach_watchers_on_every_replica(redis: EmbeddedRedis) -> None:
    here, there = RedisLiveText(redis.url), RedisLiveText(redis.url)
    run_id = UUID(int=5)
    pieces = [
        TextPiece("tenant", run_id, UUID(int=answer), "p/m", 1, index, f"{index} ☕")
        for index in range(2)
        for answer in (1, 2)
    ]
    async with (
        here.watch("tenant", run_id) as one,
        there.watch("tenant", run_id) as two,
        there.watch("another", run_id) as other,
    ):
        await here.publish(pieces)
        for stream in (one, two):
            found = [await heard(stream) for _ in range(2)]
            assert [(piece.completion_id.int, piece.index, piece.text) for piece in found] == [
                (1, 0, "0 ☕1 ☕"),
                (2, 0, "0 ☕1 ☕"),
            ]
        assert await other.next(0.05) is None
    await here.close()
    await there.close()


async def heard(stream: Any) -> TextPiece:
    async with asyncio.timeout(60):
        while True:
            piece: TextPiece | None = await stream.next(0.5)
            if piece is not None:
                return piece


async def test_without_redis_texts_are_lost_and_nothing_else() -> None:
    live = RedisLiveText("unix:///nowhere/redis.sock")
    await live.publish([TextPiece("t", UUID(int=1), UUID(int=2), "p/m", 1, 0, "text")])
    async with live.watch("t", UUID(int=1)) as stream:
        assert await stream.next(0.01) is None
    await live.close()
