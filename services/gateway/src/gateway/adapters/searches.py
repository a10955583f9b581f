"""Answers to searches in Redis, on their way to the replica that waits for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

from bus.errors import Unavailable
from redis.exceptions import RedisError

from gateway.adapters.connections import ANSWER_SECONDS, commands, watching
from gateway.domain.recommendations import SearchAnswer

KEPT = timedelta(seconds=60)
"""Longer than anybody waits."""
MOST_WAITING = 200
"""Of one process: each that waits holds a connection."""


class RedisSearchAnswers:
    """A list for each search; its key names the tenant, whose searches alone can name it."""

    def __init__(self, redis_url: str) -> None:
        self._redis = commands(redis_url)
        self._waiting = watching(redis_url, MOST_WAITING)

    async def hand_over(self, answers: Sequence[SearchAnswer]) -> None:
        """What nobody fetches is gone after a minute."""
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                for answer in answers:
                    key = _key(answer.tenant_id, answer.search_id)
                    pipe.rpush(key, json.dumps([answer.failure, answer.body]))
                    pipe.pexpire(key, KEPT)
                await pipe.execute()
        except RedisError as error:
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from error

    async def wait(self, tenant_id: str, search_id: UUID, seconds: float) -> SearchAnswer | None:
        """Also an answer that was there before anybody waited."""
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS):
                found = await self._waiting.blpop([_key(tenant_id, search_id)], seconds)
        except TimeoutError:
            return None
        except RedisError as error:
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from error
        if found is None:
            return None
        failure, body = json.loads(found[1])
        return SearchAnswer(tenant_id, search_id, body, failure)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._waiting.aclose()


def _key(tenant_id: str, search_id: UUID) -> str:
    return f"search:{quote(tenant_id, safe='')}:{search_id}"
