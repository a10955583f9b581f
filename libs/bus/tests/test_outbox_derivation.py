"""Ids of emitted events follow from their cause: a repeated transaction writes the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bus.codec import Emit
from bus.outbox import OutboxRow, derive
from contracts.envelope import from_headers
from hypothesis import given
from hypothesis import strategies as st
from libs.bus.tests.toy_delivery import BOOKED, delivered, emit, envelope

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)


def ids(rows: Sequence[OutboxRow]) -> list[str]:
    return [row.envelope.id for row in rows]


plans = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from("ab"), st.integers(0, 3)), max_size=12
)


def planned(plan: list[tuple[int, str, int]]) -> list[Emit]:
    return [emit(delivered("a", cause), account, number) for cause, account, number in plan]


@given(plans)
def test_a_repeated_derivation_gives_the_same_rows(plan: list[tuple[int, str, int]]) -> None:
    assert derive(planned(plan), "booking", NOW, {}) == derive(planned(plan), "booking", NOW, {})
    assert ids(derive(planned(plan), "booking", NOW, {})) == ids(
        derive(planned(plan), "booking", LATER, {})
    )


@given(plans)
def test_no_two_rows_share_an_id(plan: list[tuple[int, str, int]]) -> None:
    rows = ids(derive(planned(plan), "booking", NOW, {}))
    assert len(set(rows)) == len(rows)


@given(plans)
def test_ids_do_not_depend_on_what_else_is_in_the_batch(plan: list[tuple[int, str, int]]) -> None:
    together = derive(planned(plan), "booking", NOW, {})
    for cause in {item[0] for item in plan}:
        own = [item for item in plan if item[0] == cause]
        alone = derive(planned(own), "booking", NOW, {})
        caused = [row for row in together if row.envelope.causation_id == envelope("a", cause).id]
        assert alone == caused


def test_the_index_counts_per_topic_subject_and_cause() -> None:
    cause = delivered("a", 1)
    one, other, again = derive(
        [emit(cause, "a", 1), emit(cause, "b", 1), emit(cause, "a", 2)], "booking", NOW, {}
    )
    assert ids([one]) == ids(derive([emit(cause, "a", 9)], "booking", NOW, {}))
    assert len({*ids([one, other, again])}) == 3


def test_equal_ids_of_two_sources_do_not_collide() -> None:
    """CloudEvents makes source and id unique together, and the inbox takes both events."""
    told = delivered("a", 1)
    ours = replace(told, envelope=replace(told.envelope, id="1"))
    theirs = replace(told, envelope=replace(told.envelope, id="1", source="another-shop"))
    together = derive([emit(ours, "a", 1), emit(theirs, "a", 1)], "booking", NOW, {})
    apart = [derive([emit(cause, "a", 1)], "booking", NOW, {})[0] for cause in (ours, theirs)]
    assert ids(together) == ids(apart)
    assert len({*ids(apart)}) == 2


def test_an_event_inherits_what_its_cause_belongs_to() -> None:
    cause = delivered("a", 1)
    (row,) = derive([emit(cause, "b", 1)], "booking", NOW, {cause.envelope.id: "00-t-s-01"})
    found = row.envelope
    assert (found.tenant_id, found.correlation_id) == ("tenant-a", cause.envelope.correlation_id)
    assert (found.causation_id, found.subject, found.time) == (cause.envelope.id, "b", NOW)
    assert (found.source, found.type, found.traceparent) == ("booking", BOOKED.name, "00-t-s-01")


def test_a_row_becomes_a_record_with_the_senders_trace() -> None:
    (row,) = derive([emit(delivered("a", 1), "a", 1)], "booking", NOW, {})
    record = row.record("00-sent-here-01")
    assert (record.topic, record.key, record.value) == (BOOKED.name, b"a", row.payload)
    assert from_headers(record.headers) == replace(row.envelope, traceparent="00-sent-here-01")
    assert from_headers(row.record(None).headers) == replace(row.envelope, traceparent=None)
