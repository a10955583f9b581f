"""What a dead letter carries, what it gives back, and when there are too many of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from bus.dead_letter import MESSAGE_CHARS, DeadLetters, FailureLimit, Rejected, dlq_fields, left_out
from bus.errors import ConsumerHalted, LogUnavailable, RecordTooLarge
from bus.fitting import without_largest
from bus.provision import DLQ_MAX_BYTES
from bus.record import Headers, OutRecord, Record, record_bytes
from bus.replay import original
from contracts.telemetry import CONSUMER_HALTED
from hypothesis import given
from hypothesis import strategies as st
from libs.bus.tests.toy_delivery import AT, DLQ, GROUP, PLACED
from runtime.clock import HeldClock
from runtime.metrics import value


class _Sent:
    """A producer that keeps what it is given, or refuses it; all, or what has too many bytes."""

    def __init__(self) -> None:
        self.records: list[OutRecord] = []
        self.down = False
        self.limit = DLQ_MAX_BYTES

    async def send(self, records: Sequence[OutRecord]) -> None:
        if self.down:
            raise LogUnavailable("down")
        if any(record_bytes(record) > self.limit for record in records):
            raise RecordTooLarge("too large")
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


HUGE = DLQ_MAX_BYTES + 1
WHOSE: Headers = (("ce_tenantid", b"acme"), ("x-note", b"fine"))


def large(
    key: bytes | None = b"k", value_: bytes | None = b"v", headers: Headers = WHOSE
) -> Rejected:
    return Rejected(Record(PLACED.name, 1, 7, key, value_, headers, 0), "oversize", "large", 1)


def read(letter: OutRecord) -> Record:
    return Record(DLQ, 0, 0, letter.key, letter.value, letter.headers, 0)


@pytest.mark.parametrize(
    ("given_", "said", "kept"),
    [
        (large(value_=bytes(HUGE)), f"body ({HUGE} bytes)", (b"k", None, WHOSE)),
        (
            large(headers=(*WHOSE, ("x", bytes(HUGE)))),
            f"headers ({HUGE + 11} bytes)",
            (b"k", b"v", WHOSE[:1]),
        ),
        (
            large(headers=(("ce_id", bytes(HUGE)), *WHOSE[1:])),
            f"ce_* headers ({HUGE + 5} bytes)",
            (b"k", b"v", WHOSE[1:]),
        ),
        (large(key=bytes(HUGE)), f"key ({HUGE} bytes)", (None, b"v", WHOSE)),
        (
            large(value_=bytes(HUGE), headers=(*WHOSE, ("x", bytes(2 * HUGE)))),
            f"headers ({2 * HUGE + 11} bytes), body ({HUGE} bytes)",
            (b"k", None, WHOSE[:1]),
        ),
    ],
    ids=["body", "headers", "attributes", "key", "two parts"],
)
@pytest.mark.asyncio
async def test_what_does_not_fit_is_left_out_and_said(
    given_: Rejected, said: str, kept: tuple[bytes | None, bytes | None, Headers]
) -> None:
    dead_letters, sent = letters()
    await dead_letters.bury([given_, rejected()])
    letter, whole = map(read, sent.records)
    assert left_out(letter) == said
    assert (letter.key, letter.value, original(letter).headers) == kept
    assert (dlq_fields(letter)["reason"], dlq_fields(letter)["message"]) == ("oversize", "large")
    assert str(original(letter)) == f"{PLACED.name}[1]@7"
    assert (whole.value, left_out(whole)) == (b"x", "")


@pytest.mark.asyncio
async def test_what_just_fits_is_whole() -> None:
    dead_letters, sent = letters()
    await dead_letters.bury([large(value_=b"")])
    room = DLQ_MAX_BYTES - record_bytes(sent.records[0])
    await dead_letters.bury([large(value_=bytes(room)), large(value_=bytes(room + 1))])
    _, just, over = sent.records
    assert (len(just.value or b""), left_out(read(just))) == (room, "")
    assert left_out(read(over)) == f"body ({room + 1} bytes)"


@pytest.mark.asyncio
async def test_a_log_that_takes_less_than_agreed_gets_less() -> None:
    """Its limit may count more than we do, or be another by now."""
    dead_letters, sent = letters()
    sent.limit = 2000
    await dead_letters.bury([rejected(1), large(value_=bytes(3000)), rejected(2)])
    assert [left_out(read(letter)) for letter in sent.records] == ["", "body (3000 bytes)", ""]


@pytest.mark.asyncio
async def test_a_log_that_takes_no_letter_at_all_is_waited_for() -> None:
    dead_letters, sent = letters()
    sent.limit = 10
    with pytest.raises(LogUnavailable, match="takes no letter"):
        await dead_letters.bury([rejected()])
    assert sent.records == []


def test_of_nothing_nothing_is_left_out() -> None:
    assert without_largest(OutRecord(DLQ, None, b"", (("dlq-reason", b"x"),))) is None
