"""Small pieces of PromQL over the declared metrics.

Labels are those of the metrics themselves, never a scrape's own (``job``, ``instance``): one
process may export many services, and one service may run in many.
"""

from __future__ import annotations

from contracts.telemetry import Metric
from contracts.topics import TOPICS

SERVICES = sorted({consumer for topic in TOPICS for consumer in topic.consumers})
ALL_IN_ONE = "allinone"
"""What a scrape of the all-in-one, which is all of them, is called."""


def series(metric: Metric, suffix: str = "", **labels: str) -> str:
    """A selector. A value that starts with ``~`` or ``!`` brings its own operator."""
    wanted = ",".join(f"{name}{_matcher(value)}" for name, value in labels.items())
    return f"{metric.name}{suffix}{{{wanted}}}" if wanted else f"{metric.name}{suffix}"


def of_targets(name: str) -> str:
    """What there is of every target, ours or not, of ours only: ``up``, ``process_*``.

    In a cluster each target has a label ``service``, so that only its value tells them apart.
    """
    return f'{name}{{service=~"{"|".join([*SERVICES, ALL_IN_ONE])}"}}'


def bucket(metric: Metric, seconds: float, **labels: str) -> str:
    """The bucket of a histogram that ends at ``seconds``."""
    return series(metric, "_bucket", **labels, le=str(float(seconds)))


def rate(selector: str, window: str) -> str:
    """Per second."""
    return f"rate({selector}[{window}])"


def total(expression: str, *by: str) -> str:
    """The sum, by labels."""
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def highest(expression: str, *by: str) -> str:
    """For what every process of a service measures of the same thing, as a group's lag."""
    return f"max by ({', '.join(by)}) ({expression})" if by else f"max({expression})"


def quantile(share: float, metric: Metric, window: str, *by: str, **labels: str) -> str:
    """A quantile of a histogram, by labels."""
    buckets = total(rate(series(metric, "_bucket", **labels), window), *by, "le")
    return f"histogram_quantile({share}, {buckets})"


def increased(metric: Metric, window: str, *by: str, **labels: str) -> str:
    """How much a counter grew. A series that is new counts from zero, as ``increase`` does not."""
    selector = series(metric, **labels)
    grown = total(f"increase({selector}[{window}])", *by)
    new = total(f"{selector} unless {selector} offset {window}", *by)
    return f"({grown} > 0 or {new})"


def _matcher(value: str) -> str:
    if value.startswith("!~"):
        return f'!~"{value[2:]}"'
    if value.startswith("~"):
        return f'=~"{value[1:]}"'
    if value.startswith("!"):
        return f'!="{value[1:]}"'
    return f'="{value}"'
