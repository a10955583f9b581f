"""Pieces of answers on their way, published at most twenty times a second for each answer.

They are for people who watch: sent straight to the log, lost if it does not take them. The
answer itself takes the durable way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bus.codec import Delivered
from bus.errors import BusError, RecordTooLarge
from bus.outbox import OutboxRow, originate
from bus.port import Log, Producer
from contracts import telemetry
from contracts.envelope import Envelope, derived_id
from contracts.events.base import Event
from contracts.events.completion import CompletionChunked, CompletionRequested
from contracts.topics import COMPLETION_CHUNKED
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.metrics import counter
from runtime.tasks import Background, wait_for

from llm_executor.domain import SERVICE
from llm_executor.domain.ports import OnText
from llm_executor.domain.rules import storable

_log = logger(__name__)
FLUSH_SECONDS = 0.05
DRAIN_SECONDS = 1.0


@dataclass
class _Stream:
    """One attempt's pieces that were not sent yet."""

    item: Delivered[Event]
    model: str
    attempt: int
    simulated: bool
    index: int = 0
    pieces: list[str] = field(default_factory=list)


class Chunks:
    """Collects pieces and sends them."""

    def __init__(self, log: Log) -> None:
        self._source = log
        self._producer: Producer | None = None
        self._streams: dict[str, _Stream] = {}
        self._sending = asyncio.Lock()
        self._task = Background(f"{SERVICE} chunks", self._run)

    async def start(self) -> None:
        """Begin to send."""
        self._producer = await self._source.producer()
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Send what is left."""
        await self._task.stop(deadline)
        await self._flush()
        if self._producer is not None:
            await self._producer.close()

    def watching(self, item: Delivered[Event]) -> Callable[[str, int, bool], OnText]:
        """What makes, for each attempt at a request, the taker of its pieces."""

        def attempt(model: str, number: int, simulated: bool) -> OnText:
            stream = _Stream(item, model, number, simulated)
            self._streams[item.envelope.id] = stream
            return stream.pieces.append

        return attempt

    async def end(self, item: Delivered[Event]) -> None:
        """Send what is left of a request, if the log takes it soon."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._flush()
        except TimeoutError:
            counter(telemetry.CHUNKS_LOST).labels(SERVICE).inc()
        self._streams.pop(item.envelope.id, None)

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self._flush()
            await wait_for(stopping, FLUSH_SECONDS)

    async def _flush(self) -> None:
        async with self._sending:
            rows = [row for stream in self._streams.values() if (row := _row(stream)) is not None]
            if not rows:
                return
            assert self._producer is not None
            try:
                await self._producer.send([row.record(row.envelope.traceparent) for row in rows])
            except BusError as error:
                counter(telemetry.CHUNKS_LOST).labels(SERVICE).inc(len(rows))
                _log.warning("chunks lost", chunks=len(rows), error=str(error))


def _row(stream: _Stream) -> OutboxRow | None:
    """The stream's pieces as one event; None if there are none."""
    if not stream.pieces:
        return None
    text = "".join(stream.pieces)
    stream.pieces.clear()
    request, cause = stream.item.event, stream.item.envelope
    assert isinstance(request, CompletionRequested)
    event = CompletionChunked(
        completion_id=request.completion_id,
        origin=request.origin,
        model_called=stream.model,
        attempt=stream.attempt,
        index=stream.index,
        text=storable(text),
        simulated=stream.simulated,
    )
    stream.index += 1
    subject = str(request.completion_id)
    envelope = Envelope(
        id=derived_id(COMPLETION_CHUNKED.name, subject, cause.id, event.number),
        source=SERVICE,
        type=COMPLETION_CHUNKED.name,
        time=datetime.now(UTC),
        subject=subject,
        tenant_id=cause.tenant_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.id,
        traceparent=cause.traceparent,
    )
    try:
        return originate(COMPLETION_CHUNKED, event, envelope)
    except RecordTooLarge:
        counter(telemetry.CHUNKS_LOST).labels(SERVICE).inc()
        return None
