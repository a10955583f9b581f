"""Metric names follow Prometheus' conventions, and labels stay small."""

from __future__ import annotations

import re

import pytest
from contracts.telemetry import METRICS, Metric

UNITS = ("_seconds", "_records", "_calls", "_bytes", "_ratio", "_users")
NAME = re.compile(r"^limelight_[a-z]+(_[a-z]+)*$")
UNBOUNDED = {"tenant", "tenant_id", "run_id", "completion_id", "id", "key", "message", "model"}
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def is_flag(metric: Metric) -> bool:
    return metric.kind == "gauge" and metric.help.startswith("1 if ")


def test_there_are_metrics_and_their_names_are_unique() -> None:
    assert METRICS
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@each_metric
def test_name_has_our_prefix(metric: Metric) -> None:
    assert NAME.match(metric.name)


@each_metric
def test_counters_and_only_counters_end_in_total(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")


@each_metric
def test_what_is_measured_has_its_unit_in_the_name(metric: Metric) -> None:
    assert metric.kind == "counter" or is_flag(metric) or metric.name.endswith(UNITS)


@each_metric
def test_names_do_not_end_like_the_series_of_a_histogram(metric: Metric) -> None:
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created", "_info"))


@each_metric
def test_labels_are_distinct_start_with_the_service_and_are_bounded(metric: Metric) -> None:
    assert len(set(metric.labels)) == len(metric.labels)
    assert metric.labels[0] == "service"
    assert not UNBOUNDED & set(metric.labels)


@each_metric
def test_help_is_a_sentence(metric: Metric) -> None:
    assert metric.help.endswith(".")


@each_metric
def test_buckets_rise(metric: Metric) -> None:
    assert list(metric.buckets) == sorted(set(metric.buckets))
