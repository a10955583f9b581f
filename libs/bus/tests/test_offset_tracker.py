"""Any order of finishing: what may be committed is the lowest record that is not done."""

from __future__ import annotations

import pytest
from bus.offset_tracker import OffsetTracker
from hypothesis import given
from hypothesis import strategies as st

offsets = st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=40).map(sorted)


def lowest_open(started: list[int], finished: set[int]) -> int:
    """What the group may commit: everything below is done."""
    still_open = [offset for offset in started if offset not in finished]
    return still_open[0] if still_open else started[-1] + 1


@given(offsets, st.data())
def test_the_commit_never_passes_an_unfinished_record(
    started: list[int], data: st.DataObject
) -> None:
    tracker = OffsetTracker()
    for offset in started:
        tracker.start(offset)
    committed, finished = started[0], set[int]()
    for offset in data.draw(st.permutations(started)):
        tracker.finish(offset)
        finished.add(offset)
        ready = tracker.take_commit()
        committed = committed if ready is None else ready
        # Offsets have gaps: any commit between the last done and the first open says the same.
        assert {o for o in started if o < committed} == {
            o for o in started if o < lowest_open(started, finished)
        }
    assert tracker.span == 0


@given(offsets, st.data())
def test_starting_and_finishing_in_turns(started: list[int], data: st.DataObject) -> None:
    tracker, begun, finished = OffsetTracker(), list[int](), set[int]()
    committed = 0
    todo = list(started)
    while todo or len(finished) < len(begun):
        working = [offset for offset in begun if offset not in finished]
        if todo and (not working or data.draw(st.booleans())):
            tracker.start(todo[0])
            begun.append(todo.pop(0))
        else:
            offset = data.draw(st.sampled_from(working))
            tracker.finish(offset)
            finished.add(offset)
        committed = tracker.take_commit() or committed
        assert all(offset in finished for offset in begun if offset < committed)
        assert tracker.span == len([o for o in begun if o >= lowest_open(begun, finished)])
    assert committed == started[-1] + 1


def test_a_commit_is_taken_once() -> None:
    tracker = OffsetTracker()
    tracker.start(4)
    tracker.finish(4)
    assert tracker.take_commit() == 5
    assert tracker.take_commit() is None


def test_offsets_start_in_rising_order() -> None:
    tracker = OffsetTracker()
    tracker.start(4)
    with pytest.raises(ValueError, match="out of order"):
        tracker.start(4)


def test_a_record_of_an_earlier_ownership_counts_for_nothing() -> None:
    tracker = OffsetTracker()
    tracker.finish(3)
    assert tracker.take_commit() is None
