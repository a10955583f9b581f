"""The executor's ports in memory."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from llm_executor.domain.budget import NOTHING, Allotment, Of, Purse
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import (
    Ask,
    Call,
    Catalog,
    Claim,
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
from llm_executor.domain.ports import OnText, Provider


@dataclass
class Entry:
    """A completion and where it stands."""

    request: Queued
    arrival: int
    accepted: float
    cancelled: bool = False
    unknown: bool = False
    owner: object = None
    lease_until: float = 0.0
    reserved: Decimal = NOTHING
    budget: Of | None = None
    finished: Finished | None = None
    finished_at: float = 0.0
    published: bool = False

    @property
    def waiting(self) -> bool:
        """Whether nobody is at it yet."""
        return self.finished is None and self.owner is None


@dataclass
class MemoryCalls:
    """Entries shared by the stores of several holders."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    cancelled: set[tuple[str, UUID]] = field(default_factory=set)
    purses: dict[Of, Purse] = field(default_factory=dict)
    tight: set[Of] = field(default_factory=set)
    catalogs: dict[str, str] = field(default_factory=dict)


class MemoryCallStore:
    """One holder's view of shared entries."""

    def __init__(self, calls: MemoryCalls | None = None) -> None:
        self._all = calls or MemoryCalls()
        self._me = object()

    async def accept(self, requests: Sequence[Queued]) -> None:
        """Keep what is new, unmark what is finished."""
        for request in requests:
            entry = self._all.entries.get(request.key)
            if entry is None:
                cancelled = (request.key.tenant_id, request.parent_id) in self._all.cancelled
                arrival = len(self._all.entries)
                self._all.entries[request.key] = Entry(
                    request, arrival, time.monotonic(), cancelled
                )
            elif entry.finished is not None:
                entry.published = False

    async def cancel(self, tenant_id: str, parents: Collection[UUID]) -> None:
        """Remember, and mark what is not finished."""
        self._all.cancelled |= {(tenant_id, parent) for parent in parents}
        for key, entry in self._all.entries.items():
            if key.tenant_id == tenant_id and entry.request.parent_id in parents:
                entry.cancelled = entry.cancelled or entry.finished is None

    async def lanes(self) -> Sequence[str]:
        """In order of their names."""
        return sorted({entry.request.lane for entry in self._waiting()})

    async def claim(self, room: Room, lease_seconds: float) -> Sequence[Claimed]:
        """Sort what waits by its turn."""
        placed = enumerate(sorted(self._turns(room), key=lambda turn: turn[:2]), start=1)
        chosen = [
            entry
            for place, (_, _, entry) in placed
            if place <= (room.total if entry.request.interactive else room.batch)
        ]
        return self._take(chosen, lease_seconds)

    async def claim_ended(self, limit: int, lease_seconds: float) -> Sequence[Claimed]:
        """Cancelled, or late."""
        now = datetime.now(UTC)
        ended = [
            entry for entry in self._waiting() if entry.cancelled or entry.request.deadline < now
        ]
        return self._take(ended[:limit], lease_seconds)

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """Extend what is ours and open."""
        for entry in self._mine(keys):
            entry.lease_until = time.monotonic() + lease_seconds

    async def release(self, keys: Collection[Key], *, unknown: bool) -> None:
        """Waiting again."""
        for entry in self._mine(keys):
            entry.owner, entry.unknown = None, entry.unknown or unknown

    async def take_back(self) -> int:
        """What is past its lease."""
        now = time.monotonic()
        lapsed = [
            entry
            for entry in self._all.entries.values()
            if entry.finished is None and entry.owner is not None and entry.lease_until < now
        ]
        for entry in lapsed:
            entry.owner, entry.unknown = None, True
        return len(lapsed)

    async def cancelled(self, keys: Collection[Key]) -> Collection[Key]:
        """Of ours."""
        return [entry.request.key for entry in self._mine(keys) if entry.cancelled]

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[tuple[Grant, Decimal]]:
        """Nobody comes between: nothing is awaited."""
        before: dict[Key, Decimal] = {}
        for ask in asks:
            of = (ask.key.tenant_id, ask.budget.budget_id)
            self._all.purses.setdefault(of, Purse())
            entry = self._all.entries.get(ask.key)
            if entry is not None and entry.finished is None:
                entry.budget, before[ask.key] = of, entry.reserved
        allotment = Allotment(self._all.purses)
        answers = allotment.answer(asks, before)
        for key, usd in allotment.reserved.items():
            self._all.entries[key].reserved = usd
        self._all.tight |= allotment.tight
        return answers

    async def earlier_answer(self, tenant_id: str, cache_key: str, seconds: float) -> bytes | None:
        """The latest."""
        since = time.monotonic() - seconds
        found = [
            (entry.finished_at, entry.finished.payload)
            for key, entry in self._all.entries.items()
            if entry.finished is not None
            and (key.tenant_id, entry.request.cache_key) == (tenant_id, cache_key)
            and entry.finished.outcome == "answered"
            and entry.finished_at > since
        ]
        return max(found)[1] if found else None

    async def record(self, finished: Sequence[Finished]) -> Collection[Key]:
        """The first end stays."""
        stored = []
        for item in finished:
            entry = self._all.entries.get(item.key)
            if entry is not None and entry.finished is None:
                json.loads(item.payload)  # as a database of documents would
                entry.finished, entry.owner = item, None
                entry.finished_at = time.monotonic()
                self._settle(entry, item)
                stored.append(item.key)
        return stored

    async def depth(self) -> Depth:
        """Counted."""
        ages = [time.monotonic() - entry.accepted for entry in self._waiting()]
        return Depth(len(ages), max(ages, default=0.0))

    async def known_catalog(self, provider: str) -> str | None:
        """By provider."""
        return self._all.catalogs.get(provider)

    async def published_catalog(self, catalog: Catalog) -> None:
        """In the place of the one before."""
        self._all.catalogs[catalog.provider] = catalog.version

    def _settle(self, entry: Entry, item: Finished) -> None:
        if entry.budget is not None:
            purse = self._all.purses[entry.budget]
            self._all.purses[entry.budget] = Purse(
                purse.spent + (item.cost_usd or NOTHING), purse.reserved - entry.reserved
            )
            self._all.tight.discard(entry.budget)

    def _waiting(self) -> list[Entry]:
        return [entry for entry in self._all.entries.values() if entry.waiting]

    def _turns(self, room: Room) -> list[tuple[bool, float, Entry]]:
        """What waits in a lane: batch or not, its tenant's share if it were taken, itself."""
        held = Counter(
            key.tenant_id
            for key, entry in self._all.entries.items()
            if entry.request.lane == room.lane and entry.owner is not None
        )
        turns: list[tuple[bool, float, Entry]] = []
        weights: dict[str, int] = {}
        waiting = [entry for entry in self._waiting() if self._may_go(entry, room)]
        for entry in sorted(waiting, key=lambda e: (not e.request.interactive, e.arrival)):
            tenant = entry.request.key.tenant_id
            held[tenant] += 1
            share = held[tenant] / weights.setdefault(tenant, entry.request.weight)
            turns.append((not entry.request.interactive, share, entry))
        return turns

    def _may_go(self, entry: Entry, room: Room) -> bool:
        request = entry.request
        goes_elsewhere = room.configured_fallback if request.fallback is None else request.fallback
        return (
            request.lane == room.lane
            and (entry.budget not in self._all.tight or entry.reserved > 0)
            and (goes_elsewhere or not room.only_with_fallback)
        )

    def _take(self, entries: Sequence[Entry], lease_seconds: float) -> list[Claimed]:
        for entry in entries:
            entry.owner, entry.lease_until = self._me, time.monotonic() + lease_seconds
        ordered = sorted(entries, key=lambda e: (not e.request.interactive, e.arrival))
        return [_claimed(entry) for entry in ordered]

    def _mine(self, keys: Collection[Key]) -> list[Entry]:
        found = [self._all.entries[key] for key in keys if key in self._all.entries]
        return [entry for entry in found if entry.owner is self._me and entry.finished is None]


