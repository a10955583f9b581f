"""Whatever is wrong with a record, decoding names it and raises nothing but ``Poison``."""

from __future__ import annotations

import pytest
from bus.codec import decode
from bus.errors import Poison
from bus.record import OutRecord, Record
from contracts.envelope import to_headers
from contracts.events.base import Event
from contracts.topics import Topic
from hypothesis import example, given
from hypothesis import strategies as st
from libs.bus.tests.toy_delivery import (
    PLACED,
    OrderPlaced,
    envelope,
    order,
    poison,
    reason_of,
    with_header,
)

TOPICS: dict[str, Topic[Event]] = {PLACED.name: PLACED}  # type: ignore[dict-item]
REASONS = {
    "oversize",
    "null-body",
    "bad-header",
    "unknown-type",
    "not-utf8",
    "bad-json",
    "wrong-model",
    "wrong-key",
}


def read(record: OutRecord) -> Record:
    """``record`` as the log would return it."""
    return Record(record.topic, 1, 7, record.key, record.value, record.headers, 0)


def test_a_good_record_is_read() -> None:
    delivered = decode(TOPICS, read(order("a", 1)))
    assert delivered.event == OrderPlaced(account="a", number=1)
    assert delivered.envelope == envelope("a", 1)
    assert delivered.tenant_id == "tenant-a"


@pytest.mark.parametrize("kind", poison("a", 1))
def test_every_kind_of_poison_has_its_reason(kind: str) -> None:
    with pytest.raises(Poison) as caught:
        decode(TOPICS, read(poison("a", 1)[kind]))
    assert caught.value.reason == reason_of(kind)


def test_all_reasons_are_tried() -> None:
    assert {reason_of(kind) for kind in poison("a", 1)} == REASONS


@pytest.mark.parametrize("name", [name for name, _ in to_headers(envelope("a", 1))])
def test_required_headers_are_required(name: str) -> None:
    good = order("a", 1)
    cut = read(OutRecord(good.topic, good.key, good.value, with_header(good.headers, name, None)))
    if name in {"content-type", "ce_causationid", "traceparent"}:
        assert decode(TOPICS, cut).event == OrderPlaced(account="a", number=1)
        return
    with pytest.raises(Poison) as caught:
        decode(TOPICS, cut)
    assert caught.value.reason == "bad-header"


@pytest.mark.parametrize("time", [b"yesterday", b"2026-11-02T09:30:00", b"2026-13-02T09:30:00Z"])
def test_a_time_has_a_zone(time: bytes) -> None:
    good = order("a", 1)
    headers = with_header(good.headers, "ce_time", time)
    with pytest.raises(Poison) as caught:
        decode(TOPICS, read(OutRecord(good.topic, good.key, good.value, headers)))
    assert caught.value.reason == "bad-header"


def test_the_message_quotes_no_body() -> None:
    with pytest.raises(Poison) as caught:
        decode(TOPICS, read(poison("a", 1)["wrong-model"]))
    assert "many" not in str(caught.value)
    assert "number" in str(caught.value)


@given(
    value=st.none() | st.binary(max_size=60) | st.text(max_size=30).map(str.encode),
    headers=st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in to_headers(envelope("a", 1))])
            | st.text(max_size=9),
            st.binary(max_size=20),
        ),
        max_size=4,
    ),
)
@example(value=b'{"account": "a", "number": ' + b"9" * 1000 + b"}", headers=[])
@example(value=b"[" * 1900, headers=[])
@example(value=b'{"account": "\\ud800", "number": 1}', headers=[])
@example(value=b'\xef\xbb\xbf{"account": "a", "number": 1}', headers=[])
def test_nothing_but_poison_comes_out(
    value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    good = order("a", 1)
    for beside in ((), good.headers):
        record = read(OutRecord(PLACED.name, None, value, (*beside, *headers)))
        try:
            decode(TOPICS, record)
        except Poison as poison_:
            assert poison_.reason in REASONS  # noqa: PT017 - it may also be good by chance
