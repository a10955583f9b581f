"""Alerts that are no SLO: something stands, waits, costs or is gone."""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability.promql import (
    SERVICES,
    highest,
    increased,
    of_targets,
    quantile,
    rate,
    series,
    total,
)
from deploy.observability.rule_types import PAGE, TICKET, Alert, Group
from deploy.observability.slo import Objectives

# What a provider fails with by itself; the rest says something about a request, a key or a budget.
PROVIDER_FAULTS = (
    "rate-limited",
    "overloaded",
    "server-error",
    "timed-out",
    "connection-failed",
    "stream-cut",
    "malformed-answer",
)
CALLS_WINDOW = "10m"
BREAKER_WINDOW = "5m"
"""Holds two openings of the breaker of a provider that hangs: each 15 s, then a call of 120 s."""


def groups(objectives: Objectives) -> list[Group]:
    """By what they are about."""
    return [
        Group("delivery", [*_lag(objectives), *_letters(objectives), _outbox(objectives)]),
        Group("processes", [*_processes(objectives), _loop_lag(objectives)]),
        Group("models", [*_providers(objectives), _queue(objectives), _cost(objectives)]),
        Group("recommendations", [_read_model(objectives), _refresh(objectives)]),
    ]


def provider_failure_share(window: str) -> str:
    """By provider: how many of the calls that ended failed by its own fault."""
    calls = rate(series(t.PROVIDER_CALLS), window)
    failed = rate(series(t.PROVIDER_CALLS, outcome=f"~{'|'.join(PROVIDER_FAULTS)}"), window)
    share = f"{total(failed, 'provider')} / ({total(calls, 'provider')} > 0)"
    return f"{share} or {total(calls, 'provider')} * 0"


def _lag(objectives: Objectives) -> list[Alert]:
    limit = objectives.thresholds.lag_age_seconds
    waiting = highest(series(t.CONSUMER_LAG), "service", "topic")
    earlier = highest(f"{series(t.CONSUMER_LAG)} offset 10m", "service", "topic")
    age = quantile(0.95, t.EVENT_AGE, "5m", "service", "topic")
    ended = total(rate(series(t.RECORDS, outcome="!retried"), "5m"), "service", "topic")
    return [
        Alert(
            name="ConsumerLagging",
            expression=(
                f"{age} > {limit:g} and on (service, topic) ({waiting} > 0)"
                f" and on (service, topic) ({waiting} >= {earlier})"
            ),
            lasting="5m",
            severity=PAGE,
            summary="{{ $labels.service }} falls behind on {{ $labels.topic }}",
            description=(
                "One in twenty events is older than {{ $value | humanizeDuration }} when it is"
                " processed, and no fewer wait than ten minutes ago."
            ),
            runbook_url=objectives.runbook("ConsumerLagging"),
        ),
        Alert(
            name="ConsumerStuck",
            expression=f"{waiting} > 0 unless on (service, topic) ({ended} > 0)",
            lasting="5m",
            severity=PAGE,
            summary="{{ $labels.service }} processes nothing of {{ $labels.topic }}",
            description="{{ $value }} records wait, and not one has ended in five minutes.",
            runbook_url=objectives.runbook("ConsumerStuck"),
        ),
    ]


def _letters(objectives: Objectives) -> list[Alert]:
    return [
        Alert(
            name="DeadLettersWaiting",
            expression=f"{highest(series(t.DLQ_DEPTH), 'service', 'topic')} > 0",
            lasting="1m",
            severity=TICKET,
            summary="{{ $labels.service }} could not process records of {{ $labels.topic }}",
            description="{{ $value }} dead letters have not been replayed.",
            runbook_url=objectives.runbook("DeadLettersWaiting"),
        ),
        Alert(
            name="ConsumerHalted",
            expression=f"{highest(series(t.CONSUMER_HALTED), 'service')} == 1",
            lasting="0m",
            severity=PAGE,
            summary="a consumer of {{ $labels.service }} has stopped",
            description="More than half of its last records were rejected; it waits for a restart.",
            runbook_url=objectives.runbook("ConsumerHalted"),
        ),
    ]


def _outbox(objectives: Objectives) -> Alert:
    limit = objectives.thresholds.outbox_oldest_seconds
    return Alert(
        name="OutboxStuck",
        expression=f"{highest(series(t.OUTBOX_OLDEST), 'service')} > {limit:g}",
        lasting="1m",
        severity=PAGE,
        summary="{{ $labels.service }} does not publish its events",
        description="The oldest event in its outbox is {{ $value | humanizeDuration }} old.",
        runbook_url=objectives.runbook("OutboxStuck"),
    )


