"""Pieces of answers between replicas, over Redis' publish and subscribe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from runtime.logging import logger

from gateway.adapters.connections import watching
from gateway.domain.live import merged
from gateway.domain.ports import TextStream
from gateway.domain.readings import TextPiece

_log = logger(__name__)


class RedisLiveText:
    """A channel for each run. While Redis is down, pieces are lost and the ends of answers not."""

    def __init__(self, redis_url: str) -> None:
        self._redis = watching(redis_url)

    async def publish(self, pieces: Sequence[TextPiece]) -> None:
        """One message for each answer in the batch."""
        if not pieces:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for piece in merged(list(pieces)):
                    pipe.publish(_channel(piece.tenant_id, piece.run_id), _written(piece))
                await pipe.execute()
        except RedisError as error:
            _log.warning("texts not shown", pieces=len(pieces), error=str(error))

    @asynccontextmanager
    async def watch(self, tenant_id: str, run_id: UUID) -> AsyncIterator[TextStream]:
        """Subscribed until the block ends; without Redis there is nothing to hear."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            heard = _Heard(subscription)
            await heard.join(_channel(tenant_id, run_id))
            yield heard

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class _Heard:
    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription

    async def join(self, channel: str) -> None:
        try:
            await self._subscription.subscribe(channel)
        except RedisError as error:
            _log.warning("texts not shown", error=str(error))

    async def next(self, timeout: float) -> TextPiece | None:
        """The next piece; while Redis is down there is none."""
        if not self._subscription.subscribed:
            await asyncio.sleep(timeout)
            return None
        try:
            message = await self._subscription.get_message(timeout=timeout)
        except RedisError as error:
            _log.warning("texts not shown", error=str(error))
            await asyncio.sleep(timeout)
            return None
        return None if message is None else _read(message["data"])


def _channel(tenant_id: str, run_id: UUID) -> str:
    return f"live:{tenant_id}:{run_id}"


def _written(piece: TextPiece) -> str:
    return json.dumps(
        [
            piece.tenant_id,
            str(piece.run_id),
            str(piece.completion_id),
            piece.model,
            piece.attempt,
            piece.index,
            piece.text,
        ]
    )


def _read(data: bytes) -> TextPiece:
    tenant_id, run_id, completion_id, model, attempt, index, text = json.loads(data)
    return TextPiece(tenant_id, UUID(run_id), UUID(completion_id), model, attempt, index, text)
