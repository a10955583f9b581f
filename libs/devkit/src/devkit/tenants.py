"""Tenants for tests of services that run without the gateway, which owns and announces them."""

from __future__ import annotations

from datetime import UTC, datetime

from bus.outbox import originate
from bus.port import Log
from contracts.envelope import Envelope
from contracts.events.tenancy import TenantChanged
from contracts.topics import TENANT_CHANGED
from runtime.ids import new_id


async def announce(log: Log, *tenant_ids: str, deleted: bool = False) -> None:
    """Say on the log that there are these tenants, or that they are gone, as the gateway does."""
    now, producer = datetime.now(UTC), await log.producer()
    for tenant_id in tenant_ids:
        event = TenantChanged(tenant_id=tenant_id, deleted=deleted, changed_at=now)
        event_id = str(new_id())
        envelope = Envelope(
            event_id, "gateway", TENANT_CHANGED.name, now, tenant_id, tenant_id, event_id
        )
        await producer.send([originate(TENANT_CHANGED, event, envelope).record(None)])
    await producer.close()
