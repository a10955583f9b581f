"""Between events and the domain: what identifies a message, and when it was said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bus.codec import Delivered
from bus.record import Record
from contracts.envelope import Envelope
from contracts.events.completion import CompletionFinished
from contracts.events.marketing import ConversationRecorded
from contracts.examples import examples
from contracts.topics import COMPLETION_FINISHED, CONVERSATION_RECORDED
from embedding import translation
from embedding.domain.models import Message
from services.embedding.tests.embedding_kit import NOW

SENT = datetime(2026, 11, 4, 11, 0, tzinfo=UTC)


def heard(*messages: dict[str, Any], **changes: Any) -> Delivered[ConversationRecorded]:
    body = {"conversation_id": "c-1", "user_id": "ada", "messages": messages, **changes}
    event = ConversationRecorded.model_validate_json(_json(body))
    topic = CONVERSATION_RECORDED.name
    envelope = Envelope("e-1", "gateway", topic, NOW, "ada", "kaffeehaus", "e-1")
    return Delivered(event, envelope, Record(topic, 0, 0, b"ada", b"", (), 0))


def _json(body: dict[str, Any]) -> str:
    import json

    return json.dumps(body, default=str)


def one(text: str = "espresso", sent_at: datetime = SENT, **more: Any) -> dict[str, Any]:
    return {"text": text, "sent_at": sent_at.isoformat(), **more}


def messages(item: Delivered[ConversationRecorded]) -> list[Message]:
    return translation.messages(item, NOW)


def ids(*said: dict[str, Any], **changes: Any) -> list[object]:
    return [message.id for message in messages(heard(*said, **changes))]


def test_a_message_with_an_id_is_the_same_whatever_it_says() -> None:
    assert ids(one(message_id="m")) == ids(one("edited", NOW, message_id="m"))
    assert ids(one(message_id="m")) != ids(one(message_id="n"))


def test_the_same_id_elsewhere_is_another_message() -> None:
    same = one(message_id="m")
    assert ids(same) != ids(same, conversation_id="c-2")
    assert ids(same) != ids(same, user_id="ben")


def test_a_part_of_a_conversation_is_known_again_in_the_whole() -> None:
    whole = ids(one("hi"), one("tea"), one("bye"))
    assert ids(one("tea"), one("bye")) == whole[1:]
    assert len(set(whole)) == 3


def test_who_says_the_same_twice_at_once_says_it_twice() -> None:
    twice = ids(one("hi"), one("hi"))
    assert len(set(twice)) == 2
    assert ids(one("hi")) == twice[:1]


def test_role_time_and_words_tell_messages_apart() -> None:
    said = [one("hi"), one("ho"), one("hi", NOW), one("hi", role="assistant")]
    assert len({ids(each)[0] for each in said}) == 4


def test_a_given_id_is_never_taken_for_words() -> None:
    plain = messages(heard(one("hi")))[0]
    name = next(translation._names(heard(one("hi")).event.messages))
    assert ids(one("hi", message_id=name)) != [plain.id]


@pytest.mark.parametrize(
    ("sent_at", "said_at"),
    [
        (SENT, SENT),
        (NOW + timedelta(minutes=5), NOW + timedelta(minutes=5)),
        (NOW + timedelta(minutes=5, microseconds=1), NOW),
        (datetime(2199, 12, 31, tzinfo=UTC), NOW),
        (datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_said_in_the_future_was_said_now(sent_at: datetime, said_at: datetime) -> None:
    (message,) = messages(heard(one(sent_at=sent_at)))
    assert (message.sent_at, message.said_at) == (sent_at, said_at)


def test_an_event_from_the_future_was_heard_now() -> None:
    (message,) = translation.messages(heard(one()), NOW - timedelta(hours=1))
    assert message.heard_at == NOW - timedelta(hours=1)
    (message,) = translation.messages(heard(one()), NOW + timedelta(hours=1))
    assert message.heard_at == NOW


@pytest.mark.parametrize(
    ("claimed", "heard_at"),
    [
        ("9999-12-31T23:59:59-14:00", NOW),
        ("0001-01-01T00:00:00+14:00", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_whatever_time_a_producer_claims_is_one_that_stores_hold(
    claimed: str, heard_at: datetime
) -> None:
    item = heard(one())
    envelope = replace(item.envelope, time=datetime.fromisoformat(claimed))
    (message,) = translation.messages(replace(item, envelope=envelope), NOW)
    assert message.heard_at == heard_at


def test_where_it_came_from_is_kept() -> None:
    item = heard(one(), line_of={"file": "talk.jsonl", "line": 17}, channel="chat", locale="en")
    assert messages(item)[0].lineage == {
        "event_id": "e-1",
        "source": "gateway",
        "channel": "chat",
        "locale": "en",
        "file": "talk.jsonl",
        "line": 17,
    }


def test_the_one_character_that_no_table_holds_is_replaced() -> None:
    odd, kept = "a\x00b", "a\ufffdb"
    item = heard(one(odd), line_of={"file": odd, "line": 10**30}, channel=odd, locale=odd)
    named = replace(item.envelope, id=odd, source=odd)
    (message,) = messages(replace(item, envelope=named))
    assert message.text == kept
    line = message.lineage.pop("line")
    assert line == 2**63 - 1
    assert set(message.lineage.values()) == {kept}


def finished() -> list[Delivered[CompletionFinished]]:
    return [
        Delivered(
            CompletionFinished.model_validate_json(example.value),
            Envelope("e", "s", COMPLETION_FINISHED.name, NOW, "x", "kaffeehaus", "e"),
            Record(example.topic, 0, 0, b"", example.value, (), 0),
        )
        for example in examples(COMPLETION_FINISHED.name)
    ]


def test_answers_are_those_of_visibility_runs_that_say_something() -> None:
    for item in finished():
        answer = translation.answer(item)
        expected = item.event.origin.kind == "visibility" and bool((item.event.text or "").strip())
        assert (answer is not None) == expected
        if answer is not None:
            assert answer.text == item.event.text
            assert answer.run_id == item.event.origin.parent_id
            assert answer.simulated == item.event.simulated