def _claimed(entry: Entry) -> Claimed:
    request = entry.request
    return Claimed(
        key=request.key,
        lane=request.lane,
        claim=Claim.UNKNOWN if entry.unknown else Claim.FRESH,
        cancelled=entry.cancelled,
        headers=request.headers,
        body=request.body,
    )


class ScriptedProvider:
    """Answers with a list of replies and failures, in turn; keeps what it was asked.

    A streamed reply arrives word by word.
    """

    simulated = False

    def __init__(self, *script: Reply | CallFailed) -> None:
        self._script = list(script)
        self.calls: list[Call] = []

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        """The next of the script."""
        self.calls.append(call)
        step = self._script.pop(0)
        if isinstance(step, CallFailed):
            raise step
        if on_text is not None:
            for word in step.text.split(" "):
                on_text(word)
        return step

    async def catalog(self, timeout: float) -> Catalog:
        """Nothing is listed."""
        raise CallFailed("bad-request", "there is no list")

    async def close(self) -> None:
        """Nothing is open."""


class FixedProviders:
    """Providers from a dictionary; every model has a lane of its own."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        facts: Mapping[str, ModelFacts] | None = None,
        limits: LaneLimits | None = None,
    ) -> None:
        self._providers = providers
        self._facts = facts or {}
        self._limits = limits or LaneLimits()

    def named(self, name: str) -> Provider:
        """By name, or an unknown-provider failure."""
        if name not in self._providers:
            raise CallFailed("unknown-provider", f"no provider {name!r}")
        return self._providers[name]

    def facts(self, model: str) -> ModelFacts:
        """As given."""
        return self._facts.get(model, ModelFacts())

    def limits(self, model: str) -> LaneLimits:
        """The same for all."""
        return self._limits

    def lane(self, model: str) -> str:
        """Itself."""
        return model

    def listing(self) -> Sequence[str]:
        """All of them."""
        return list(self._providers)

    def unlisted(self) -> Sequence[str]:
        """None."""
        return []

    def learn(self, catalog: Catalog) -> None:
        """Prices come with ``facts`` only."""
