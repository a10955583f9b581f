"""Delivery: what is consumed, how late, what is left over."""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability.charts import WINDOW, Board, Chart, Row, Variable
from deploy.observability.promql import highest, quantile, rate, series, total
from deploy.observability.slo import Objectives

CHOSEN = "~$service"


def board(objectives: Objectives) -> Board:
    """Consumers, DLQs and outboxes of the chosen services."""
    return Board(
        uid="limelight-pipeline",
        title="Limelight: pipeline and lag",
        description="How events move between the services.",
        rows=[
            Row("Consumers", _consumers(objectives)),
            Row("Dead letters", _letters()),
            Row("Publishing", _publishing(objectives)),
        ],
        variables=[Variable("service", f"label_values({t.CONSUMER_LAG.name}, service)")],
    )


def _consumers(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Records",
            description="Records by how their processing ended.",
            runbook="ConsumerStuck",
            queries={
                "{{service}} {{outcome}}": total(
                    rate(series(t.RECORDS, service=CHOSEN), WINDOW), "service", "outcome"
                )
            },
            unit="cps",
        ),
        Chart(
            title="Waiting records",
            description="Written to a topic and not committed by the service yet.",
            runbook="ConsumerStuck",
            queries={
                "{{service}} {{topic}}": highest(
                    series(t.CONSUMER_LAG, service=CHOSEN), "service", "topic"
                )
            },
        ),
        Chart(
            title="Age of events, p50",
            description="From an event's creation to the end of its processing.",
            runbook="ConsumerLagging",
            queries={
                "{{service}} {{topic}}": quantile(
                    0.5, t.EVENT_AGE, WINDOW, "service", "topic", service=CHOSEN
                )
            },
            unit="s",
        ),
        Chart(
            title="Age of events, p95",
            description="The same of the oldest twentieth; above the line somebody is woken.",
            runbook="ConsumerLagging",
            queries={
                "{{service}} {{topic}}": quantile(
                    0.95, t.EVENT_AGE, WINDOW, "service", "topic", service=CHOSEN
                )
            },
            unit="s",
            limit=objectives.thresholds.lag_age_seconds,
        ),
        Chart(
            title="Tried again",
            description="Records whose processing failed and is tried again, in place.",
            runbook="ConsumerStuck",
            queries={
                "{{service}} {{topic}}": total(
                    rate(series(t.RECORDS, service=CHOSEN, outcome="retried"), WINDOW),
                    "service",
                    "topic",
                )
            },
            unit="cps",
        ),
        Chart(
            title="Event loop lag, p99",
            description="How late timers run; the all-in-one has one loop for all services.",
            runbook="EventLoopLagging",
            queries={"{{service}}": quantile(0.99, t.LOOP_LAG, WINDOW, "service")},
            unit="s",
            limit=objectives.thresholds.event_loop_lag_seconds,
        ),
    ]


def _letters() -> list[Chart]:
    return [
        Chart(
            title="Dead letters waiting",
            description="In a DLQ, and no replay has been past them.",
            runbook="DeadLettersWaiting",
            queries={
                "{{service}} {{topic}}": highest(
                    series(t.DLQ_DEPTH, service=CHOSEN), "service", "topic"
                )
            },
            width=8,
            limit=1,
        ),
        Chart(
            title="Dead letters written",
            description="Per second, by the stable code of the reason.",
            runbook="DeadLettersWaiting",
            queries={
                "{{service}} {{reason}}": total(
                    rate(series(t.DEAD_LETTERS, service=CHOSEN), WINDOW), "service", "reason"
                )
            },
            unit="cps",
            width=8,
        ),
        Chart(
            title="Halted consumers",
            description="1 if a consumer stopped because too many of its records were rejected.",
            runbook="ConsumerHalted",
            queries={"{{service}}": highest(series(t.CONSUMER_HALTED, service=CHOSEN), "service")},
            width=8,
            limit=1,
        ),
    ]


def _publishing(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Oldest event in an outbox",
            description="Stored with its effect, and not published yet.",
            runbook="OutboxStuck",
            queries={"{{service}}": highest(series(t.OUTBOX_OLDEST, service=CHOSEN), "service")},
            unit="s",
            width=8,
            limit=objectives.thresholds.outbox_oldest_seconds,
        ),
        Chart(
            title="Published from outboxes",
            description="Events that the log has acknowledged.",
            runbook="OutboxStuck",
            queries={
                "{{service}} {{topic}}": total(
                    rate(series(t.OUTBOX_PUBLISHED, service=CHOSEN), WINDOW), "service", "topic"
                )
            },
            unit="cps",
            width=8,
        ),
        Chart(
            title="Published without an outbox",
            description="By services whose effects may come again: published, then committed.",
            runbook="ConsumerStuck",
            queries={
                "{{service}} {{topic}}": total(
                    rate(series(t.EVENTS_PUBLISHED, service=CHOSEN), WINDOW), "service", "topic"
                )
            },
            unit="cps",
            width=8,
        ),
    ]
