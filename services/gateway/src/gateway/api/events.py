"""What happens to a run, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from gateway.api.access import Streamer
from gateway.api.errors import errors
from gateway.api.ports import Ports, PortsOf
from gateway.api.runs import RunId
from gateway.domain.errors import no_run
from gateway.domain.live import Coalescer
from gateway.domain.ports import TextStream
from gateway.domain.readings import RunMoved, RunStatus, TextPiece
from gateway.schemas.runs import progress_view

router = APIRouter(
    prefix="/v1/visibility/runs/{run_id}",
    tags=["visibility"],
    responses=errors(401, 403, 404, 422, 429),
)
POLL_SECONDS = 0.25
ROWS = 200
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="where to go on"),
]


async def _run(run_id: RunId, caller: Streamer, ports: PortsOf) -> RunStatus:
    """Looked up before the stream begins, so that a wrong id is a 404."""
    status = await ports.runs.summary(caller.tenant_id, run_id)
    if status is None:
        raise no_run(run_id)
    return status


@router.get("/events", response_class=EventSourceResponse, summary="Watch a run")
async def events(
    status: Annotated[RunStatus, Depends(_run)],
    ports: PortsOf,
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """``progress`` events tell what was settled since the one before, with the counts of now.

    ``text`` events show answers while they are written (runs with ``stream``), at most 20 a second
    for each; they have no id and are not repeated. ``end`` is the last. Reconnect with
    Last-Event-ID to go on where the connection broke.
    """
    watch = _Watch(ports, status, int(last_event_id or 0))
    async with ports.live.watch(status.run.tenant_id, status.run.run_id) as stream:
        async for event in watch.events(stream):
            yield event


@dataclass
class _Watch:
    ports: Ports
    status: RunStatus
    after: int

    async def events(self, stream: TextStream) -> AsyncIterator[ServerSentEvent]:
        texts = Coalescer()
        while True:
            # In this order: what the run ended with is then among its events.
            ended = await self.ports.runs.ended(self.status.run.run_id)
            moved = await self.ports.runs.moved(self.status.run.run_id, self.after, ROWS)
            if moved:
                await self._refresh()
                yield self._progress(moved)
            elif ended and await self._refresh():
                for piece in texts.rest():
                    yield _text(piece)
                yield ServerSentEvent(event="end", data=self._counts(), id=str(self.after))
                return
            async for text in _heard(stream, texts, 0 if len(moved) == ROWS else POLL_SECONDS):
                yield text

    async def _refresh(self) -> bool:
        """Count anew; whether the run has ended (and no answer was added to it since)."""
        run = self.status.run
        self.status = await self.ports.runs.summary(run.tenant_id, run.run_id) or self.status
        return self.status.run.finished_at is not None

    def _progress(self, moved: Sequence[RunMoved]) -> ServerSentEvent:
        settled: dict[str, list[str]] = {}
        for item in moved:
            for state, ids in json.loads(item.settled).items():
                settled.setdefault(state, []).extend(ids)
        self.after = moved[-1].seq
        data = {**self._counts(), "settled": settled}
        return ServerSentEvent(event="progress", data=data, id=str(self.after))

    def _counts(self) -> dict[str, Any]:
        progress = progress_view(self.status.run.expected, self.status.progress)
        return {"state": self.status.run.state.value, "progress": progress.model_dump()}


async def _heard(
    stream: TextStream, texts: Coalescer, seconds: float
) -> AsyncIterator[ServerSentEvent]:
    """Texts that may show within the next ``seconds``."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while (left := until - clock()) > 0:
        due = texts.next_due()
        wait = left if due is None else min(left, max(0.0, due - clock()))
        piece = await stream.next(wait)
        if piece is not None:
            texts.add(piece)
        for ready in texts.due(clock()):
            yield _text(ready)


def _text(piece: TextPiece) -> ServerSentEvent:
    data = {
        "completion_id": str(piece.completion_id),
        "model": piece.model,
        "attempt": piece.attempt,
        "index": piece.index,
        "text": piece.text,
    }
    return ServerSentEvent(event="text", data=data)
