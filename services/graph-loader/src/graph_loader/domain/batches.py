"""A batch of what arrived as one change: what of the graph it sees, and what it does to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graph_loader.domain import changing
from graph_loader.domain.models import (
    Campaign,
    Conversation,
    EdgeKey,
    Engagement,
    Key,
    Statement,
)
from graph_loader.domain.region import Reach, Region

Change = tuple[Reach, Callable[[Region], None]]


def statements(batch: Sequence[Statement], now: int) -> Change:
    """What users say now."""
    users = frozenset(one.user for one in batch)
    named = frozenset((one.user[0], user_id) for one in batch for user_id, _ in one.neighbours)

    def decide(region: Region) -> None:
        for one in batch:
            changing.hear(region, one, now)

    return Reach(users=users, named=named, neighbours_of=users), decide


def engagements(batch: Sequence[Engagement], now: int) -> Change:
    """What users did. Neighbours hear of it, but not of what was only seen."""
    users = frozenset(one.user for one in batch)
    reach = Reach(
        users=users,
        neighbours_of=frozenset(one.user for one in batch if one.kind != changing.SEEN),
        engaged_of=users,
        campaigns=frozenset((one.user[0], one.campaign_id) for one in batch),
    )

    def decide(region: Region) -> None:
        for one in batch:
            changing.engage(region, one, now)

    return reach, decide


def forgettings(batch: Sequence[tuple[Key, int]], now: int) -> Change:
    """Users who asked to be forgotten, and when."""
    users = frozenset(key for key, _ in batch)

    def decide(region: Region) -> None:
        for key, forgotten_at in batch:
            changing.forget(region, key, forgotten_at, now)

    reach = Reach(users=users, neighbours_of=users, engaged_of=users, conversations_of=users)
    return reach, decide


def campaigns(batch: Sequence[tuple[Key, Campaign]], now: int) -> Change:
    """Campaigns as they are from some time on."""

    def decide(region: Region) -> None:
        for key, campaign in batch:
            changing.offer(region, key, campaign, now)

    return Reach(campaigns=frozenset(key for key, _ in batch)), decide


def conversations(batch: Sequence[tuple[EdgeKey, Conversation]]) -> Change:
    """Where conversations came from."""

    def decide(region: Region) -> None:
        for edge, conversation in batch:
            changing.record(region, edge, conversation)

    users = frozenset(user for (user, _), _ in batch)
    return Reach(users=users, conversations=frozenset(edge for edge, _ in batch)), decide
