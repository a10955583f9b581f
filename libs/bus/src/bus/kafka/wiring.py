"""Group membership by way of FastStream, which builds and subscribes the aiokafka consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy
from runtime.logging import logger

from bus.errors import LogUnavailable
from bus.kafka.connection import Connection
from bus.kafka.static import NameGuard

_log = logger(__name__)
_SESSION_MS = 10_000
# How soon a member notices that another one joined or left.
_HEARTBEAT_MS = 500
# What a listener has to finish and commit in; a join waits that long for the slowest member.
_REBALANCE_MS = 30_000
_SLACK_MS = 10_000
JOIN_SECONDS = (_REBALANCE_MS + _SLACK_MS) / 1000
"""A join waits until members that were killed are given up, and slow ones have come."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A name of its own in the group; for ``seconds`` without it its partitions wait for it."""

    name: str
    seconds: float


class Subscription:
    """A FastStream subscriber without a handler: all of the wiring, none of the consume loop."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        topics: Sequence[str],
        listener: ConsumerRebalanceListener,
        instance: Instance | None = None,
    ) -> None:
        self._group = group
        self._instance = instance
        self._timeout = connection.timeout
        self._broker = KafkaBroker(
            connection.bootstrap_servers.split(","),
            client_id=connection.client_id,
            security=connection.security,
            # A join is answered when all members have come, so a request waits longer than that.
            request_timeout_ms=_REBALANCE_MS + _SLACK_MS,
            consumer_only=True,
            allow_auto_create_topics=False,
            logger=None,
        )
        self._subscriber = self._broker.subscriber(
            *topics,
            batch=True,
            group_id=group,
            group_instance_id=None if instance is None else instance.name,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=_SESSION_MS if instance is None else int(instance.seconds * 1000),
            heartbeat_interval_ms=_HEARTBEAT_MS,
            rebalance_timeout_ms=_REBALANCE_MS,
            listener=listener,
        )

    @property
    def client(self) -> AIOKafkaConsumer:
        """The consumer FastStream has started; raises LogUnavailable when it is not running."""
        client = self._subscriber.consumer
        if client is None:
            raise LogUnavailable("the consumer is closed")
        return client

    async def start(self) -> None:
        """Connect, subscribe and wait for the first assignment."""
        await self._broker.connect()
        await self._subscriber.start()
        if self._instance is not None:
            NameGuard(self.client, self._group, self._instance.name)

    async def stop(self) -> None:
        """Leave the group and disconnect; gives up after the timeout when no broker answers.

        With a name of its own a member does not leave: it is expected back.
        """
        client = self._subscriber.consumer
        # A task of its own: while no broker answers, aiokafka lets the cancellation of one of its
        # fetches escape from stop(), which must not look like our caller's being cancelled.
        stopping = asyncio.create_task(self._subscriber.stop())
        await asyncio.wait({stopping}, timeout=self._timeout)
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            _log.warning("the consumer was cut off: its client could not close in order")
            stopping.cancel()
            if client is not None:
                await client._client.close()
        await self._broker.stop()
