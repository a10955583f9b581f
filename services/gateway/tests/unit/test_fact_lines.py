"""Lines of facts: each is good, bad or empty, whatever stands in it, and keeps its number."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from bus.outbox import HEADER_BYTES
from contracts.events.marketing import LineOf
from contracts.topics import CONVERSATION_RECORDED
from gateway.api.taking import CONVERSATION, ENGAGEMENT, Source, Taking
from gateway.commands.events import Origins
from gateway.domain.errors import InvalidCampaign
from gateway.domain.marketing import Campaign, check_campaign, microseconds, said_id
from gateway.schemas.facts import (
    ConversationIn,
    EngagementIn,
    MessageIn,
    conversation_event,
    engagement_event,
)
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

NOW = datetime(2026, 11, 4, 10, tzinfo=UTC)
ORIGINS = Origins("tenant-a", None, NOW, None)
IDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
GOOD: dict[str, Any] = {"conversation_id": "c", "user_id": "u", "text": "hello"}


def taking(file: str | None = None, first_line: int = 1) -> Taking[Any, Any]:
    return Taking(CONVERSATION, ORIGINS, Source(file, first_line))


@given(st.lists(st.binary(max_size=30) | st.just(json.dumps(GOOD).encode()), max_size=12))
@example([b"\xef\xbb\xbf", json.dumps(GOOD).encode()])
@example([b"\r", b" ", b"\x00", b"nan", b"[]"])
@example([b'{"user_id": 1e999}', b"1" * 5000, b"[" * 3000])
def test_every_line_is_good_or_bad_or_empty(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    rows, bad = taking("f").rows(body)
    whole = body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    filled = [number for number, line in enumerate(whole, 1) if line.strip()]
    good = [json.loads(row.payload)["line_of"]["line"] for row in rows]
    assert sorted([*good, *(item.line for item in bad)]) == filled
    assert good == sorted(good)
    for item in bad:
        assert item.error
        assert len(item.error) <= 600
        item.model_dump_json()


@given(
    conversation_id=IDS,
    user_id=IDS,
    said=st.lists(
        st.fixed_dictionaries(
            {"text": TEXTS},
            optional={
                "message_id": IDS,
                "role": st.sampled_from(["user", "assistant", "The User"]),
                "sent_at": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
            },
        ),
        max_size=4,
    ),
)
def test_what_a_line_says_is_what_is_told(
    conversation_id: str, user_id: str, said: list[dict[str, Any]]
) -> None:
    line = {"conversation_id": conversation_id, "user_id": user_id, "messages": said}
    rows, bad = taking().rows(json.dumps(line).encode())
    assert len(rows) + len(bad) == 1
    for row in rows:
        event = json.loads(row.payload)
        assert (event["conversation_id"], event["user_id"]) == (conversation_id, user_id)
        assert row.key == row.envelope.subject == user_id
        assert [part["text"] for part in event["messages"]] == [part["text"] for part in said]
        for part, given_part in zip(event["messages"], said, strict=True):
            assert part["message_id"] == given_part.get("message_id")
            at = datetime.fromisoformat(part["sent_at"])
            assert at == datetime.fromisoformat(given_part.get("sent_at", NOW.isoformat()))


@given(text=TEXTS)
def test_a_text_alone_is_one_message(text: str) -> None:
    rows, bad = taking().rows(json.dumps(GOOD | {"text": text}).encode())
    assert bad == []
    (message,) = json.loads(rows[0].payload)["messages"]
    assert (message["text"], message["role"]) == (text, "user")
    assert str(UUID(message["message_id"])) == message["message_id"]


def test_lines_have_events_of_their_own() -> None:
    rows, _ = taking().rows((json.dumps(GOOD) + "\n").encode() * 3)
    assert len({row.envelope.id for row in rows}) == 3
    assert all(row.envelope.correlation_id == row.envelope.id for row in rows)


@pytest.mark.parametrize("character", ["x", "é", "梅", "🙂"])
def test_the_longest_text_fits_an_event(character: str) -> None:
    line = json.dumps(GOOD | {"text": character * 1_000_000}).encode()
    ((row,), bad) = taking("x" * 500, 2**53).rows(line)
    assert bad == []
    assert len(row.payload) <= CONVERSATION_RECORDED.max_record_bytes - HEADER_BYTES


def test_the_file_and_line_are_counted_from_the_first() -> None:
    assert Source("f", 7).line(1) == Source("f", 1).line(7)
    assert Source(None, 7).line(1) is None


def test_an_engagement_line_has_to_say_when() -> None:
    click = {"user_id": "u", "campaign_id": "c", "kind": "click"}
    rows, bad = Taking(ENGAGEMENT, ORIGINS, Source(None, 1)).rows(
        f"{json.dumps(click)}\n{json.dumps(click | {'happened_at': NOW.isoformat()})}".encode()
    )
    assert (len(rows), [item.line for item in bad]) == (1, [1])


def test_a_conversation_of_nothing_is_refused() -> None:
    for body in ({}, {"messages": [{"text": "a"}], "text": "b"}):
        with pytest.raises(ValidationError, match="give either messages or text"):
            ConversationIn.model_validate({"conversation_id": "c", "user_id": "u", **body})


def test_an_empty_text_is_a_message() -> None:
    body = ConversationIn.model_validate(GOOD | {"text": ""})
    assert conversation_event(body, NOW, None).messages[0].text == ""


def test_ids_of_what_was_said_are_stable() -> None:
    assert said_id(NOW, "u", "c", "hello") == "4958b028-3f75-5f7f-9f7b-a5e066e981a9"
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert said_id(there, "u", "c", "hello") == said_id(NOW, "u", "c", "hello")
    others = [
        said_id(NOW, "u", "c", "hello "),
        said_id(NOW, "uc", "", "hello"),
        said_id(NOW + timedelta(microseconds=1), "u", "c", "hello"),
    ]
    assert len({said_id(NOW, "u", "c", "hello"), *others}) == 4


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)))
def test_microseconds_are_exact(at: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(at)) == at


@pytest.mark.parametrize(
    ("starts", "ends", "fits"), [(0, 1, True), (1, 1, False), (2, 1, False), (None, 1, True)]
)
def test_a_campaign_ends_after_it_starts(starts: int | None, ends: int, fits: bool) -> None:
    times = [None if at is None else NOW + timedelta(days=at) for at in (starts, ends)]
    campaign = Campaign("t", "c", "T", NOW, starts_at=times[0], ends_at=times[1])
    if fits:
        check_campaign(campaign)
    else:
        with pytest.raises(InvalidCampaign):
            check_campaign(campaign)


@pytest.mark.parametrize(
    ("change", "active"),
    [
        ({}, True),
        ({"budget": "paused"}, False),
        ({"budget": "exhausted"}, False),
        ({"deleted": True}, False),
    ],
)
def test_a_campaign_is_active_while_it_may_be_shown(change: dict[str, Any], active: bool) -> None:
    assert Campaign("t", "c", "T", NOW, **change).active is active


LATER = NOW + timedelta(hours=1)
LINE = LineOf(file="talks.jsonl", line=7)
SHORT = ConversationIn(conversation_id="c", user_id="u", text="hello")
LONG = ConversationIn(
    conversation_id="c", user_id="u", messages=[MessageIn(text="a"), MessageIn(text="a")]
)


@pytest.mark.parametrize("body", [SHORT, LONG])
def test_a_line_without_ids_and_times_is_known_again(body: ConversationIn) -> None:
    def ids(at: datetime, line_of: LineOf | None) -> list[str | None]:
        return [one.message_id for one in conversation_event(body, at, line_of).messages]

    assert ids(NOW, LINE) == ids(LATER, LINE)
    assert len(set(ids(NOW, LINE))) == len(body.messages or [body])
    assert ids(NOW, LINE) != ids(NOW, LineOf(file="talks.jsonl", line=8))
    assert ids(NOW, LINE) != ids(NOW, LineOf(file="others.jsonl", line=7))


def test_an_edited_line_is_another_message() -> None:
    edited = SHORT.model_copy(update={"text": "hello there"})
    [one], [other] = (conversation_event(body, NOW, LINE).messages for body in (SHORT, edited))
    assert one.message_id != other.message_id


def test_an_engagement_of_a_line_is_known_again() -> None:
    body = EngagementIn(user_id="u", campaign_id="c", kind="click")
    once, again = (engagement_event(body, at, LINE) for at in (NOW, LATER))
    assert once.engagement_id == again.engagement_id
    alone = {engagement_event(body, NOW, None).engagement_id for _ in range(2)}
    assert len(alone) == 2
