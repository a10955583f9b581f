"""Faults as values: reading the header, and drawing from rates reproducibly."""

from __future__ import annotations

from collections import Counter

import pytest
from devkit.simulator.faults import Fault, FaultError, FaultKind, FaultRates, parse_fault
from hypothesis import given
from hypothesis import strategies as st

DRAWN_BEFORE = [
    "timeout",
    "malformed-json",
    "timeout",
    "status=500",
    "malformed-json",
    "none",
    "none",
    "none",
    "status=500",
    "status=500",
    "none",
    "none",
]
RATES = FaultRates(
    status_500=0.1,
    status_429=0.2,
    timeout=0.05,
    cut_stream=0.05,
    malformed_json=0.05,
    status_529=0.05,
    error_in_stream=0.05,
    no_finish=0.05,
    hang_stream=0.05,
    empty=0.05,
    garbage=0.05,
    filtered=0.05,
    break_schema=0.05,
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
        ("error-in-stream", Fault(FaultKind.STREAM_ERROR)),
        ("no-finish", Fault(FaultKind.NO_FINISH)),
        ("hang-stream=2", Fault(FaultKind.HANG_STREAM, timeout_s=2)),
        ("empty", Fault(FaultKind.EMPTY)),
        ("garbage", Fault(FaultKind.GARBAGE)),
        ("filtered;chunk-delay=0.05", Fault(FaultKind.FILTERED, chunk_delay_s=0.05)),
        ("break-schema;first=1", Fault(FaultKind.BREAK_SCHEMA, first=1)),
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
        "empty=1",
        "hang-stream=soon",
        "chunk-delay=-1",
        "filtered;garbage",
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
        "none": 0.15,
        **dict.fromkeys(("cut-stream", "malformed-json", "status=529", "error-in-stream"), 0.05),
        **dict.fromkeys(("no-finish", "hang-stream", "empty", "garbage"), 0.05),
        **dict.fromkeys(("filtered", "break-schema"), 0.05),
    }
    assert set(labels) == set(expected)
    for label, rate in expected.items():  # standard errors are at most 0.0045
        assert labels[label] / count == pytest.approx(rate, abs=0.02)


@given(st.integers(), st.text(), st.integers(0, 100))
def test_draws_repeat_and_carry_the_configured_times(
    seed: int, identity: str, attempt: int
) -> None:
    fault = RATES.draw(seed, identity, attempt)
    assert fault == RATES.draw(seed, identity, attempt)
    assert 0.5 <= fault.latency_s <= 0.75
    if fault.status == 429:
        assert fault.retry_after_s == 3
    if fault.kind in (FaultKind.TIMEOUT, FaultKind.HANG_STREAM):
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


def test_new_kinds_of_faults_did_not_change_what_a_seed_draws() -> None:
    older = FaultRates(status_500=0.3, timeout=0.2, malformed_json=0.1)
    labels = [older.draw(1, f"request {at}", 0).label for at in range(12)]
    assert labels == DRAWN_BEFORE


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
        {"chunk_delay_s": -1.0},
        {"empty": 0.6, "filtered": 0.6},
        {"cut_stream": float("nan")},
    ],
)
def test_senseless_rates_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(FaultError):
        FaultRates(**values)
