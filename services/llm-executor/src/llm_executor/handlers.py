"""One function per topic: requests are queued, cancellations remembered.

Consuming only fills the queue; the dispatcher takes requests from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from bus.apply import Batch
from bus.codec import Delivered
from bus.failpoint import hit
from contracts import telemetry
from contracts.events.base import Event
from contracts.events.completion import CompletionBatchCancelled, CompletionRequested
from runtime.metrics import counter, histogram

from llm_executor.domain import SERVICE
from llm_executor.domain.ports import CallStore
from llm_executor.translation import queued

AT_ONCE = 1000
"""Records that one intake takes at most."""


@dataclass
class Intake:
    """Takes records into the store; tells ``arrived`` how many of ``AT_ONCE`` came."""

    store: CallStore
    arrived: Callable[[int], None]

    async def __call__(self, batch: Batch[Event]) -> None:
        """Queue and cancel, all or none; a repetition changes nothing.

        Raises Unavailable when the store is down.
        """
        hit("intake-before-store")
        await on_completion_requested(batch, self.store)
        await on_completion_batch_cancelled(batch, self.store)
        hit("intake-after-store")
        self.arrived(len(batch))
        for item in batch:
            _count(item)


async def on_completion_requested(batch: Batch[Event], store: CallStore) -> None:
    """Queue the requests; one that is finished already is published again."""
    requests = [queued(item) for item in batch if isinstance(item.event, CompletionRequested)]
    if requests:
        await store.accept(requests)


async def on_completion_batch_cancelled(batch: Batch[Event], store: CallStore) -> None:
    """Remember what was cancelled, by tenant: an id alone cancels nothing of another."""
    parents: dict[str, set[UUID]] = defaultdict(set)
    for item in batch:
        if isinstance(item.event, CompletionBatchCancelled):
            parents[item.tenant_id].add(item.event.parent_id)
    for tenant_id, cancelled in parents.items():
        await store.cancel(tenant_id, cancelled)


def _count(item: Delivered[Event]) -> None:
    topic = item.record.topic
    counter(telemetry.RECORDS).labels(SERVICE, topic, "applied").inc()
    age = (datetime.now(UTC) - item.envelope.time).total_seconds()
    histogram(telemetry.EVENT_AGE).labels(SERVICE, topic).observe(max(0.0, age))
