"""Sums of requests by hour, and what is stored of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from gateway.domain.usage import Request, UsageLedger
from hypothesis import given
from hypothesis import strategies as st
from runtime.clock import HeldClock

START = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
KEYS = [UUID(int=1), UUID(int=2)]
requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "POST"]),
    route=st.sampled_from(["/a", "/b/{id}"]),
    status=st.sampled_from([200, 404, 500]),
    seconds=st.floats(0, 60),
    request_bytes=st.integers(0, 10**9),
    response_bytes=st.integers(0, 10**9),
)
steps = st.lists(
    st.tuples(st.sampled_from(KEYS), requests)
    | st.integers(1, 3000)  # seconds that pass
    | st.sampled_from(["stored", "failed"])
)


def a_request(seconds: float = 0.5) -> Request:
    return Request("GET", "/a", 200, seconds, 10, 20)


@given(steps)
def test_what_is_stored_last_is_the_sum_of_all(moves: list[object]) -> None:
    clock = HeldClock(START)
    ledger = UsageLedger(clock.now)
    noted: list[tuple[UUID, Request]] = []
    stored: dict[object, tuple[int, float, int]] = {}
    for move in [*moves, "stored"]:
        if isinstance(move, tuple):
            noted.append(move)
            ledger.note(*move)
        elif isinstance(move, int):
            clock.advance(move)
        else:
            rows = ledger.unstored()
            if move == "failed":
                ledger.restore(slot for slot, _ in rows)
                continue
            for slot, tally in rows:
                stored[slot] = (tally.requests, tally.longest, tally.response_bytes)
            ledger.forget_past()
    assert sum(count for count, _, _ in stored.values()) == len(noted)
    assert sum(sent for _, _, sent in stored.values()) == sum(r.response_bytes for _, r in noted)
    longest = max((seconds for _, seconds, _ in stored.values()), default=0)
    assert longest == max((request.seconds for _, request in noted), default=0)


def test_a_slot_holds_sums_and_the_longest() -> None:
    ledger = UsageLedger(HeldClock(START).now)
    for seconds in (0.5, 2.0, 1.0):
        ledger.note(KEYS[0], a_request(seconds))
    ((slot, tally),) = ledger.unstored()
    assert slot.hour == START.replace(minute=0)
    assert (tally.requests, tally.seconds, tally.longest) == (3, 3.5, 2.0)
    assert (tally.request_bytes, tally.response_bytes) == (30, 60)
    assert tally.last_at == START


def test_what_is_stored_is_not_offered_again_until_it_grows() -> None:
    ledger = UsageLedger(HeldClock(START).now)
    ledger.note(KEYS[0], a_request())
    assert len(ledger.unstored()) == 1
    ledger.forget_past()
    assert ledger.unstored() == []
    ledger.note(KEYS[0], a_request())
    ((_, tally),) = ledger.unstored()
    assert tally.requests == 2


def test_an_hour_that_is_over_is_kept_until_it_is_stored() -> None:
    clock = HeldClock(START)
    ledger = UsageLedger(clock.now)
    ledger.note(KEYS[0], a_request())
    rows = ledger.unstored()
    clock.advance(3600)
    ledger.note(KEYS[0], a_request())
    ledger.restore(slot for slot, _ in rows)
    ledger.forget_past()
    assert [slot.hour.hour for slot, _ in sorted(ledger.unstored(), key=lambda r: r[0].hour)] == [
        10,
        11,
    ]
    ledger.forget_past()
    ledger.note(KEYS[0], a_request())
    ((slot, tally),) = ledger.unstored()
    assert (slot.hour.hour, tally.requests) == (11, 2)


def test_a_clock_that_is_set_back_starts_no_hour_again() -> None:
    now = START
    ledger = UsageLedger(lambda: now)
    ledger.note(KEYS[0], a_request())
    ledger.unstored()
    now = START + timedelta(hours=1)
    ledger.note(KEYS[0], a_request())
    ledger.unstored()
    ledger.forget_past()
    now = START  # the totals of this hour are forgotten: a new row would replace the stored one
    ledger.note(KEYS[0], a_request())
    ((slot, tally),) = ledger.unstored()
    assert (slot.hour.hour, tally.requests) == (11, 2)
