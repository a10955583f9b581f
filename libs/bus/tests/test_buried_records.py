"""What a dead letter carries, what it gives back, and when there are too many of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from bus.dead_letter import MESSAGE_CHARS, DeadLetters, FailureLimit, Rejected, dlq_fields
from bus.errors import ConsumerHalted, LogUnavailable
from bus.record import OutRecord, Record
from bus.replay import original
from contracts.telemetry import CONSUMER_HALTED
from hypothesis import given
from hypothesis import strategies as st
from libs.bus.tests.toy_delivery import AT, DLQ, GROUP, PLACED
from runtime.clock import HeldClock
from runtime.metrics import value


class _Sent:
    """A producer that keeps what it is given, or refuses it."""

    def __init__(self) -> None:
        self.records: list[OutRecord] = []
        self.down = False

    async def send(self, records: Sequence[OutRecord]) -> None:
        if self.down:
            raise LogUnavailable("down")
        self.records += records

    async def close(self) -> None:
        """Nothing to flush."""


def letters(limit: FailureLimit | None = None) -> tuple[DeadLetters, _Sent]:
    """Dead letters of a group of its own, and where they go."""
    sent = _Sent()
    return DeadLetters(sent, GROUP, HeldClock(AT), limit), sent


def rejected(number: int = 0) -> Rejected:
    """A rejected record."""
    return Rejected(Record(PLACED.name, 0, number, b"a", b"x", (), 0), "permanent", "no", 1)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
records = st.builds(
    Record,
    topic=st.just(PLACED.name),
    partition=st.integers(0, 99),
    offset=st.integers(0, 2**40),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=50),
    headers=st.lists(
        st.tuples(texts.filter(lambda name: not name.startswith("dlq-")), st.binary(max_size=20)),
        max_size=5,
    ).map(tuple),
    timestamp_ms=st.just(5),
)


@given(records, st.lists(texts, min_size=1, max_size=3), st.integers(1, 9))
@pytest.mark.asyncio
async def test_a_buried_record_comes_back_as_it_was(
    record: Record, messages: list[str], attempts: int
) -> None:
    current = record
    for message in messages:  # buried, replayed and buried again
        dead_letters, sent = letters()
        await dead_letters.bury([Rejected(current, "permanent", message, attempts)])
        (letter,) = sent.records
        assert letter.topic == DLQ
        read = Record(DLQ, 0, 3, letter.key, letter.value, letter.headers, 5)
        assert dlq_fields(read)["message"] == message
        assert len([name for name, _ in read.headers if name == "dlq-reason"]) == 1
        current = original(read)
        assert current == record


@pytest.mark.asyncio
async def test_a_letter_says_where_it_is_from_and_why() -> None:
    dead_letters, sent = letters()
    record = Record(PLACED.name, 2, 17, None, None, (("ce_id", b"\xff"),), 0)
    await dead_letters.bury([Rejected(record, "bad-header", "m" * 5000, 1)])
    (letter,) = sent.records
    assert letter.headers[0] == ("ce_id", b"\xff")
    assert dlq_fields(Record(DLQ, 0, 0, None, None, letter.headers, 0)) == {
        "reason": "bad-header",
        "message": "m" * MESSAGE_CHARS,
        "attempts": "1",
        "group": GROUP,
        "topic": PLACED.name,
        "partition": "2",
        "offset": "17",
        "at": AT.isoformat(),
    }


def test_a_few_failures_do_not_trip_the_limit() -> None:
    limit = FailureLimit(ratio=0.5, minimum=10, window=100)
    limit.note(rejected=9, applied=0)
    limit.note(rejected=0, applied=91)
    for _ in range(40):
        limit.note(rejected=1, applied=1)


def test_too_large_a_share_trips_it() -> None:
    limit = FailureLimit(ratio=0.5, minimum=10, window=100)
    limit.note(rejected=9, applied=0)
    with pytest.raises(ConsumerHalted, match="10 of the last 10"):
        limit.note(rejected=1, applied=0)


def test_the_window_forgets() -> None:
    limit = FailureLimit(ratio=0.5, minimum=10, window=20)
    limit.note(rejected=9, applied=0)
    limit.note(rejected=0, applied=20)
    limit.note(rejected=9, applied=0)


@given(
    applied=st.integers(0, 400),
    rejected_=st.integers(0, 400),
    repeats=st.integers(1, 4),
)
def test_a_batch_larger_than_the_window_counts_by_its_share(
    applied: int, rejected_: int, repeats: int
) -> None:
    """The order inside a batch is not known: a fifth of rejected records stays a fifth."""
    limit = FailureLimit(ratio=0.5, minimum=50, window=200)
    if rejected_ * 2 > applied:
        return
    for _ in range(repeats):
        limit.note(rejected=rejected_, applied=applied)


@pytest.mark.asyncio
async def test_past_the_limit_nothing_is_written() -> None:
    dead_letters, sent = letters(FailureLimit(ratio=0.5, minimum=5, window=20))
    await dead_letters.bury([rejected(n) for n in range(4)])
    assert value(CONSUMER_HALTED, service=GROUP) == 0
    with pytest.raises(ConsumerHalted):
        await dead_letters.bury([rejected(4)])
    assert len(sent.records) == 4
    assert value(CONSUMER_HALTED, service=GROUP) == 1


@pytest.mark.asyncio
async def test_a_letter_that_could_not_be_written_counts_once() -> None:
    """While the log is down one record is tried again and again: it is still one record."""
    dead_letters, sent = letters(FailureLimit(ratio=0.5, minimum=5, window=20))
    sent.down = True
    for _ in range(20):
        with pytest.raises(LogUnavailable):
            await dead_letters.bury([rejected()], applied=1)
    sent.down = False
    await dead_letters.bury([rejected()])
    assert len(sent.records) == 1
