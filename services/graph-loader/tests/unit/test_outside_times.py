"""Producers outside claim any time: none undoes a forgetting, or outweighs what comes later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bus.codec import Delivered
from bus.record import Record
from contracts.envelope import Envelope
from contracts.events.base import Event
from contracts.events.marketing import (
    ConversationMessage,
    ConversationRecorded,
    EngagementRecorded,
    LineOf,
    UserForgotten,
)
from contracts.topics import CONVERSATION_RECORDED, ENGAGEMENT_RECORDED, USER_FORGOTTEN, Topic
from graph_loader import handlers, translation
from graph_loader.adapters.memory import MemoryGraph
from graph_loader.domain.region import window
from graph_loader.domain.rules import strength
from graph_loader.translation import micros
from runtime.clock import HeldClock

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
ADA = ("t", "ada")
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
FAR = datetime(2199, 1, 1, tzinfo=UTC)
WEST = datetime.fromisoformat("9999-12-31T23:59:59-14:00")
EAST = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
CLAIMED = [NOW, NOW + timedelta(minutes=5), FAR, WEST, LONG_AGO, EAST]


def delivered(topic: Topic[Any], event: Event, claimed: datetime) -> Delivered[Any]:
    """As it is when a producer outside claims that time."""
    subject = topic.key_of(event)
    envelope = Envelope("e", "outside", topic.name, claimed, subject, "t", "e")
    return Delivered(event, envelope, Record(topic.name, 0, 0, None, None, (), 0))


def engaged(
    claimed: datetime, kind: Any = "click", happened_at: datetime = NOW
) -> Delivered[EngagementRecorded]:
    event = EngagementRecorded(
        engagement_id="e", user_id="ada", campaign_id="c", kind=kind, happened_at=happened_at
    )
    return delivered(ENGAGEMENT_RECORDED, event, claimed)


def talked(claimed: datetime, line: int = 1) -> Delivered[ConversationRecorded]:
    event = ConversationRecorded(
        conversation_id="talk",
        user_id="ada",
        messages=(ConversationMessage(text="hello", sent_at=NOW),),
        line_of=LineOf(file="f", line=line),
    )
    return delivered(CONVERSATION_RECORDED, event, claimed)


def forgotten(at: datetime) -> Delivered[UserForgotten]:
    return delivered(USER_FORGOTTEN, UserForgotten(user_id="ada", forgotten_at=at), at)


@pytest.mark.parametrize("claimed", CLAIMED)
def test_nothing_is_taken_in_later_than_now_or_before_1970(claimed: datetime) -> None:
    expected = 0 if claimed < NOW else micros(NOW)
    assert translation.engagement(engaged(claimed), NOW).taken_at == expected
    assert translation.conversation(talked(claimed), NOW).taken_at == expected


def test_what_is_said_to_happen_later_happened_now() -> None:
    assert translation.engagement(engaged(NOW, happened_at=FAR), NOW).at == micros(NOW)
    before = NOW - timedelta(days=1)
    assert translation.engagement(engaged(NOW, happened_at=before), NOW).at == micros(before)


def test_a_line_is_a_number_that_databases_hold() -> None:
    assert translation.conversation(talked(NOW, 10**30), NOW).line == 2**63 - 1


@pytest.mark.asyncio
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("claimed", CLAIMED)
async def test_who_is_forgotten_is_not_brought_back(claimed: datetime, *, late: bool) -> None:
    graph, clock = MemoryGraph(), HeldClock(NOW)

    async def act() -> None:
        await handlers.on_engagements_recorded([engaged(claimed)], graph, clock)
        await handlers.on_conversations_recorded([talked(claimed)], graph, clock)

    if not late:
        await act()
        clock.advance(60)
    assert await handlers.on_users_forgotten([forgotten(clock.now())], graph, clock) == []
    if late:
        await act()
    assert ADA not in graph.users
    assert not graph.engaged.get(ADA)
    assert not graph.conversations.get(ADA)


@pytest.mark.asyncio
@pytest.mark.parametrize("claimed", [LONG_AGO, EAST])
async def test_a_time_before_1970_drops_nothing_of_who_was_never_forgotten(
    claimed: datetime,
) -> None:
    graph, clock = MemoryGraph(), HeldClock(NOW)
    (told,) = await handlers.on_engagements_recorded([engaged(claimed)], graph, clock)
    await handlers.on_conversations_recorded([talked(claimed)], graph, clock)
    assert told.topic.key_of(told.event) == "ada"
    assert graph.engaged[ADA]["c"].at.clicked == micros(NOW)
    assert graph.conversations[ADA].keys() == {"talk"}


@pytest.mark.asyncio
async def test_a_dismissal_in_the_future_does_not_outweigh_what_comes_after_it() -> None:
    graph, clock = MemoryGraph(), HeldClock(NOW)
    future = engaged(NOW, "dismissal", FAR)
    await handlers.on_engagements_recorded([future], graph, clock)
    clock.advance(86_400)
    converted = engaged(clock.now(), "conversion", clock.now())
    await handlers.on_engagements_recorded([converted], graph, clock)
    times = graph.engaged[ADA]["c"].at
    assert window({"c": times}) == ("c",)
    assert strength(times, micros(clock.now())) == 1.0
