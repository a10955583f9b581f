"""A consumer group: who is in it, who owns which partition, and how that changes hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from bus.errors import BusError, LogUnavailable
from bus.local.assignment import assign
from bus.record import TopicPartition

Offsets = Mapping[TopicPartition, int]


class Member(Protocol):
    """What a group asks of a consumer."""

    @property
    def topics(self) -> AbstractSet[str]:
        """The topics subscribed to."""

    async def revoke(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Stop reading ``partitions``, tell the listener, then give them up; never fails."""

    async def give(self, offsets: Offsets) -> None:
        """Own these partitions, tell the listener, then read from the offsets; never fails."""

    def appended(self, ends: Mapping[int, int]) -> None:
        """Partitions, by id, have new ends."""

    async def close(self) -> None:
        """Leave, if it has not been made to, and refuse to be used."""


class OffsetStore(Protocol):
    """Where committed offsets are kept."""

    def load(self, group: str) -> Awaitable[Offsets]:
        """All committed offsets of ``group``, of commits before this call too."""

    def save(self, group: str, offsets: Offsets) -> Awaitable[None]:
        """Durably set committed offsets."""


class Group:
    """Members of one name. A change of members is one at a time and never left half done."""

    def __init__(
        self,
        name: str,
        store: OffsetStore,
        partitions_of: Callable[[str], Sequence[TopicPartition]],
    ) -> None:
        self.name = name
        self._store = store
        self._partitions_of = partitions_of
        self._members: list[Member] = []
        self._owners: dict[TopicPartition, Member] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._closed = False
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._commits: set[asyncio.Task[None]] = set()

    async def join(self, member: Member) -> None:
        """Add ``member`` and share out anew; raises LogUnavailable if offsets cannot be read."""
        joined = self._start(self._join(member))
        try:
            await asyncio.shield(joined)
        except asyncio.CancelledError:
            # Nobody will poll this member: its partitions would be stuck with it.
            self._start(self._leave(member))
            raise

    async def leave(self, member: Member) -> None:
        """Remove ``member``, telling it first, and share out anew among those who stay."""
        await asyncio.shield(self._start(self._leave(member)))

    async def close(self) -> None:
        """Remove all members at once, so that none is given a partition on the way out."""
        async with self._changing:
            self._closed = True
            members, self._members = self._members, []
            await self._rebalance()
        await asyncio.gather(*(member.close() for member in members))

    def appended(self, ends: Mapping[int, int]) -> None:
        """Pass new ends of partitions, by id, on to the members."""
        for member in self._members:
            member.appended(ends)

    async def commit(self, offsets: Offsets) -> None:
        """Durably set offsets; whoever calls has checked that it owns the partitions."""
        # Shielded: once written, the next owner must start there even if nobody waits here.
        commit = self._start(self._commit(dict(offsets)))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        await asyncio.shield(commit)

    async def reset(self, offsets: Offsets) -> None:
        """Set offsets of a group without members; raises BusError if it has some."""
        async with self._changing:
            if self._members:
                raise BusError(
                    f"group {self.name!r} has {len(self._members)} members: stop them to reset it"
                )
            await self._store.save(self.name, offsets)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
        return task

    async def _commit(self, offsets: Offsets) -> None:
        await self._store.save(self.name, offsets)
        self._committed.update(offsets)

    async def _join(self, member: Member) -> None:
        async with self._changing:
            if self._closed:
                raise LogUnavailable("the log is closed")
            if not self._members:
                self._committed = dict(await self._store.load(self.name))
            self._members.append(member)
            await self._rebalance()

    async def _leave(self, member: Member) -> None:
        async with self._changing:
            if member in self._members:
                self._members.remove(member)
                await self._rebalance()

    async def _rebalance(self) -> None:
        subscriptions = {member: member.topics for member in self._members}
        topics = {topic for subscribed in subscriptions.values() for topic in subscribed}
        partitions = [p for topic in topics for p in self._partitions_of(topic)]
        target = assign(partitions, self._owners, subscriptions)
        lost = _by_member(p for p in self._owners.items() if target.get(p[0]) is not p[1])
        won = _by_member(p for p in target.items() if self._owners.get(p[0]) is not p[1])
        # Every loser has finished, commits included, before any winner begins.
        await asyncio.gather(*(member.revoke(gone) for member, gone in lost.items()))
        if self._commits:  # a failed one is told to who made it
            await asyncio.wait(self._commits)
        self._owners = target
        await asyncio.gather(
            *(
                member.give({p: self._committed.get(p, 0) for p in arrived})
                for member, arrived in won.items()
            )
        )


def _by_member(
    pairs: Iterable[tuple[TopicPartition, Member]],
) -> dict[Member, set[TopicPartition]]:
    grouped: dict[Member, set[TopicPartition]] = {}
    for partition, member in pairs:
        grouped.setdefault(member, set()).add(partition)
    return grouped
