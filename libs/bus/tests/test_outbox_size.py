"""What the log would refuse never reaches the outbox, where it would stop all behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bus.errors import RecordTooLarge
from bus.outbox import HEADER_BYTES, originate
from contracts.envelope import from_headers
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
