"""Texts while they are written: no word is lost or told twice, and none comes too often."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from gateway.domain.live import INTERVAL_SECONDS, Coalescer, merged
from gateway.domain.readings import TextPiece
from hypothesis import given
from hypothesis import strategies as st


def piece(answer: int, index: int, attempt: int = 1, text: str | None = None) -> TextPiece:
    said = f"{attempt}.{index};" if text is None else text
    return TextPiece("t", UUID(int=99), UUID(int=answer), "openai/gpt-5", attempt, index, said)


def told(pieces: list[TextPiece]) -> dict[int, str]:
    """What somebody who watches has in the end: a higher attempt starts over."""
    shown: dict[int, tuple[int, str]] = {}
    for one in pieces:
        attempt, text = shown.get(one.completion_id.int, (one.attempt, ""))
        if one.attempt > attempt:
            attempt, text = one.attempt, ""
        if one.attempt == attempt:
            shown[one.completion_id.int] = attempt, text + one.text
    return {answer: text for answer, (_, text) in shown.items()}


STREAMS = st.lists(
    st.builds(piece, st.integers(0, 2), st.integers(0, 9), st.integers(1, 3)), max_size=40
)


@given(STREAMS)
def test_merging_changes_nothing_of_what_is_told(pieces: list[TextPiece]) -> None:
    assert told(merged(pieces)) == told(pieces)


@given(STREAMS)
def test_merging_leaves_one_piece_an_answer(pieces: list[TextPiece]) -> None:
    found = [one.completion_id for one in merged(pieces)]
    assert found == list(dict.fromkeys(one.completion_id for one in pieces))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 0.06)), max_size=60))
def test_texts_come_whole_in_order_and_at_most_every_interval(
    steps: list[tuple[int, float]],
) -> None:
    coalescer, now, sent, shown = Coalescer(), 100.0, [], []
    for index, (answer, wait) in enumerate(steps):
        now += wait
        sent.append(piece(answer, index))
        coalescer.add(sent[-1])
        shown += [(now, one) for one in coalescer.due(now)]
    shown += [(now, one) for one in coalescer.rest()]
    assert told([one for _, one in shown]) == told(sent)
    last = len(coalescer.rest())
    assert last == 0
    for answer in range(3):
        times = [at for at, one in shown if one.completion_id.int == answer]
        gaps = [b - a for a, b in pairwise(times)]
        assert all(gap > INTERVAL_SECONDS - 1e-9 for gap in gaps[:-1])


@given(st.lists(st.floats(0, 0.2), max_size=30))
def test_it_says_when_to_look_again(waits: list[float]) -> None:
    coalescer, now = Coalescer(), 100.0
    for index, wait in enumerate(waits):
        coalescer.add(piece(1, index))
        coalescer.due(now)
        due = coalescer.next_due()
        if due is not None:
            assert now < due <= now + INTERVAL_SECONDS
            assert coalescer.due(due)
            assert coalescer.next_due() is None
            now = due
        now += wait


def test_a_first_piece_shows_at_once() -> None:
    coalescer = Coalescer()
    assert coalescer.next_due() is None
    coalescer.add(piece(1, 0))
    assert [one.text for one in coalescer.due(0.0)] == ["1.0;"]


def test_answers_that_are_long_over_take_no_memory() -> None:
    coalescer = Coalescer()
    for n in range(10_000):
        coalescer.add(piece(n, 0))
        coalescer.due(float(n))
    assert len(vars(coalescer)["_shown"]) <= 2
