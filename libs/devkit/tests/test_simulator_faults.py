"""Faults as values: reading the header, and drawing from rates reproducibly."""

from __future__ import annotations

from collections import Counter

import pytest
from devkit.simulator.faults import Fault, FaultError, FaultKind, FaultRates, parse_fault
from hypothesis import given
from hypothesis import strategies as st

RATES = FaultRates(
    status_500=0.1,
    status_429=0.2,
    timeout=0.05,
    cut_stream=0.15,
    malformed_json=0.1,
    retry_after_s=3,
    timeout_s=2,
    latency_s=0.5,
    latency_jitter_s=0.25,
)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", Fault()),
        ("none", Fault()),
        ("status=500", Fault(FaultKind.STATUS, 500)),
        ("status=429;retry-after=1", Fault(FaultKind.STATUS, 429, retry_after_s=1)),
        (" retry-after=1.5 ; status=429 ", Fault(FaultKind.STATUS, 429, retry_after_s=1.5)),
        ("timeout", Fault(FaultKind.TIMEOUT)),
        ("timeout=5", Fault(FaultKind.TIMEOUT, timeout_s=5)),
        ("cut-stream;latency=0.2", Fault(FaultKind.CUT, latency_s=0.2)),
        ("malformed-json;first=2", Fault(FaultKind.MALFORMED, first=2)),
    ],
)
def test_header_directives(header: str, fault: Fault) -> None:
    assert parse_fault(header) == fault


@pytest.mark.parametrize(
    "header",
    [
        "explode",
        "status",
        "status=200",
        "status=abc",
        "status=600",
        "status=-1",
        "status=²",
        "latency=soon",
        "latency=-1",
        "latency=inf",
        "timeout=nan",
        "cut-stream=3",
        "status=500;timeout",
        "retry-after=1",
        "first=many",
    ],
)
def test_senseless_headers_are_refused(header: str) -> None:
    with pytest.raises(FaultError):
        parse_fault(header)


def test_first_limits_a_fault_to_the_first_attempts() -> None:
    fault = parse_fault("status=500;first=2")
    assert [fault.at_attempt(at).kind for at in range(3)] == ["status", "status", "none"]
    assert parse_fault("status=500").at_attempt(1000).kind is FaultKind.STATUS


def test_rates_are_kept() -> None:
    count = 8000
    labels = Counter(RATES.draw(1, f"request {at}", 0).label for at in range(count))
    expected = {
        "status=500": 0.1,
        "status=429": 0.2,
        "timeout": 0.05,
        "cut-stream": 0.15,
        "malformed-json": 0.1,
        "none": 0.4,
    }
    assert set(labels) == set(expected)
    for label, rate in expected.items():
        assert labels[label] / count == pytest.approx(rate, abs=0.025)


@given(st.integers(), st.text(), st.integers(0, 100))
def test_draws_repeat_and_carry_the_configured_times(
    seed: int, identity: str, attempt: int
) -> None:
    fault = RATES.draw(seed, identity, attempt)
    assert fault == RATES.draw(seed, identity, attempt)
    assert 0.5 <= fault.latency_s <= 0.75
    if fault.status == 429:
        assert fault.retry_after_s == 3
    if fault.kind is FaultKind.TIMEOUT:
        assert fault.timeout_s == 2


def test_attempts_and_seeds_are_drawn_anew() -> None:
    kinds = {RATES.draw(1, "same", attempt).label for attempt in range(200)}
    assert "none" in kinds
    assert len(kinds) > 3
    by_seed = [[RATES.draw(seed, "same", at).label for at in range(50)] for seed in (1, 2)]
    assert by_seed[0] != by_seed[1]


def test_latency_varies_within_its_jitter() -> None:
    latencies = [RATES.draw(1, str(at), 0).latency_s for at in range(200)]
    assert min(latencies) < 0.55
    assert max(latencies) > 0.7


def test_no_rates_means_no_faults() -> None:
    assert not FaultRates().active
    assert FaultRates().draw(1, "x", 0) == Fault()
    assert FaultRates(latency_jitter_s=0.1).active
    assert FaultRates(malformed_json=1.0).draw(1, "x", 0).kind is FaultKind.MALFORMED


@pytest.mark.parametrize(
    "values",
    [
        {"status_500": 1.5},
        {"timeout": -0.1},
        {"status_500": 0.6, "status_429": 0.6},
        {"latency_s": -1.0},
        {"timeout_s": float("inf")},
        {"cut_stream": float("nan")},
    ],
)
def test_senseless_rates_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(FaultError):
        FaultRates(**values)
