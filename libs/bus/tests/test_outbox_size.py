"""What the log would refuse never reaches the outbox, where it would stop all behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bus.errors import RecordTooLarge
from bus.outbox import HEADER_BYTES, originate
from bus.record import record_bytes
from contracts.envelope import MOST_BYTES, from_headers
from contracts.examples import examples
from contracts.topics import COMPLETION_REQUESTED


def test_the_limit_is_that_of_the_topic_less_headers() -> None:
    example = examples(COMPLETION_REQUESTED.name)[0]
    envelope = from_headers(example.headers)
    event = COMPLETION_REQUESTED.event.model_validate_json(example.value)
    size = len(event.model_dump_json().encode())
    fits = replace(COMPLETION_REQUESTED, max_record_bytes=size + HEADER_BYTES)
    assert len(originate(fits, event, envelope).payload) == size
    narrow = replace(COMPLETION_REQUESTED, max_record_bytes=size + HEADER_BYTES - 1)
    with pytest.raises(RecordTooLarge, match=str(size)):
        originate(narrow, event, envelope)


def test_the_longest_headers_that_are_taken_fit_beside_the_largest_body() -> None:
    """What an event causes carries its ids on: were they too long, it could never be published."""
    example = examples(COMPLETION_REQUESTED.name)[0]
    longest = "x" * MOST_BYTES
    envelope = replace(
        from_headers(example.headers),
        correlation_id=longest,
        causation_id=longest,
        traceparent=longest,
        tenant_id=longest,
        subject="\U0001f375" * 200,
    )
    event = COMPLETION_REQUESTED.event.model_validate_json(example.value)
    row = replace(originate(COMPLETION_REQUESTED, event, envelope), key=f"{longest}/{'x' * 800}")
    record = row.record(envelope.traceparent)
    assert record.value is not None
    assert record_bytes(record) - len(record.value) <= HEADER_BYTES
