"""Says on the log which tenants there are: the gateway owns them, others ask their directories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from bus.errors import BusError
from bus.outbox import OutboxRow, originate
from bus.tenants import TenantDirectory
from contracts.envelope import Envelope
from contracts.events.tenancy import TenantChanged
from contracts.topics import TENANT_CHANGED
from runtime.ids import new_id
from runtime.logging import logger
from runtime.tasks import Periodic
from runtime.tracing import traceparent_of

from gateway.domain import NAME
from gateway.domain.ports import UserRepository

_log = logger(__name__)
LOOK_SECONDS = 60.0

Publish = Callable[[Sequence[OutboxRow]], Awaitable[None]]


def announcement(tenant_id: str, now: datetime) -> OutboxRow:
    """That there is a tenant, as a row of the outbox."""
    event_id = str(new_id())
    envelope = Envelope(
        id=event_id,
        source=NAME,
        type=TENANT_CHANGED.name,
        time=now,
        subject=tenant_id,
        tenant_id=tenant_id,
        correlation_id=event_id,
        traceparent=traceparent_of(),
    )
    event = TenantChanged(tenant_id=tenant_id, changed_at=now)
    return originate(TENANT_CHANGED, event, envelope)


async def announce_now(publish: Publish, tenant_id: str) -> None:
    """Tell of a stored tenant before its maker hears of it.

    Who publishes for the tenant the moment they know its id must not be refused. The outbox holds
    the same: a log that does not answer keeps nobody from making tenants.
    """
    try:
        await publish([announcement(tenant_id, datetime.now(UTC))])
    except BusError as error:
        _log.warning("tenant not announced at once", tenant=tenant_id, error=str(error))


class Announcing:
    """Compares the stored tenants with the topic, and tells of those that it lacks.

    Of tenants from before there was the topic, and of all when the log is a new one. To be told
    of a tenant twice changes nothing, so replicas may do so side by side.
    """

    def __init__(self, users: UserRepository, known: TenantDirectory, publish: Publish) -> None:
        self._users = users
        self._known = known
        self._publish = publish

    def periodic(self) -> Periodic:
        """A component that looks at once and then every minute."""
        return Periodic("tenant announcements", LOOK_SECONDS, self.turn, (BusError,))

    async def turn(self) -> None:
        """Tell of every tenant that the log does not know. Raises LogUnavailable, Unavailable."""
        await self._known.catch_up()
        now = datetime.now(UTC)
        missing = [one for one in await self._users.tenant_ids() if one not in self._known]
        await self._publish([announcement(tenant_id, now) for tenant_id in missing])
        if missing:
            _log.info("tenants announced", tenants=len(missing))
