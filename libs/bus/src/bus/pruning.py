"""Forgets inbox and published outbox rows once nothing can deliver their events again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from contracts.events.base import Event
from contracts.topics import Topic
from runtime.clock import Clock
from runtime.logging import logger
from runtime.tasks import Periodic

from bus.errors import Transient
from bus.store import TransactionalStore

_log = logger(__name__)
# A record may be replayed from a DLQ after it left its topic; and clocks differ.
MARGIN = timedelta(days=7)
EVERY_SECONDS = 3600.0


def inbox_retention(topics: Sequence[Topic[Event]]) -> timedelta:
    """How long an inbox must remember: the longest retention among its topics, and a margin.

    A compacted topic may deliver a record for ever, but its handlers overwrite state by key, so
    its share is the margin only.
    """
    return max((topic.retention or timedelta(0) for topic in topics), default=timedelta(0)) + MARGIN


def pruner(
    service: str, store: TransactionalStore[Any], retention: timedelta, clock: Clock
) -> Periodic:
    """Prunes a store every hour."""

    async def prune() -> None:
        before = clock.now() - retention
        gone = await store.prune(before, before)
        _log.info("pruned", service=service, rows=gone)

    return Periodic(f"{service} pruner", EVERY_SECONDS, prune, (Transient,))
