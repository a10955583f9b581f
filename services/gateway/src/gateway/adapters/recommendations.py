"""The read model of recommendations in Redis: one round trip serves a user.

Each list is a string of its version, in 20 digits, and its JSON. A tenant's name is quoted in
keys, so that no tenant and user together can spell another's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from bus.errors import Unavailable
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from runtime.logging import logger

from gateway.adapters.connections import commands, watching
from gateway.adapters.scripts import FINISH, KEEP_LEASE, NOTE_CAMPAIGN, PUT_LIST
from gateway.domain.errors import ReadModelUnready
from gateway.domain.marketing import Campaign, Window
from gateway.domain.ports import Changes
from gateway.domain.recommendations import Condition, Found, ListChange

_log = logger(__name__)
TOMBSTONE = timedelta(days=40)
"""Longer than any record about a forgotten user can still arrive."""
LEASE = timedelta(seconds=30)
MOST_LIMITED = 5000
"""Of a tenant: those that changed last. Lists name none that ended long ago."""
RETRY_SECONDS = 2
_READY, _LEASE_KEY = "rec-ready:2", "rec-rebuild"
"""The number is that of the form in which campaigns are kept: another is made anew."""
_DIGITS = 20
_BETWEEN = " "


class RedisRecommendations:
    """Lists of recommendations: reads for the API, writes for events, and the rebuilding."""

    def __init__(self, redis_url: str) -> None:
        self._redis = commands(redis_url)
        self._watching = watching(redis_url)
        self._put = self._redis.register_script(PUT_LIST)
        self._note = self._redis.register_script(NOTE_CAMPAIGN)
        self._keep = self._redis.register_script(KEEP_LEASE)
        self._finish = self._redis.register_script(FINISH)

    async def read(self, tenant_id: str, user_ids: Sequence[str]) -> Sequence[Found]:
        """One MGET, however many users."""
        tenant, count = _quoted(tenant_id), len(user_ids)
        keys = [_READY, _popular(tenant), _limited(tenant)]
        keys += [_list(tenant, user_id) for user_id in user_ids]
        keys += [f"{_excluded(tenant)}{user_id}" for user_id in user_ids]
        try:
            found: list[Any] = await self._redis.mget(keys)
        except RedisError as error:
            _log.warning("recommendations not read", error=str(error))
            raise _unready("the read model of recommendations cannot be reached") from error
        ready, popular, limited, *rest = found
        if ready is None:
            raise _unready("the read model of recommendations is being rebuilt")
        windows = _windows(limited or b"")
        return [
            Found(user_id, _body(own), _body(popular), windows, _ids(excluded or b""))
            for user_id, own, excluded in zip(user_ids, rest[:count], rest[count:], strict=True)
        ]

    @asynccontextmanager
    async def watch(self, tenant_id: str, user_id: str) -> AsyncIterator[Changes]:
        """Subscribed until the block ends."""
        tenant = _quoted(tenant_id)
        async with self._watching.pubsub(ignore_subscribe_messages=True) as subscription:
            heard = _Heard(subscription, (_channel(tenant), _channel(tenant, user_id)))
            await heard.join()
            yield heard

    async def put(self, changes: Sequence[ListChange]) -> None:
        """In one pipeline."""
        async with self._pipeline() as pipe:
            for change in changes:
                tenant, user_id = _quoted(change.tenant_id), change.user_id
                key = _popular(tenant) if user_id is None else _list(tenant, user_id)
                tombstone = _tombstone(change.tenant_id, user_id)
                channel, version = _channel(tenant, user_id), _padded(change.version)
                arguments: list[Any] = [version, change.body or "", _ms(TOMBSTONE), channel]
                await self._put([key, tombstone], arguments, client=pipe)

    async def note_campaigns(self, campaigns: Sequence[Campaign]) -> None:
        """In one pipeline."""
        now = datetime.now(UTC)
        async with self._pipeline() as pipe:
            for campaign in campaigns:
                await self._note(*_noted(campaign, now), client=pipe)

    async def condition(self) -> Condition:
        """By the marker, which names the run of the server that it was written in."""
        with _available():
            marker: Any = await self._redis.get(_READY)
            run = await self._server_run()
        if marker is None:
            return Condition.EMPTY
        return Condition.READY if marker.decode() == run else Condition.BEHIND

    async def begin(self) -> str | None:
        """A key that is gone after a while, or with everything else when Redis is flushed.

        It names the run of the server that the lists are filled in.
        """
        with _available():
            lease = f"{uuid4()} {await self._server_run()}"
            taken = await self._redis.set(_LEASE_KEY, lease, nx=True, px=_ms(LEASE))
        return lease if taken else None

    async def keep(self, lease: str) -> bool:
        """Renewed if it is still there."""
        with _available():
            return bool(await self._keep([_LEASE_KEY], [lease, _ms(LEASE)]))

    async def finish(self, lease: str) -> bool:
        """Lease and marker in one step: what was flushed in between is not called complete."""
        with _available():
            return bool(await self._finish([_LEASE_KEY, _READY], [lease, lease.rpartition(" ")[2]]))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._watching.aclose()

    async def _server_run(self) -> str:
        """Another one each time that the server starts."""
        return str((await self._redis.info("server"))["run_id"])

    @asynccontextmanager
    async def _pipeline(self) -> AsyncIterator[Any]:
        with _available():
            async with self._redis.pipeline(transaction=False) as pipe:
                yield pipe
                await pipe.execute()


class _Heard:
    def __init__(self, subscription: PubSub, channels: Sequence[str]) -> None:
        self._subscription = subscription
        self._channels = channels

    async def join(self) -> None:
        """Before the first list is read, so that no change of it goes unheard."""
        try:
            await self._subscription.subscribe(*self._channels)
        except RedisError as error:
            _log.warning("changes not heard", error=str(error))

    async def next(self, timeout: float) -> bool:
        """All that is waiting counts as one. While Redis is down there is no word."""
        try:
            if not self._subscription.subscribed:
                await self._subscription.subscribe(*self._channels)
            heard = await self._subscription.get_message(timeout=timeout)
            while heard and await self._subscription.get_message(timeout=0.0):
                pass
        except RedisError as error:
            _log.warning("changes not heard", error=str(error))
            await asyncio.sleep(min(timeout, RETRY_SECONDS))  # it fails at once, again and again
            return False
        return heard is not None


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise Unavailable(f"Redis: {type(error).__name__}: {error}") from error


def _unready(said: str) -> ReadModelUnready:
    return ReadModelUnready(said, f"try again in {RETRY_SECONDS} seconds", RETRY_SECONDS)


def _noted(campaign: Campaign, now: datetime) -> tuple[list[str], list[Any]]:
    """Keys and arguments of the script."""
    tenant, campaign_id = _quoted(campaign.tenant_id), campaign.campaign_id
    keys = [
        f"rec-campaigns:{tenant}",
        f"rec-limited-since:{tenant}",
        _limited(tenant),
        f"rec-excludes:{tenant}:{campaign_id}",
    ]
    state = (_padded(campaign.version), _entry(campaign, now), MOST_LIMITED)
    users = () if campaign.deleted else campaign.excluded_users
    return keys, [campaign_id, *state, _excluded(tenant), _channel(tenant), *users]


def _entry(campaign: Campaign, now: datetime) -> str:
    """From when until when it is shown, in microseconds, and its id; nothing: at any time."""
    window = campaign.window(now)
    if window is None:
        return ""
    return f"{window.start}{_BETWEEN}{window.end}{_BETWEEN}{campaign.campaign_id}"


@lru_cache(maxsize=128)
def _windows(row: bytes) -> Mapping[str, Window]:
    """By id, of those campaigns that are not to be shown at any time."""
    parts = (part.split(_BETWEEN, 2) for part in row.decode().split("\0") if part)
    return {campaign_id: Window(int(start), int(end)) for start, end, campaign_id in parts}


@lru_cache(maxsize=128)
def _ids(row: bytes) -> frozenset[str]:
    """A row of ids that was read often is taken apart once."""
    return frozenset(part for part in row.decode().split("\0") if part)


def _body(value: bytes | None) -> bytes | None:
    return None if value is None else value[_DIGITS:]


def _padded(version: int) -> str:
    return f"{min(version, 10**_DIGITS - 1):0{_DIGITS}d}"


def _ms(lifetime: timedelta) -> int:
    return int(lifetime.total_seconds() * 1000)


def _quoted(tenant_id: str) -> str:
    return quote(tenant_id, safe="")


def _list(tenant: str, user_id: str) -> str:
    return f"rec:{tenant}:{user_id}"


def _popular(tenant: str) -> str:
    return f"rec-popular:{tenant}"


def _limited(tenant: str) -> str:
    return f"rec-limited:{tenant}"


def _excluded(tenant: str) -> str:
    return f"rec-excluded:{tenant}:"


def _tombstone(tenant_id: str, user_id: str | None) -> str:
    """Who was forgotten is not to be read from it."""
    digest = hashlib.sha256(f"{tenant_id}\0{user_id or ''}".encode()).hexdigest()
    return f"rec-forgotten:{digest}"


def _channel(tenant: str, user_id: str | None = None) -> str:
    """A user's, or that of all users of the tenant."""
    return f"rec-changed:{tenant}" if user_id is None else f"rec-changed:{tenant}:{user_id}"
