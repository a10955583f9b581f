"""Which member of a group reads which partition: even, and with as few moves as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

from bus.record import TopicPartition

M = TypeVar("M")


def assign(
    partitions: Iterable[TopicPartition],
    owners: Mapping[TopicPartition, M],
    subscriptions: Mapping[M, AbstractSet[str]],
) -> dict[TopicPartition, M]:
    """An owner for every partition that some member subscribes to.

    ``owners`` is the assignment so far: it is kept wherever the numbers of partitions per member
    end up no more than one apart (among members that subscribe to the same topics).
    """
    wanted = sorted(partitions)
    target = {
        partition: owners[partition]
        for partition in wanted
        if partition in owners and partition.topic in subscriptions.get(owners[partition], ())
    }
    for partition in wanted:
        able = [m for m, topics in subscriptions.items() if partition.topic in topics]
        if able and partition not in target:
            target[partition] = _least_loaded(able, target)
    while (move := _next_move(target, subscriptions)) is not None:
        partition, receiver = move
        target[partition] = receiver
    return target


def _least_loaded(members: Iterable[M], target: Mapping[TopicPartition, M]) -> M:
    loads = Counter(target.values())
    return min(members, key=lambda member: loads[member])


def _next_move(
    target: Mapping[TopicPartition, M], subscriptions: Mapping[M, AbstractSet[str]]
) -> tuple[TopicPartition, M] | None:
    """A partition to move and its receiver; every move makes the loads more even, so it ends."""
    loads = Counter(target.values())
    shares = Counter((partition.topic, owner) for partition, owner in target.items())
    for receiver in sorted(subscriptions, key=lambda member: loads[member]):

        def surplus(partition: TopicPartition, receiver: M = receiver) -> tuple[int, int]:
            owner, topic = target[partition], partition.topic
            return loads[owner], shares[topic, owner] - shares[topic, receiver]

        movable = [
            partition
            for partition, owner in target.items()
            if partition.topic in subscriptions[receiver] and loads[owner] > loads[receiver] + 1
        ]
        if movable:  # from the busiest owner, and of the topic it has the most of
            return max(movable, key=surplus), receiver
    return None
