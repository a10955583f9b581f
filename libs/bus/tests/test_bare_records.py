"""Records of producers that send no ``ce_*`` headers, on topics that take them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bus.codec import Delivered, claimed_tenant, decode
from bus.errors import Poison
from bus.record import Headers, Record
from contracts.envelope import OUTSIDE, Envelope, to_headers
from contracts.events.base import Event
from contracts.topics import ANSWER_CAPTURED, CONVERSATION_RECORDED, TOPICS, Topic, topic_named
from hypothesis import example, given
from hypothesis import strategies as st

BODY: dict[str, Any] = {
    "answer_id": "0199c2f1-0000-7e5f-8a74-4b30af9d8d01",
    "prompt": "Which app?",
    "surface": "app",
    "model": "ChatGPT",
    "text": "I would take Notion.",
    "captured_at": "2026-11-02T18:20:00Z",
    "tenant_id": "tenant-a",
}
AT = 1_762_107_600_000
TOPICS_BY_NAME: dict[str, Topic[Event]] = {topic.name: topic for topic in TOPICS}


def record(
    headers: Headers = (), *, at: int = AT, key: bytes | None = None, **changes: Any
) -> Record:
    body = {name: value for name, value in (BODY | changes).items() if value is not ...}
    return Record(ANSWER_CAPTURED.name, 1, 7, key, json.dumps(body).encode(), headers, at)


def read(given_: Record) -> Delivered[Event]:
    return decode(TOPICS_BY_NAME, given_)


def refused(given_: Record) -> str:
    with pytest.raises(Poison) as caught:
        read(given_)
    return caught.value.reason


def with_headers(tenant_id: str, **changes: Any) -> Headers:
    given_: dict[str, Any] = {
        "id": "e1",
        "source": "clipper",
        "type": ANSWER_CAPTURED.name,
        "time": datetime(2026, 11, 3, tzinfo=UTC),
        "subject": BODY["answer_id"],
        "tenant_id": tenant_id,
        "correlation_id": "c1",
    }
    return to_headers(Envelope(**given_ | changes))


def test_what_headers_would_say_comes_from_the_body_and_the_log() -> None:
    found = read(record())
    assert found.tenant_id == "tenant-a"
    assert found.envelope == Envelope(
        id=found.envelope.id,
        source=OUTSIDE,
        type=ANSWER_CAPTURED.name,
        time=datetime.fromtimestamp(AT / 1000, UTC),
        subject=BODY["answer_id"],
        tenant_id="tenant-a",
        correlation_id=found.envelope.id,
    )


def test_the_same_answer_again_is_the_same_event() -> None:
    once = read(record()).envelope.deduplication_id
    again = replace(record(text="Another wording.", at=AT + 5000), offset=99, partition=3)
    assert read(again).envelope.deduplication_id == once
    others = (
        record(tenant_id="tenant-b"),
        record(answer_id="0199c2f1-0000-7e5f-8a74-4b30af9d8d02"),
    )
    assert once not in {read(other).envelope.deduplication_id for other in others}


def test_other_headers_do_not_matter() -> None:
    headers: Headers = (("traceparent", b"\xff"), ("content-type", b"text/plain"), ("x", b""))
    assert read(record(headers)).tenant_id == "tenant-a"


def test_the_key_of_the_record_is_the_producers_business() -> None:
    assert read(record(key=b"\xff")) == replace(read(record()), record=record(key=b"\xff"))


@pytest.mark.parametrize("tenant_id", [..., None, ""])
def test_without_a_tenant_nobody_knows_whose_it_is(tenant_id: object) -> None:
    assert refused(record(tenant_id=tenant_id)) == "bad-header"


@pytest.mark.parametrize("tenant_id", ["tenant-c", None, ...])
def test_with_headers_the_body_need_not_say_whose_it_is(tenant_id: object) -> None:
    found = read(record(with_headers("tenant-c"), tenant_id=tenant_id))
    assert (found.tenant_id, found.envelope.source) == ("tenant-c", "clipper")


def test_headers_and_body_may_not_name_two_tenants() -> None:
    assert refused(record(with_headers("tenant-c"), tenant_id="tenant-b")) == "wrong-tenant"


@pytest.mark.parametrize("left", [name for name, _ in with_headers("t") if name.startswith("ce_")])
def test_half_of_the_headers_are_not_made_up(left: str) -> None:
    headers = tuple(item for item in with_headers("tenant-c") if item[0] == left)
    assert refused(record(headers)) == "bad-header"


@pytest.mark.parametrize("name", [topic.name for topic in TOPICS if not topic.public])
def test_other_topics_refuse_them(name: str) -> None:
    assert not topic_named(name).public
    assert refused(replace(record(), topic=name)) == "bad-header"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": ""}, "wrong-model"),
        ({"surface": "phone"}, "wrong-model"),
        ({"captured_at": "2026-11-02T18:20:00"}, "wrong-model"),
        ({"captured_at": "0001-01-01T00:00:00+14:00"}, "wrong-model"),
        ({"captured_at": "9999-12-31T23:59:59-14:00"}, "wrong-model"),
        ({"tenant_id": 5}, "wrong-model"),
        ({"answer_id": "x"}, "wrong-model"),
    ],
)
def test_a_wrong_body_has_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert refused(record(**changes)) == reason


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[]", b"x" * 2_000_000])
def test_no_body_at_all_is_poison(value: bytes | None) -> None:
    assert refused(replace(record(), value=value)) in {
        "null-body",
        "bad-json",
        "not-utf8",
        "wrong-model",
        "oversize",
    }


@given(st.integers(-(2**63), 2**63 - 1))
@example(-1)
@example(2**62)
@example(-(2**62))
def test_a_timestamp_may_be_any_number(at: int) -> None:
    try:
        found = read(record(at=at))
    except Poison as poison:
        assert poison.reason == "bad-header"  # noqa: PT017 - most numbers are times, too
    else:
        assert found.envelope.time.tzinfo is UTC


def talk(conversation_id: str, *texts: str) -> Record:
    said = [{"text": text, "sent_at": "2026-11-02T18:20:00Z"} for text in texts]
    body = {"conversation_id": conversation_id, "user_id": "ada", "messages": said}
    value = json.dumps(body | {"tenant_id": "tenant-a"}).encode()
    return Record(CONVERSATION_RECORDED.name, 0, 0, b"ada", value, (), AT)


def test_what_one_person_says_twice_is_two_events() -> None:
    """The key is the person: it does not tell what they say from one another."""
    ids = {read(talk(*said)).envelope.id for said in (("c-1", "a"), ("c-2", "a"), ("c-1", "b"))}
    assert len(ids) == 3
    assert read(talk("c-1", "a")).envelope.id in ids


@pytest.mark.parametrize(
    ("told", "appended", "known"),
    [
        (AT - 1, AT, AT - 1),
        (AT + 600_000, AT, AT),  # its clock is ahead: whenever this is read, it came at AT
        (AT + 600_000, -1, AT + 600_000),  # the log knows no time
        (AT + 600_000, 2**62, AT + 600_000),
    ],
)
def test_nothing_was_told_later_than_the_log_took_it_in(
    told: int, appended: int, known: int
) -> None:
    time = datetime.fromtimestamp(told / 1000, UTC)
    found = read(record(with_headers("tenant-a", time=time), at=appended))
    assert found.envelope.time == datetime.fromtimestamp(known / 1000, UTC)


@pytest.mark.parametrize(
    ("given_", "tenant_id"),
    [
        (record(), "tenant-a"),
        (record(answer_id=...), "tenant-a"),
        (record(tenant_id=None), None),
        (record(tenant_id=7), None),
        (replace(record(), value=b"{not json"), None),
        (replace(record(), value=None), None),
        (record(with_headers("tenant-b")), "tenant-b"),
        (replace(record(with_headers("tenant-b")), value=b"{not json"), "tenant-b"),
        (record((("ce_id", b"x"),)), None),
        (record((("ce_tenantid", b"\xff"),)), "\ufffd"),
    ],
)
def test_whose_a_record_says_it_is_however_wrong_it_is(
    given_: Record, tenant_id: str | None
) -> None:
    assert claimed_tenant(given_) == tenant_id


@given(value=st.binary(max_size=300))
def test_no_body_is_too_broken_to_be_asked_whose_it_is(value: bytes) -> None:
    claimed_tenant(replace(record(), value=value))
