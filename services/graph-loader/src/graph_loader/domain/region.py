"""The part of the graph that a change may touch, and what a change did to it.

A change is decided on a region in memory by the functions of ``domain.changing``: they are the
same for every database, which only loads regions and stores differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

from graph_loader.domain.models import (
    Campaign,
    Conversation,
    EdgeKey,
    Engaged,
    Key,
    Pair,
    Similar,
    Times,
    User,
    Wish,
)

WINDOW = 20
"""So many of a user's latest campaigns count as engaged with together."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Reach:
    """What a change has to see: whole ``users``, of those ``named`` only when they last said."""

    users: frozenset[Key] = frozenset()
    named: frozenset[Key] = frozenset()
    neighbours_of: frozenset[Key] = frozenset()
    engaged_of: frozenset[Key] = frozenset()
    conversations: frozenset[EdgeKey] = frozenset()
    conversations_of: frozenset[Key] = frozenset()
    campaigns: frozenset[Key] = frozenset()

    @property
    def tenants(self) -> list[str]:
        """Whose graph it is, sorted: locks are taken in one order."""
        keys = self.users | self.campaigns
        return sorted({tenant for tenant, _ in keys})


@dataclass(slots=True)
class Region:
    """Nodes and edges by their keys. ``said`` holds everybody who has a node.

    ``marks`` and ``stirred`` are what a change asks for: users to compute again, and intents whose
    users are. ``beside`` follows from ``similar``.
    """

    users: dict[Key, User] = field(default_factory=dict)
    said: dict[Key, int] = field(default_factory=dict)
    tombstones: dict[Key, int] = field(default_factory=dict)
    similar: dict[Pair, Similar] = field(default_factory=dict)
    engaged: dict[EdgeKey, Engaged] = field(default_factory=dict)
    conversations: dict[EdgeKey, Conversation] = field(default_factory=dict)
    campaigns: dict[Key, Campaign] = field(default_factory=dict)
    marks: dict[Key, int] = field(default_factory=dict)
    stirred: dict[Key, int] = field(default_factory=dict)
    beside: dict[Key, set[Key]] = field(default_factory=dict)

    def link(self, ends: Pair, similar: Similar) -> None:
        """Put an edge between two users."""
        self.similar[ends] = similar
        one, other = ends
        self.beside.setdefault(one, set()).add(other)
        self.beside.setdefault(other, set()).add(one)

    def part(self, ends: Pair) -> None:
        """Take the edge between two users away."""
        del self.similar[ends]
        one, other = ends
        self.beside[one].discard(other)
        self.beside[other].discard(one)

    def copy(self) -> Region:
        """The same, to compare with later."""
        return Region(
            dict(self.users),
            dict(self.said),
            dict(self.tombstones),
            dict(self.similar),
            dict(self.engaged),
            dict(self.conversations),
            dict(self.campaigns),
        )


@dataclass(slots=True)
class Changes:
    """What a database has to store. ``gone`` users go with every edge and conversation.

    ``shared`` and ``fans`` are differences: of the users who engaged with two campaigns (the
    smaller id first), and with one.
    """

    users: dict[Key, User]
    wants: dict[Key, tuple[Wish, ...]]
    named: list[Key]
    gone: list[Key]
    tombstones: dict[Key, int]
    similar: dict[Pair, Similar]
    parted: list[Pair]
    engaged: dict[EdgeKey, Engaged]
    left: list[EdgeKey]
    conversations: dict[EdgeKey, Conversation]
    closed: list[EdgeKey]
    campaigns: dict[Key, Campaign]
    targets: dict[Key, tuple[str, ...]]
    shared: dict[tuple[str, str, str], int]
    fans: dict[Key, int]
    marks: dict[Key, int]
    stirred: dict[Key, int]


def changes(before: Region, after: Region) -> Changes:
    """What turns one region into the other."""
    shared, fans = _counted(before, after)
    users = _put(before.users, after.users)
    campaigns = _put(before.campaigns, after.campaigns)
    gone = set(_dropped(before.said, after.said))
    return Changes(
        users=users,
        wants={
            key: user.wants
            for key, user in users.items()
            if user.wants != before.users.get(key, User()).wants
        },
        named=[key for key in after.said if key not in before.said and key not in users],
        gone=sorted(gone),
        tombstones=_put(before.tombstones, after.tombstones),
        similar=_put(before.similar, after.similar),
        parted=[pair for pair in _dropped(before.similar, after.similar) if not gone & set(pair)],
        engaged=_put(before.engaged, after.engaged),
        left=[edge for edge in _dropped(before.engaged, after.engaged) if edge[0] not in gone],
        conversations=_put(before.conversations, after.conversations),
        closed=[
            edge
            for edge in _dropped(before.conversations, after.conversations)
            if edge[0] not in gone
        ],
        campaigns=campaigns,
        targets={
            key: campaign.intents
            for key, campaign in campaigns.items()
            if campaign.intents != before.campaigns.get(key, Campaign()).intents
        },
        shared=shared,
        fans=fans,
        marks={key: at for key, at in after.marks.items() if key in after.said},
        stirred=after.stirred,
    )


def window(engaged: Mapping[str, Times]) -> tuple[str, ...]:
    """The campaigns that a user engaged with and did not dismiss since, the latest ones."""
    liked = [
        (-max(times.clicked, times.converted), campaign_id)
        for campaign_id, times in engaged.items()
        if max(times.clicked, times.converted) > times.dismissed
    ]
    return tuple(campaign_id for _, campaign_id in sorted(liked)[:WINDOW])


def pair(one: Key, other: Key) -> Pair:
    """Two users as the key of the edge between them."""
    return (one, other) if one < other else (other, one)


def _put(before: Mapping[K, V], after: Mapping[K, V]) -> dict[K, V]:
    return {key: value for key, value in after.items() if before.get(key) != value}


def _dropped(before: Mapping[K, V], after: Mapping[K, V]) -> list[K]:
    return [key for key in before if key not in after]


def _counted(
    before: Region, after: Region
) -> tuple[dict[tuple[str, str, str], int], dict[Key, int]]:
    shared: Counter[tuple[str, str, str]] = Counter()
    fans: Counter[Key] = Counter()
    for region, sign in ((before, -1), (after, 1)):
        for tenant, liked in _windows(region):
            for campaign_id in liked:
                fans[tenant, campaign_id] += sign
            for one, other in combinations(sorted(liked), 2):
                shared[tenant, one, other] += sign
    return _moved(shared), _moved(fans)


def _windows(region: Region) -> list[tuple[str, tuple[str, ...]]]:
    engaged: dict[Key, dict[str, Times]] = {}
    for (user, campaign_id), edge in region.engaged.items():
        engaged.setdefault(user, {})[campaign_id] = edge.at
    return [(user[0], window(edges)) for user, edges in engaged.items()]


def _moved(counts: Counter[K]) -> dict[K, int]:
    return {key: count for key, count in counts.items() if count}