def _processes(objectives: Objectives) -> list[Alert]:
    absent = [f"absent_over_time({series(t.CONSUMER_LAG, service=name)}[5m])" for name in SERVICES]
    return [
        Alert(
            name="ServiceDown",
            expression=f"{of_targets('up')} == 0",
            lasting="2m",
            severity=PAGE,
            summary="{{ $labels.service }} at {{ $labels.instance }} does not answer",
            description="Prometheus could not read the metrics of its ops port for two minutes.",
            runbook_url=objectives.runbook("ServiceDown"),
        ),
        Alert(
            name="ServiceSilent",
            expression=" or ".join(absent),
            lasting="5m",
            severity=PAGE,
            summary="nothing is measured of {{ $labels.service }}",
            description="No process has told its consumer lag in the last five minutes.",
            runbook_url=objectives.runbook("ServiceSilent"),
        ),
    ]


def _loop_lag(objectives: Objectives) -> Alert:
    limit = objectives.thresholds.event_loop_lag_seconds
    return Alert(
        name="EventLoopLagging",
        expression=f"{quantile(0.99, t.LOOP_LAG, '5m', 'service')} > {limit:g}",
        lasting="10m",
        severity=TICKET,
        summary="{{ $labels.service }} is too busy to keep its timers",
        description="One timer in a hundred runs {{ $value | humanizeDuration }} late.",
        runbook_url=objectives.runbook("EventLoopLagging"),
    )


def _providers(objectives: Objectives) -> list[Alert]:
    share = objectives.thresholds.provider_failure_share
    calls = total(f"increase({series(t.PROVIDER_CALLS)}[{CALLS_WINDOW}])", "provider")
    opened = f"max_over_time({series(t.BREAKER_OPEN)}[{BREAKER_WINDOW}])"
    enough = f"{calls} >= {objectives.thresholds.provider_calls_at_least}"
    return [
        Alert(
            name="BreakerOpen",
            expression=(
                f"{highest(opened, 'service', 'lane')} == 1"
                f" and {highest(series(t.BREAKER_OPEN), 'service', 'lane')} > 0"
            ),
            # One opening alone is seen for the window and its 15 s, even where nobody calls after.
            lasting="7m",
            severity=TICKET,
            summary="{{ $labels.lane }} is not called any more",
            description="Not closed for seven minutes: its breaker opened again after each probe.",
            runbook_url=objectives.runbook("BreakerOpen"),
        ),
        Alert(
            name="ProviderFailing",
            expression=f"({provider_failure_share(CALLS_WINDOW)}) > {share:g} and ({enough})",
            lasting="5m",
            severity=TICKET,
            summary="{{ $labels.provider }} fails",
            description="{{ $value | humanizePercentage }} of its calls failed in ten minutes.",
            runbook_url=objectives.runbook("ProviderFailing"),
        ),
        Alert(
            name="CallsOutcomeUnknown",
            expression=f"{increased(t.OUTCOME_UNKNOWN, '1h', 'service')} > 0",
            lasting="0m",
            severity=TICKET,
            summary="calls may have been paid twice",
            description="{{ $value }} calls were cut by a crash before their answer was recorded.",
            runbook_url=objectives.runbook("CallsOutcomeUnknown"),
        ),
    ]


def _queue(objectives: Objectives) -> Alert:
    limit = objectives.thresholds.queue_oldest_seconds
    return Alert(
        name="CompletionsWaiting",
        expression=f"{highest(series(t.QUEUE_OLDEST), 'service')} > {limit:g}",
        lasting="5m",
        severity=TICKET,
        summary="completions wait long for their first attempt",
        description="The oldest was accepted {{ $value | humanizeDuration }} ago.",
        runbook_url=objectives.runbook("CompletionsWaiting"),
    )


def _cost(objectives: Objectives) -> Alert:
    limit = objectives.thresholds.cost_usd_per_hour
    return Alert(
        name="CostOverBudget",
        expression=f"{total(f'increase({series(t.COST)}[1h])')} > {limit:g}",
        lasting="1m",
        severity=PAGE,
        summary="calls to models cost more than is planned",
        description='{{ $value | printf "%.2f" }} USD in the last hour.',
        runbook_url=objectives.runbook("CostOverBudget"),
    )


def _read_model(objectives: Objectives) -> Alert:
    return Alert(
        name="ReadModelUnready",
        expression=f"min by (service) ({series(t.READ_MODEL_READY)}) == 0",
        lasting="2m",
        severity=PAGE,
        summary="recommendations cannot be read",
        description="The read model has been incomplete for two minutes; readers get 503.",
        runbook_url=objectives.runbook("ReadModelUnready"),
    )


def _refresh(objectives: Objectives) -> Alert:
    limit = objectives.thresholds.refresh_oldest_seconds
    return Alert(
        name="RefreshBacklog",
        expression=f"{highest(series(t.REFRESH_OLDEST), 'service')} > {limit:g}",
        lasting="5m",
        severity=TICKET,
        summary="{{ $labels.service }} does not keep up with what changed around users",
        description="The first of them has waited for {{ $value | humanizeDuration }}.",
        runbook_url=objectives.runbook("RefreshBacklog"),
    )
