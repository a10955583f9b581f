"""The only place that makes Prometheus metrics; their names live in ``contracts.telemetry``."""

from __future__ import annotations

from functools import cache

from contracts.telemetry import METRICS, Metric
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest


@cache
def counter(metric: Metric) -> Counter:
    """The counter declared as ``metric``."""
    return Counter(metric.name, metric.help, metric.labels)


@cache
def gauge(metric: Metric) -> Gauge:
    """The gauge declared as ``metric``."""
    return Gauge(metric.name, metric.help, metric.labels)


@cache
def histogram(metric: Metric) -> Histogram:
    """The histogram declared as ``metric``, with its buckets."""
    return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets)


def declare_all() -> None:
    """Make every declared metric, so that one which never happened is exported as never."""
    makers = {"counter": counter, "gauge": gauge, "histogram": histogram}
    for metric in METRICS:
        makers[metric.kind](metric)


def exposition() -> bytes:
    """Everything measured in this process, in Prometheus' text format."""
    return generate_latest(REGISTRY)


def value(metric: Metric, **labels: str) -> float:
    """The present value of one series, 0 where it was never touched; for tests and the console."""
    suffix = "_count" if metric.kind == "histogram" else ""
    sample = REGISTRY.get_sample_value(metric.name + suffix, labels)
    return sample or 0.0
