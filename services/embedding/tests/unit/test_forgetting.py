"""Who is forgotten between two messages is told of anew: what was forgotten must steer nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bus.codec import Delivered, Emit
from bus.record import Record
from contracts.envelope import Envelope
from contracts.events.marketing import (
    CampaignChanged,
    ConversationMessage,
    ConversationRecorded,
    UserEmbedded,
    UserForgotten,
)
from contracts.topics import (
    CAMPAIGN_CHANGED,
    CONVERSATION_RECORDED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
    Topic,
)
from embedding.handlers import (
    on_campaigns_changed,
    on_conversations_recorded,
    on_users_forgotten,
)
from services.embedding.tests.embedding_kit import ADA, NOW, Kit

pytestmark = pytest.mark.asyncio
SECOND = timedelta(seconds=1)


def at(seconds: int, topic: Topic[Any], event: Any) -> Delivered[Any]:
    """As taken in so many seconds after ``NOW``."""
    event_id = f"{topic.name} {seconds}"
    subject = topic.key_of(event)
    time = NOW + seconds * SECOND
    envelope = Envelope(event_id, "x", topic.name, time, subject, ADA.tenant_id, event_id)
    return Delivered(event, envelope, Record(topic.name, 0, 0, None, None, (), 0))


def says(text: str, seconds: int, role: str = "user") -> Delivered[ConversationRecorded]:
    words = ConversationMessage(text=text, sent_at=NOW + seconds * SECOND, role=role)
    event = ConversationRecorded(conversation_id="c", user_id=ADA.user_id, messages=(words,))
    return at(seconds, CONVERSATION_RECORDED, event)


def forgotten(seconds: int) -> Delivered[UserForgotten]:
    event = UserForgotten(user_id=ADA.user_id, forgotten_at=NOW + seconds * SECOND)
    return at(seconds, USER_FORGOTTEN, event)


async def kit_with(*intents: str) -> Kit:
    """A minute later, so that all of it was heard when it says."""
    kit = Kit()
    kit.clock.advance(60)
    offers = [
        CampaignChanged(campaign_id=one, title=one, intents=(one,), changed_at=NOW)
        for one in intents
    ]
    await on_campaigns_changed([at(0, CAMPAIGN_CHANGED, one) for one in offers], kit.parts)
    return kit


def told(emits: Any) -> list[UserEmbedded]:
    assert {emit.topic for emit in emits} <= {USER_EMBEDDED}
    return [emit.event for emit in emits]


def intents(event: UserEmbedded) -> set[str]:
    return {one.intent for one in event.intents}


async def heard_late(kit: Kit) -> UserEmbedded:
    """Both messages come before the forgetting that was between them."""
    await on_conversations_recorded([says("I am in debt", 0)], kit.parts)
    (before,) = told(await on_conversations_recorded([says("coffee", 20)], kit.parts))
    assert intents(before) == {"debt", "coffee"}
    return before


async def test_what_was_said_since_is_told_without_what_was_said_before() -> None:
    kit = await kit_with("debt", "coffee")
    before = await heard_late(kit)
    gone = forgotten(10)
    emits = await on_users_forgotten([gone], kit.parts)
    (after,) = told(emits)
    assert intents(after) == {"coffee"}
    assert (after.messages, after.heard_at) == (1, NOW + 20 * SECOND)
    assert after.version > before.version
    assert after.embedded_at >= before.embedded_at
    assert emits[0].cause is gone


async def test_a_forgetting_that_comes_again_tells_the_same_again() -> None:
    kit = await kit_with("debt", "coffee")
    await heard_late(kit)
    (first,) = told(await on_users_forgotten([forgotten(10)], kit.parts))
    (again,) = told(await on_users_forgotten([forgotten(10)], kit.parts))
    assert again.version > first.version
    assert without_version(again) == without_version(first)
    twice: list[Emit] = list(await on_users_forgotten([forgotten(10), forgotten(10)], kit.parts))
    assert [without_version(one) for one in told(twice)] == [without_version(first)]


def without_version(event: UserEmbedded) -> dict[str, Any]:
    return event.model_dump(exclude={"version"})


async def test_who_said_nothing_since_is_not_told_of() -> None:
    kit = await kit_with("debt")
    await on_conversations_recorded([says("I am in debt", 0)], kit.parts)
    assert await on_users_forgotten([forgotten(10)], kit.parts) == []
    assert await on_users_forgotten([forgotten(30), forgotten(10)], kit.parts) == []


async def test_of_two_forgettings_at_once_the_later_counts() -> None:
    kit = await kit_with("debt", "coffee")
    await heard_late(kit)
    assert await on_users_forgotten([forgotten(30), forgotten(10)], kit.parts) == []
    assert ADA not in kit.memory.stored


async def test_a_late_part_without_words_of_the_user_tells_of_who_has_spoken_since() -> None:
    kit = await kit_with("coffee")
    await on_users_forgotten([forgotten(10)], kit.parts)
    await on_conversations_recorded([says("coffee", 20)], kit.parts)
    late = [says("you are in debt", 5, "assistant")]
    (event,) = told(await on_conversations_recorded(late, kit.parts))
    assert intents(event) == {"coffee"}
