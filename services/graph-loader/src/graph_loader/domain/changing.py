"""How the graph changes with what arrives: the newest wins, whatever comes first or twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isclose
from types import MappingProxyType

from graph_loader.domain.models import (
    Campaign,
    Conversation,
    EdgeKey,
    Engaged,
    Engagement,
    Key,
    Similar,
    Statement,
    Times,
    User,
)
from graph_loader.domain.region import Region, pair

MARKED = 20
"""So many of the strongest neighbours are computed again when somebody speaks or engages."""
SEEN = "seen"
SAME = 1e-6
"""A similarity that differs by less is the same one, computed again."""


def hear(region: Region, statement: Statement, now: int) -> None:
    """Take in what a user says now: its neighbours are the user's, unless they said since.

    Of two users' statements about each other the newer one holds, and it decides also that there
    is no edge. A neighbour without a node gets one, but nobody who was forgotten.
    """
    key = statement.user
    user = region.users.get(key, User())
    if _is_forgotten(region, key, statement.heard_at) or statement.version <= user.version:
        return
    region.users[key] = User(
        statement.version,
        statement.said_at,
        statement.heard_at,
        max(user.heard_at, statement.heard_at),
        statement.wants,
        statement.near,
    )
    region.said[key] = statement.said_at
    before = _beside(region, key)
    _connect(region, statement)
    _mark_around(region, key, now, unless=before)


def engage(region: Region, engagement: Engagement, now: int) -> None:
    """Take in what a user did with a campaign, which need not be known."""
    key = engagement.user
    if _is_forgotten(region, key, engagement.taken_at):
        return
    _heard(region, key, engagement.taken_at)
    region.campaigns.setdefault((key[0], engagement.campaign_id), Campaign())
    edge = (key, engagement.campaign_id)
    before = region.engaged.get(edge, Engaged())
    after = _later(before, engagement)
    region.engaged[edge] = after
    if after != before and engagement.kind != SEEN:
        _mark_around(region, key, now)


def record(region: Region, edge: EdgeKey, conversation: Conversation) -> None:
    """Remember where a conversation came from; of its parts the last one taken in counts."""
    key = edge[0]
    if _is_forgotten(region, key, conversation.taken_at):
        return
    _heard(region, key, conversation.taken_at)
    known = region.conversations.get(edge)
    if known is None or _order(known) < _order(conversation):
        region.conversations[edge] = conversation


def offer(region: Region, key: Key, campaign: Campaign, now: int) -> None:
    """A campaign as it is from its ``changed_at`` on; a deleted one stays, as deleted."""
    known = region.campaigns.get(key, Campaign())
    if _state(campaign) <= _state(known):
        return
    region.campaigns[key] = campaign
    for intent in {*known.intents, *campaign.intents}:
        region.stirred[key[0], intent] = now


def forget(region: Region, key: Key, forgotten_at: int, now: int) -> None:
    """Remove what was taken in of a user up to ``forgotten_at``, and let nothing older in."""
    region.tombstones[key] = max(region.tombstones.get(key, forgotten_at), forgotten_at)
    if key not in region.said:
        return
    _mark_around(region, key, now)
    user = region.users.get(key, User())
    gone = user.heard_at <= forgotten_at
    _forget_edges(region, key, forgotten_at, gone=gone)
    if gone:
        del region.said[key]
        region.users.pop(key, None)
    elif user.spoke_at <= forgotten_at:
        region.users[key] = User(heard_at=user.heard_at)
        region.said[key] = 0


def _forget_edges(region: Region, key: Key, forgotten_at: int, *, gone: bool) -> None:
    for other in list(region.beside.get(key, ())):
        ends = pair(key, other)
        if gone or region.similar[ends].at <= forgotten_at:
            region.part(ends)
    for edge, engaged in list(region.engaged.items()):
        if edge[0] == key:
            kept = _taken_since(engaged, forgotten_at)
            if kept == Engaged():
                del region.engaged[edge]
            else:
                region.engaged[edge] = kept
    for edge, conversation in list(region.conversations.items()):
        if edge[0] == key and conversation.taken_at <= forgotten_at:
            del region.conversations[edge]


def _taken_since(engaged: Engaged, since: int) -> Engaged:
    kept = [taken > since for taken in engaged.taken]
    return Engaged(
        Times(*(at if keep else 0 for at, keep in zip(engaged.at, kept, strict=True))),
        Times(*(at if keep else 0 for at, keep in zip(engaged.taken, kept, strict=True))),
    )


def _connect(region: Region, statement: Statement) -> None:
    key = statement.user
    named = {(key[0], user_id): weight for user_id, weight in statement.neighbours}
    named.pop(key, None)
    for other in list(region.beside.get(key, ())):
        if other not in named and _outranks(region, key, other):
            region.part(pair(key, other))
    for other, weight in named.items():
        if other not in region.said:
            if other in region.tombstones:
                continue
            region.said[other] = 0
        if _outranks(region, key, other):
            region.link(pair(key, other), Similar(weight, statement.said_at))


def _outranks(region: Region, key: Key, other: Key) -> bool:
    """Whether the statement of ``key`` is the newer one; a tie goes to the greater key."""
    return (region.said[key], key) > (region.said[other], other)


def _beside(region: Region, key: Key) -> dict[Key, float]:
    """The neighbours of a user, and how similar they are."""
    return {other: region.similar[pair(key, other)].weight for other in region.beside.get(key, ())}


def _mark_around(
    region: Region, key: Key, now: int, unless: Mapping[Key, float] = MappingProxyType({})
) -> None:
    """Mark the strongest neighbours, but none who is as similar as in ``unless``."""
    ranked = sorted((-weight, other) for other, weight in _beside(region, key).items())
    for strength, other in ranked[:MARKED]:
        if not isclose(-strength, unless.get(other, inf), abs_tol=SAME):
            region.marks.setdefault(other, now)


def _is_forgotten(region: Region, key: Key, taken_at: int) -> bool:
    forgotten_at = region.tombstones.get(key)
    return forgotten_at is not None and taken_at <= forgotten_at


def _heard(region: Region, key: Key, taken_at: int) -> None:
    user = region.users.get(key, User())
    region.users[key] = replace(user, heard_at=max(user.heard_at, taken_at))
    region.said.setdefault(key, user.said_at)


def _later(edge: Engaged, engagement: Engagement) -> Engaged:
    """Of each kind the last time, and of that when it was taken in last."""
    kind = engagement.kind
    known = (getattr(edge.at, kind), getattr(edge.taken, kind))
    at, taken = max(known, (engagement.at, engagement.taken_at))
    return Engaged(edge.at._replace(**{kind: at}), edge.taken._replace(**{kind: taken}))


def _order(conversation: Conversation) -> tuple[int, str]:
    return conversation.taken_at, conversation.event_id


def _state(campaign: Campaign) -> tuple[int, bool, str, tuple[str, ...]]:
    """Two states of one time are told apart by what they say, so that the order is no matter."""
    return campaign.changed_at, campaign.deleted, campaign.title, campaign.intents
