"""What the domain needs: providers to call, and a store that remembers every call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from llm_executor.domain.models import (
    Ask,
    Call,
    Catalog,
    Claimed,
    Depth,
    Finished,
    Grant,
    Key,
    LaneLimits,
    ModelFacts,
    Queued,
    Reply,
    Room,
)

OnText = Callable[[str], None]
"""Takes pieces of an answer as they arrive; must not block and must not raise."""


Complaint = Callable[[str], str | None]
"""Says what is wrong with the text of an answer, None if nothing is."""


class Provider(Protocol):
    """A model provider behind its SDK. ``simulated``: a simulator stands in its place."""

    simulated: bool

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        """One attempt, no retry, within ``timeout`` seconds; streamed if ``on_text`` is given.

        Raises CallFailed, and nothing else, for every way in which a provider can fail.
        """

    async def catalog(self, timeout: float) -> Catalog:
        """The provider's list of models. Raises CallFailed."""

    async def close(self) -> None:
        """Close connections."""


class Providers(Protocol):
    """The configured providers and what is known of their models."""

    def named(self, name: str) -> Provider:
        """The provider of that name. Raises CallFailed (unknown-provider, auth)."""

    def facts(self, model: str) -> ModelFacts:
        """What is known of ``provider/model``: configuration first, then the catalogs."""

    def limits(self, model: str) -> LaneLimits:
        """What the configuration allows ``provider/model``."""

    def lane(self, model: str) -> str:
        """The lane of ``provider/model``: itself if it is known, else one for all unknown."""

    def listing(self) -> Sequence[str]:
        """Providers whose catalog should be read: usable ones, and those others are priced by."""

    def unlisted(self) -> Sequence[str]:
        """Providers that are configured and whose catalog is not read."""

    def learn(self, catalog: Catalog) -> None:
        """Use this catalog's facts from now on."""


class CallStore(Protocol):
    """The durable queue of requests and their results. A result is stored once, never changed.

    Every method raises Unavailable when the store is down. Times are the store's own.
    """

    async def accept(self, requests: Sequence[Queued]) -> None:
        """Queue what is new. A finished one is marked to be published again; else nothing."""

    async def cancel(self, tenant_id: str, parents: Collection[UUID]) -> None:
        """Remember that these parents are cancelled, for requests of theirs now and later."""

    async def lanes(self) -> Sequence[str]:
        """The lanes in which something waits."""

    async def claim(self, room: Room, lease_seconds: float) -> Sequence[Claimed]:
        """Take up to ``room.total`` waiting requests of a lane for this process.

        Interactive ones first; among equals the tenant with the fewest claimed in the lane for
        its weight; within a tenant in the order of arrival. Those of a tight budget stay.
        """

    async def claim_ended(self, limit: int, lease_seconds: float) -> Sequence[Claimed]:
        """Take waiting requests, of any lane, that are cancelled or past their deadline."""

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """Extend the leases that this process has on ``keys``."""

    async def release(self, keys: Collection[Key], *, unknown: bool) -> None:
        """Put this process's claims back in the queue.

        ``unknown``: a call may have been made whose result is not recorded.
        """

    async def take_back(self) -> int:
        """Queue again, as unknown, what others held past their lease; how many."""

    async def cancelled(self, keys: Collection[Key]) -> Collection[Key]:
        """Those of this process's claims whose parent was cancelled."""

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[tuple[Grant, Decimal]]:
        """Set money aside for claimed calls, in turn; also what their budgets have left, in USD.

        A budget that lets one wait is tight until a call that it pays for has ended. What was
        set aside for a completion before is part of the new amount.
        """

    async def earlier_answer(self, tenant_id: str, cache_key: str, seconds: float) -> bytes | None:
        """The finished event of the tenant's latest answer under this key, if young enough."""

    async def record(self, finished: Sequence[Finished]) -> Collection[Key]:
        """Store ends with their mark "not published yet", and settle budgets, in one write.

        The keys that were stored; one that is missing was finished by another holder before.
        """

    async def depth(self) -> Depth:
        """How much waits."""

    async def known_catalog(self, provider: str) -> str | None:
        """The version of the provider's catalog that was published last."""

    async def published_catalog(self, catalog: Catalog) -> None:
        """Remember that this version was published."""
