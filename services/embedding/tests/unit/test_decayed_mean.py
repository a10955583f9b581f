"""The arithmetic of the time-decayed mean, against its formula."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from embedding.domain.decay import DecayedMean, Newest, mean_of, start
from hypothesis import given
from hypothesis import strategies as st

WHEN = datetime(2026, 11, 4, tzinfo=UTC)
MONTH = timedelta(days=30)

at_times = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)
close_times = st.integers(0, 400).map(lambda days: WHEN - timedelta(days=days))
numbers = st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4)
half_lives = st.floats(0.01, 3650).map(lambda days: timedelta(days=days))


@st.composite
def heard(draw: st.DrawFn) -> list[Newest]:
    """Messages of one user, no two of one name."""
    times = draw(st.sampled_from([at_times, close_times]))
    pairs = draw(st.lists(st.tuples(times, numbers), min_size=1, max_size=12))
    return [
        Newest(at, f"m-{number}", np.array(vector, dtype=np.float32))
        for number, (at, vector) in enumerate(pairs)
    ]


def formula(messages: list[Newest], half_life: timedelta) -> tuple[np.ndarray, float]:
    """Sum and weight as defined, from all messages at once."""
    newest = max(item.at for item in messages)
    weights = [2.0 ** -((newest - item.at) / half_life) for item in messages]
    vectors = [item.vector.astype(np.float64) for item in messages]
    total = sum((w * v for w, v in zip(weights, vectors, strict=True)), np.zeros(4))
    return total, sum(weights)


@given(heard(), half_lives)
def test_one_at_a_time_gives_what_the_formula_says(
    messages: list[Newest], half_life: timedelta
) -> None:
    mean = mean_of(None, messages, half_life)
    assert mean is not None
    total, weight = formula(messages, half_life)
    assert mean.total == pytest.approx(total, abs=1e-9)
    assert mean.weight == pytest.approx(weight)
    assert mean.count == len(messages)
    assert (mean.newest.at, mean.newest.name) == max((m.at, m.name) for m in messages)


@given(heard(), half_lives, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    messages: list[Newest], half_life: timedelta, rng: object
) -> None:
    shuffled = list(messages)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = mean_of(None, messages, half_life), mean_of(None, shuffled, half_life)
    assert one is not None
    assert other is not None
    assert one.total == pytest.approx(other.total, abs=1e-9)
    assert one.weight == pytest.approx(other.weight)
    assert one.newest == other.newest


@given(heard(), st.integers(0, 12), half_lives)
def test_parts_of_a_history_make_the_whole(
    messages: list[Newest], cut: int, half_life: timedelta
) -> None:
    first = mean_of(None, messages[:cut], half_life)
    parts = mean_of(first, messages[cut:], half_life)
    whole = mean_of(None, messages, half_life)
    assert parts is not None
    assert whole is not None
    assert parts.total == pytest.approx(whole.total, abs=1e-12)


@given(heard(), half_lives)
def test_nothing_overflows_and_a_direction_has_length_1(
    messages: list[Newest], half_life: timedelta
) -> None:
    mean = mean_of(None, messages, half_life)
    assert mean is not None
    assert np.isfinite(mean.total).all()
    assert 1.0 <= mean.weight <= len(messages)
    if mean.vector is not None:
        assert float(np.linalg.norm(mean.vector)) == pytest.approx(1, abs=1e-6)


def test_a_half_life_halves() -> None:
    old = Newest(WHEN - MONTH, "a", np.array([1, 0], dtype=np.float32))
    new = Newest(WHEN, "b", np.array([0, 1], dtype=np.float32))
    for order in ([old, new], [new, old]):
        mean = mean_of(None, order, MONTH)
        assert mean is not None
        assert mean.total == pytest.approx([0.5, 1.0])
        assert mean.weight == 1.5


def test_a_message_of_long_ago_neither_counts_nor_fails() -> None:
    old = Newest(datetime(1970, 1, 1, tzinfo=UTC), "a", np.array([1, 0], dtype=np.float32))
    new = Newest(WHEN, "b", np.array([0, 1], dtype=np.float32))
    for order in ([old, new], [new, old]):
        mean = mean_of(None, order, timedelta(days=1))
        assert mean is not None
        assert list(mean.total) == [0, 1]
        assert mean.count == 2


def test_messages_that_cancel_out_have_no_direction() -> None:
    one = Newest(WHEN, "a", np.array([1, 0], dtype=np.float32))
    other = Newest(WHEN, "b", np.array([-1, 0], dtype=np.float32))
    mean: DecayedMean | None = mean_of(start(one), [other], MONTH)
    assert mean is not None
    assert mean.vector is None
    assert mean.newest.name == "b"


def test_no_messages_are_no_mean() -> None:
    assert mean_of(None, [], MONTH) is None
