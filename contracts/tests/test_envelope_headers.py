"""The envelope survives its headers, and bad headers are refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from contracts.envelope import (
    Envelope,
    EnvelopeError,
    derived_id,
    from_headers,
    to_headers,
)
from contracts.headers import HEADERS
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=250
)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ENVELOPES = st.builds(
    Envelope,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    time=st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=OFFSETS),
    subject=TEXT,
    tenant_id=TEXT,
    correlation_id=TEXT,
    causation_id=st.none() | TEXT,
    traceparent=st.none() | TEXT,
)
FULL = Envelope(
    id="e1",
    source="gateway",
    type="completion.requested.v1",
    time=datetime(2026, 11, 3, 9, 15, tzinfo=UTC),
    subject="c1",
    tenant_id="t1",
    correlation_id="r1",
    causation_id="e0",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
REQUIRED = [header.name for header in HEADERS if header.required]


def changed(name: str, value: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of ``FULL`` with one replaced, or left out if ``value`` is None."""
    rest = [(key, old) for key, old in to_headers(FULL) if key != name]
    return rest if value is None else [*rest, (name, value)]


@given(ENVELOPES)
def test_round_trip(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope)) == envelope


@given(ENVELOPES, st.lists(st.tuples(TEXT.map(lambda name: f"x-{name}"), st.binary())))
def test_foreign_headers_are_ignored(envelope: Envelope, foreign: list[tuple[str, bytes]]) -> None:
    assert from_headers([*foreign, *to_headers(envelope)]) == envelope


def test_documented_headers_are_the_written_ones_in_order() -> None:
    assert [name for name, _ in to_headers(FULL)] == [header.name for header in HEADERS]


def test_documented_constants_are_written() -> None:
    written = dict(to_headers(FULL))
    constants = {header.name: header.const for header in HEADERS if header.const}
    assert {name: written[name].decode() for name in constants} == constants


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_header_is_refused_by_name(name: str) -> None:
    with pytest.raises(EnvelopeError, match=name) as caught:
        from_headers(changed(name, None))
    assert caught.value.reason == "bad-header"


@pytest.mark.parametrize("name", [header.name for header in HEADERS if not header.required])
def test_an_optional_header_may_be_missing(name: str) -> None:
    assert from_headers(changed(name, None)).id == FULL.id


@pytest.mark.parametrize("name", [*REQUIRED, "ce_causationid", "traceparent"])
def test_a_header_that_is_not_utf8_is_refused(name: str) -> None:
    with pytest.raises(EnvelopeError, match="UTF-8"):
        from_headers(changed(name, b"\xff"))


@pytest.mark.parametrize("time", [b"yesterday", b"", b"2026-11-03T09:15:00"])
def test_a_time_that_names_no_instant_is_refused(time: bytes) -> None:
    with pytest.raises(EnvelopeError, match="ce_time"):
        from_headers(changed("ce_time", time))


@pytest.mark.parametrize(
    "time",
    [
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31T23:59:59-14:00",
        b"1969-12-31T23:59:59Z",
        b"2200-01-01T00:00:00Z",
    ],
)
def test_a_time_that_no_store_can_hold_is_refused(time: bytes) -> None:
    with pytest.raises(EnvelopeError, match="ce_time is not between 1970 and 2200") as caught:
        from_headers(changed("ce_time", time))
    assert caught.value.reason == "bad-header"


@pytest.mark.parametrize("name", [*REQUIRED, "ce_causationid", "traceparent"])
@pytest.mark.parametrize(("value", "word"), [(b"a\x00b", "NUL"), (b"x" * 1001, "1001 bytes")])
def test_a_header_that_others_could_not_pass_on_is_refused(
    name: str, value: bytes, word: str
) -> None:
    with pytest.raises(EnvelopeError, match=f"{name}.*{word}") as caught:
        from_headers(changed(name, value))
    assert caught.value.reason == "bad-header"


def test_another_version_of_cloudevents_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="specversion"):
        from_headers(changed("ce_specversion", b"0.3"))


PARTS = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
CAUSES = st.tuples(PARTS, PARTS, PARTS, st.integers(0, 1000))


@given(CAUSES)
def test_a_derived_id_is_pure_and_a_uuid5(cause: tuple[str, str, str, int]) -> None:
    assert derived_id(*cause) == derived_id(*cause)
    assert UUID(derived_id(*cause)).version == 5


@given(CAUSES, CAUSES)
def test_derived_ids_of_different_causes_differ(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_derived_ids_never_change() -> None:
    assert derived_id("answer.analyzed.v1", "c1", "e1", 0) == "c56444a3-0e66-54e1-b6ed-96a1548f7092"


def test_the_deduplication_id_is_of_source_and_id_only() -> None:
    retold = Envelope(
        id=FULL.id,
        source=FULL.source,
        type="another.told.v1",
        time=FULL.time,
        subject="s2",
        tenant_id="t2",
        correlation_id="r2",
    )
    assert retold.deduplication_id == FULL.deduplication_id


@given(PARTS, PARTS, PARTS, PARTS)
def test_deduplication_ids_of_different_events_differ(a: str, b: str, c: str, d: str) -> None:
    one, other = (
        Envelope(
            id=event_id,
            source=source,
            type="t",
            time=FULL.time,
            subject="s",
            tenant_id="t",
            correlation_id="r",
        )
        for source, event_id in ((a, b), (c, d))
    )
    same = (a, b) == (c, d)
    assert (one.deduplication_id == other.deduplication_id) == same
