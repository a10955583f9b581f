"""Redis: one client, its scripts, and a pipeline for each batch of commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from bus.errors import Unavailable
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from recommender.adapters.redis_keys import LAYOUT

_ANSWER_SECONDS = 5.0
LAYOUT_VERSION = 1
_DOWN = (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)
"""What says nothing of the command: it is tried again when Redis is well."""
_DOWN_CODES = re.compile(
    r"(?:Error running script .*?@user_script: ?\d+: (?:@user_script: ?\d+: )*-?)?"
    "(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN) "
)
"""The same by its code: the client has no class for some (MISCONF: the disk is full), and before
Redis 7 what stopped a script is told within an error of the script."""

Argument = str | bytes | int | float


class Batch:
    """Commands that go to Redis together, in order."""

    def __init__(self) -> None:
        self.commands: list[tuple[str | None, tuple[Argument, ...]]] = []

    def add(self, *command: Argument) -> None:
        """A plain command."""
        self.commands.append((None, command))

    def run(self, script: str, keys: Sequence[str], *arguments: Argument) -> None:
        """A script by its name."""
        self.commands.append((script, (len(keys), *keys, *arguments)))


class RedisConnection:
    """Sends batches. Raises Unavailable for whatever passes by itself."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),
            protocol=2,
        )
        self._scripts = _scripts()
        self._hashes: dict[str, str] = {}

    async def send(self, batch: Batch) -> list[Any]:
        """The answers to all commands. One that was sent may come twice: effects bear that."""
        if not batch.commands:
            return []
        try:
            if not self._hashes:
                await self._load()
            answers = await self._sent(batch)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await self._load()  # the server has been started anew
                answers = await self._sent(batch)
            _raise_first(answers)
        except RedisError as error:
            if _passes(error):
                raise Unavailable(f"redis: {error}") from error
            raise
        return answers

    async def call(self, *command: Argument) -> Any:
        """The answer to one command."""
        batch = Batch()
        batch.add(*command)
        return (await self.send(batch))[0]

    async def healthy(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self.call("PING"))
        except (Unavailable, RedisError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _load(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for text in self._scripts.values():
                pipe.execute_command("SCRIPT LOAD", text)
            hashes = await pipe.execute()
        self._hashes = {
            name: one.decode() if isinstance(one, bytes) else one
            for name, one in zip(self._scripts, hashes, strict=True)
        }

    async def _sent(self, batch: Batch) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for script, arguments in batch.commands:
                if script is None:
                    pipe.execute_command(*arguments)
                else:
                    pipe.execute_command("EVALSHA", self._hashes[script], *arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers


def _passes(error: RedisError) -> bool:
    """Whether the command may succeed later as it is."""
    return isinstance(error, _DOWN) or _DOWN_CODES.match(str(error)) is not None


def _raise_first(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer


def _scripts() -> dict[str, str]:
    """All scripts by name, each with the prelude before it."""
    folder = resources.files("recommender") / "adapters" / "scripts"
    texts = {
        entry.name.removesuffix(".lua"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".lua")
    }
    prelude = texts.pop("prelude")
    return {name: f"{prelude}\n{text}" for name, text in sorted(texts.items())}


class NewerLayout(RuntimeError):
    """The data in Redis was written by a version of this service that knows more."""


class RedisLayout:
    """``rebuilding.Layout``: a key that is there as long as the data is."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    async def known(self) -> bool:
        """Raises NewerLayout."""
        found = await self._redis.call("GET", LAYOUT)
        if found is not None and int(found) > LAYOUT_VERSION:
            raise NewerLayout(f"Redis holds layout {int(found)}, known is {LAYOUT_VERSION}")
        return found is not None and int(found) == LAYOUT_VERSION

    async def mark(self) -> None:
        await self._redis.call("SET", LAYOUT, LAYOUT_VERSION)
