"""Clients that are kept open for questions: connecting costs more than most answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from runtime.logging import logger

from bus.kafka.connection import Connection

_log = logger(__name__)
C = TypeVar("C")


class Kept(Generic[C]):
    """One client, connected when it is first needed and after each failure."""

    def __init__(
        self, connect: Callable[[], Awaitable[C]], close: Callable[[C], Awaitable[None]]
    ) -> None:
        self._connect = connect
        self._close = close
        self._client: C | None = None
        self._connecting = asyncio.Lock()

    @asynccontextmanager
    async def using(self) -> AsyncIterator[C]:
        """The client; whatever goes wrong with it, the next one who asks gets a new one."""
        async with self._connecting:
            client = self._client = self._client or await self._connect()
        try:
            yield client
        except BaseException:
            await self._drop(client)
            raise

    async def close(self) -> None:
        """Disconnect; it connects again when it is needed again."""
        if self._client is not None:
            await self._drop(self._client)

    async def _drop(self, client: C) -> None:
        if self._client is client:
            self._client = None
            try:
                await self._close(client)
            except Exception as error:  # noqa: BLE001 - it is given up, and the cluster may be away
                _log.info("a client did not close in order", error=repr(error))


class Clients:
    """An admin client, and a consumer without a group, of one log."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin: Kept[AIOKafkaAdminClient] = Kept(self._new_admin, lambda one: one.close())
        self._reader: Kept[AIOKafkaConsumer] = Kept(self._new_reader, lambda one: one.stop())

    def admin(self) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
        """An admin client, to be entered for each piece of work."""
        return self._admin.using()

    def reader(self) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
        """A consumer that is assigned nothing; it knows where topics end."""
        return self._reader.using()

    async def close(self) -> None:
        """Disconnect both."""
        await self._admin.close()
        await self._reader.close()

    async def _new_admin(self) -> AIOKafkaAdminClient:
        return await _started(AIOKafkaAdminClient(**self._connection.options()))

    async def _new_reader(self) -> AIOKafkaConsumer:
        options = self._connection.options()
        return await _started(AIOKafkaConsumer(**options, isolation_level="read_committed"))


async def _started(client: Any) -> Any:
    try:
        await client.start()
    except BaseException:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        raise
    return client
