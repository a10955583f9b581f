"""Trace context as text, metrics by declaration, clocks and ids."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from contracts.telemetry import LOOP_LAG, METRICS, OUTBOX_OLDEST, PROVIDER_SECONDS, RECORDS, Metric
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_current_span
from runtime.clock import HeldClock, SystemClock
from runtime.deadline import Deadline
from runtime.ids import new_id
from runtime.loop_lag import loop_lag
from runtime.metrics import counter, exposition, gauge, histogram, value
from runtime.tracing import context_from, traceparent_of

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACER = TracerProvider().get_tracer("test")


def test_a_trace_goes_on_through_its_text() -> None:
    span = TRACER.start_span("consumer", context=context_from(TRACEPARENT))
    found = traceparent_of(span)
    assert found is not None
    version, trace, parent, flags = found.split("-")
    assert (version, trace, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert parent == format(span.get_span_context().span_id, "016x") != "00f067aa0ba902b7"


def test_the_text_of_the_current_span_comes_back() -> None:
    assert traceparent_of() is None
    with TRACER.start_as_current_span("request") as span:
        found = traceparent_of()
        assert found == traceparent_of(span)
    context = context_from(found)
    assert context is not None
    read = get_current_span(context).get_span_context()
    assert read.trace_id == span.get_span_context().trace_id
    assert read.span_id == span.get_span_context().span_id
    assert read.is_remote


def test_no_text_is_no_context() -> None:
    assert context_from(None) is None


@pytest.mark.parametrize(
    "text", ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-zz"]
)
def test_a_bad_text_begins_a_new_trace(text: str) -> None:
    span = TRACER.start_span("consumer", context=context_from(text))
    assert span.get_span_context().is_valid
    assert "0" * 32 not in (traceparent_of(span) or "")


def test_a_counter_counts() -> None:
    labels = {"service": "test", "topic": "t", "outcome": "applied"}
    assert value(RECORDS, **labels) == 0
    counter(RECORDS).labels(*labels.values()).inc(2)
    counter(RECORDS).labels(*labels.values()).inc()
    assert value(RECORDS, **labels) == 3
    assert value(RECORDS, **(labels | {"outcome": "duplicate"})) == 0


def test_a_gauge_is_set() -> None:
    gauge(OUTBOX_OLDEST).labels("test").set(2.5)
    gauge(OUTBOX_OLDEST).labels("test").set(1.5)
    assert value(OUTBOX_OLDEST, service="test") == 1.5


def test_a_histogram_counts_its_observations_in_the_declared_buckets() -> None:
    histogram(PROVIDER_SECONDS).labels("test", "acme").observe(0.3)
    assert value(PROVIDER_SECONDS, service="test", provider="acme") == 1
    lines = [line for line in exposition().decode().splitlines() if 'service="test"' in line]
    buckets = [line for line in lines if line.startswith(f"{PROVIDER_SECONDS.name}_bucket")]
    assert len(buckets) == len(PROVIDER_SECONDS.buckets) + 1
    assert any('le="0.25"' in line and line.endswith(" 0.0") for line in buckets)
    assert any('le="0.5"' in line and line.endswith(" 1.0") for line in buckets)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_declared_metric_can_be_made_and_exported(metric: Metric) -> None:
    makers = {"counter": counter, "gauge": gauge, "histogram": histogram}
    made = makers[metric.kind](metric)
    assert made is makers[metric.kind](metric)
    made.labels(*("made" for _ in metric.labels))
    family = metric.name.removesuffix("_total")
    assert f"# TYPE {family}" in exposition().decode()


@pytest.mark.asyncio
async def test_a_loop_that_is_held_up_shows() -> None:
    lag = loop_lag("test-lag")
    await lag.start()
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # noqa: ASYNC251 - the subject of the test
    await asyncio.sleep(0.01)
    await lag.stop(Deadline(30))
    (late,) = histogram(LOOP_LAG).labels("test-lag").collect()
    total = next(sample.value for sample in late.samples if sample.name.endswith("_sum"))
    assert total >= 0.1
    assert value(LOOP_LAG, service="test-lag") >= 1


def test_a_held_clock_moves_when_told() -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    clock = HeldClock(now)
    assert (clock.now(), clock.monotonic()) == (now, 0.0)
    clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (now + timedelta(seconds=1.5), 1.5)


def test_the_systems_clock_has_a_time_zone_and_runs() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 30
    assert clock.monotonic() > before


def test_ids_are_new_and_sorted_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}
