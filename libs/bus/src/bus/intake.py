"""The one way from records to events for all who consume: decoded, and of a tenant there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contracts.events.base import Event
from contracts.topics import Topic

from bus.codec import Delivered, decode
from bus.dead_letter import Rejected
from bus.errors import Poison
from bus.record import Record
from bus.tenants import TenantDirectory

SHOWN_CHARS = 80
UNKNOWN_TENANT = "unknown-tenant"


class Intake:
    """Reads records of some topics.

    Whoever can write to a public topic can name any tenant. What is of one that does not exist
    is refused here, before any service stores it.
    """

    def __init__(
        self, topics: Iterable[Topic[Event]], tenants: TenantDirectory | None = None
    ) -> None:
        self.topics: Mapping[str, Topic[Event]] = {topic.name: topic for topic in topics}
        self.tenants = tenants
        self._open = frozenset(name for name, topic in self.topics.items() if topic.public)
        if self._open and tenants is None:
            raise ValueError(f"{', '.join(sorted(self._open))}: public topics need a directory")

    async def read(
        self, records: Sequence[Record]
    ) -> tuple[list[Delivered[Event]], list[Rejected]]:
        """What can be handled, in order, and what cannot with the reason.

        Raises:
            LogUnavailable: whether a tenant exists could not be looked up; read them again later.
        """
        decoded: list[Delivered[Event]] = []
        rejected: list[Rejected] = []
        for record in records:
            try:
                decoded.append(decode(self.topics, record))
            except Poison as poison:
                rejected.append(self._unreadable(record, poison))
        strangers = self._strangers(decoded)
        if strangers and self.tenants is not None:
            await self.tenants.catch_up()
            strangers = self._strangers(decoded)
        if strangers:
            rejected += [_refused(item) for item in strangers]
            unknown = {id(item) for item in strangers}
            decoded = [item for item in decoded if id(item) not in unknown]
        return decoded, rejected

    def _unreadable(self, record: Record, poison: Poison) -> Rejected:
        return Rejected(record, poison.reason, str(poison), 1, record.topic in self._open)

    def _strangers(self, decoded: Sequence[Delivered[Event]]) -> list[Delivered[Event]]:
        tenants = self.tenants
        if tenants is None or not self._open:
            return []
        return [
            item
            for item in decoded
            if item.record.topic in self._open and item.tenant_id not in tenants
        ]


def _refused(item: Delivered[Event]) -> Rejected:
    shown = item.tenant_id[:SHOWN_CHARS]
    message = (
        f"tenant {shown!r} does not exist: correct ce_tenantid (without ce_* headers the body's "
        "tenant_id), or make the tenant first with POST /v1/tenants or limelight tenants create"
    )
    return Rejected(item.record, UNKNOWN_TENANT, message, 1, from_outside=True)
