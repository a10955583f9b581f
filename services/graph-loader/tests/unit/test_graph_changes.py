"""The state of the graph follows from what arrived, not from its order; nothing counts twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import combinations

from graph_loader.adapters.memory import MemoryGraph
from graph_loader.domain import batches
from graph_loader.domain.models import (
    Campaign,
    Conversation,
    Engagement,
    Key,
    Similar,
    Statement,
    Times,
    User,
    Wish,
)
from graph_loader.domain.region import window
from hypothesis import given, settings
from hypothesis import strategies as st

TENANTS = ("t", "o")
USERS = ("u", "v", "w", "x")
CAMPAIGNS = ("a", "b", "c")
CALM = settings(deadline=None)


@st.composite
def statements(draw: st.DrawFn) -> list[Statement]:
    """Of each user a history: a later version is made later."""
    found = []
    for tenant in TENANTS:
        for user in USERS:
            for version in draw(st.lists(st.integers(1, 30), unique=True, max_size=3)):
                near = draw(st.dictionaries(st.sampled_from(USERS), st.floats(-1, 1), max_size=3))
                at = 100 * version + draw(st.integers(0, 50))
                said = tuple(near.items())
                found.append(
                    Statement((tenant, user), version, at, at, said, (Wish("i", version / 30),))
                )
    return found


def engagements() -> st.SearchStrategy[list[Engagement]]:
    keys = st.tuples(st.sampled_from(TENANTS), st.sampled_from(USERS))
    hours = st.integers(1, 30)
    one = st.builds(
        Engagement, keys, st.sampled_from(CAMPAIGNS), st.sampled_from(Times._fields), hours, hours
    )
    return st.lists(one, max_size=12)


def campaigns() -> st.SearchStrategy[list[tuple[Key, Campaign]]]:
    keys = st.tuples(st.sampled_from(TENANTS), st.sampled_from(CAMPAIGNS))
    state = st.builds(
        Campaign,
        st.integers(1, 5),
        st.booleans(),
        st.sampled_from("XY"),
        st.sampled_from([(), ("i",), ("i", "j")]),
    )
    return st.lists(st.tuples(keys, state), max_size=6)


Piece = Statement | Engagement | tuple[Key, Campaign]


async def taken(pieces: Sequence[Piece]) -> MemoryGraph:
    graph = MemoryGraph()
    for piece in pieces:
        if isinstance(piece, Statement):
            await graph.change(*batches.statements([piece], 1))
        elif isinstance(piece, Engagement):
            await graph.change(*batches.engagements([piece], 1))
        else:
            await graph.change(*batches.campaigns([piece], 1))
    return graph


def state(graph: MemoryGraph) -> list[object]:
    similar = {
        (one, other): edge for one, near in graph.similar.items() for other, edge in near.items()
    }
    shared = {
        (one, other): users
        for one, found in graph.shared.items()
        for other, users in found.items()
        if users
    }
    fans = {key: count for key, count in graph.fans.items() if count}
    # Whom an older statement named has a node, if that statement came before the newer one.
    users = {key: user for key, user in graph.users.items() if user != User()}
    return [users, similar, graph.engaged, graph.campaigns, shared, fans]


@CALM
@given(st.data(), statements(), engagements(), campaigns())
def test_order_and_repetition_do_not_matter(
    data: st.DataObject,
    said: list[Statement],
    done: list[Engagement],
    offered: list[tuple[Key, Campaign]],
) -> None:
    pieces: list[Piece] = [*said, *done, *offered]
    again = data.draw(st.permutations([*pieces, *pieces[::3]]))
    assert state(asyncio.run(taken(again))) == state(asyncio.run(taken(pieces)))


@CALM
@given(statements())
def test_an_edge_is_what_the_newer_of_the_two_said(said: list[Statement]) -> None:
    graph = asyncio.run(taken(said))
    last = {one.user: one for one in sorted(said, key=lambda one: one.version)}
    expected: dict[tuple[Key, Key], Similar] = {}
    for tenant in TENANTS:
        for one, other in combinations([(tenant, user) for user in USERS], 2):
            both = [last[key] for key in (one, other) if key in last]
            if not both:
                continue
            newest = max(both, key=lambda statement: (statement.said_at, statement.user))
            partner = other if newest.user == one else one
            weight = dict(newest.neighbours).get(partner[1])
            if weight is not None:
                edge = Similar(weight, newest.said_at)
                expected |= {(one, other): edge, (other, one): edge}
    found = {
        (one, other): edge for one, near in graph.similar.items() for other, edge in near.items()
    }
    assert found == expected


@CALM
@given(engagements())
def test_shared_counts_are_those_of_the_edges(done: list[Engagement]) -> None:
    graph = asyncio.run(taken(done))
    expected: dict[tuple[Key, str], int] = {}
    for user, edges in graph.engaged.items():
        liked = window({campaign_id: edge.at for campaign_id, edge in edges.items()})
        for one, other in combinations(liked, 2):
            for mine, its in ((one, other), (other, one)):
                key = ((user[0], mine), its)
                expected[key] = expected.get(key, 0) + 1
    found = {
        (one, other): users
        for one, shared in graph.shared.items()
        for other, users in shared.items()
        if users
    }
    assert found == expected


@CALM
@given(st.data(), engagements(), st.integers(1, 30))
def test_forgetting_leaves_what_was_taken_in_since(
    data: st.DataObject, done: list[Engagement], at: int
) -> None:
    """Where a later deed was taken in earlier than an older one, the older may be lost with it."""
    done = [Engagement(one.user, one.campaign_id, one.kind, one.at, one.at) for one in done]
    whom = ("t", "u")
    since = [one for one in done if one.user != whom or one.taken_at > at]
    expected = state(asyncio.run(taken(since)))
    place = data.draw(st.integers(0, len(done)))
    graph = asyncio.run(forgotten(done[:place], (whom, at), done[place:]))
    got = state(graph)
    for known in (expected, got):
        known[3] = {key: one for key, one in known[3].items() if key[0] != "t"}  # type: ignore[attr-defined]
    assert without_empty(got) == without_empty(expected)


async def forgotten(
    before: Sequence[Engagement], whom: tuple[Key, int], after: Sequence[Engagement]
) -> MemoryGraph:
    graph = await taken(before)
    await graph.change(*batches.forgettings([whom], 1))
    for one in after:
        await graph.change(*batches.engagements([one], 1))
    return graph


def without_empty(parts: list[object]) -> list[object]:
    users, similar, engaged, *rest = parts
    assert isinstance(engaged, dict)
    return [users, similar, {key: edges for key, edges in engaged.items() if edges}, *rest]


def test_of_a_conversation_the_last_part_counts() -> None:
    edge = (("t", "u"), "c")
    parts = [Conversation(at, event, "f", 1) for at, event in ((2, "b"), (1, "z"), (2, "a"))]

    async def run() -> MemoryGraph:
        graph = MemoryGraph()
        for part in parts:
            await graph.change(*batches.conversations([(edge, part)]))
        return graph

    graph = asyncio.run(run())
    assert graph.conversations == {("t", "u"): {"c": parts[0]}}
    assert graph.users["t", "u"].heard_at == 2
