"""The quota of a model, on a clock of its own."""

from __future__ import annotations

import pytest
from devkit.simulator import ModelSettings, SettingsError
from devkit.simulator.quota import Quota
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def admitted(quota: Quota) -> bool:
    if quota.enter() is None:
        quota.leave()
        return True
    return False


def test_requests_come_back_steadily() -> None:
    clock = Clock()
    quota = Quota(ModelSettings(requests_per_minute=6), clock)
    assert [admitted(quota) for _ in range(7)] == [True] * 6 + [False]
    assert quota.enter() == pytest.approx(10)
    assert quota.state().reset_s == pytest.approx(60)
    clock.now = 10.0
    assert [admitted(quota) for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert quota.state().remaining == 6


@given(st.integers(1, 50), st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_no_minute_admits_more_than_its_share_and_the_refill(
    per_minute: int, pauses: list[float]
) -> None:
    clock = Clock()
    quota = Quota(ModelSettings(requests_per_minute=per_minute), clock)
    times = []
    for pause in pauses:
        clock.now += pause
        if admitted(quota):
            times.append(clock.now)
    for start in times:
        within = sum(start <= at <= start + 60 for at in times)
        assert within <= 2 * per_minute + 1


@given(st.integers(1, 50), st.integers(1, 60))
def test_waiting_as_advised_is_enough(per_minute: int, calls: int) -> None:
    clock = Clock()
    quota = Quota(ModelSettings(requests_per_minute=per_minute), clock)
    for _ in range(calls):
        wait = quota.enter()
        if wait is not None:
            clock.now += wait + 1e-6
            assert quota.enter() is None
        quota.leave()


def test_slots_are_limited_too_and_a_refusal_takes_nothing() -> None:
    clock = Clock()
    quota = Quota(ModelSettings(requests_per_minute=100, max_concurrency=2), clock, retry_s=7)
    assert [quota.enter() for _ in range(3)] == [None, None, 7]
    assert quota.state().remaining == 98
    quota.leave()
    assert quota.enter() is None


def test_without_a_rate_the_slots_are_announced() -> None:
    quota = Quota(ModelSettings(max_concurrency=2), Clock(), retry_s=7)
    assert quota.enter() is None
    state = quota.state()
    assert (state.limit, state.remaining, state.reset_s) == (2, 1, 7)
    assert state.headers(0.0)["x-ratelimit-reset-requests"] == "7000ms"
    assert state.headers(0.0)["anthropic-ratelimit-requests-reset"] == "1970-01-01T00:00:07Z"


@pytest.mark.parametrize(
    "values",
    [
        {"context_tokens": 0},
        {"max_output_tokens": 0},
        {"requests_per_minute": 0},
        {"max_concurrency": -1},
        {"tool_rate": 1.5},
        {"modalities": ("image",)},
        {"modalities": ("text", "sound")},
    ],
)
def test_senseless_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ModelSettings(**values)  # type: ignore[arg-type]
