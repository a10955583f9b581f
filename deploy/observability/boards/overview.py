"""Is everything as promised, and what is told to whom?"""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability import rules
from deploy.observability.burn_rates import BUDGET_LEFT, alert_name, error_ratio
from deploy.observability.charts import WINDOW, Board, Chart, Row
from deploy.observability.promql import highest, of_targets, quantile, rate, series, total
from deploy.observability.slo import Freshness, Objectives, Slo


def board(objectives: Objectives) -> Board:
    """The dashboard to open first."""
    return Board(
        uid="limelight-overview",
        title="Limelight: overview",
        description="Objectives, firing alerts and the state of every process.",
        rows=[
            Row("Error budgets", [_budget(slo, objectives) for slo in objectives.slos]),
            Row("Bad events", [_ratio(slo, objectives) for slo in objectives.slos]),
            Row("Alerts and processes", _processes(objectives)),
        ],
    )


def _budget(slo: Slo, objectives: Objectives) -> Chart:
    return Chart(
        title=slo.name,
        description=f"Error budget left of 30 days, for an objective of {slo.objective:.2%}.",
        runbook=alert_name(slo),
        queries={_legend(slo): f'{BUDGET_LEFT}{{slo="{slo.name}"}}'},
        unit="percentunit",
        number=True,
        width=24 // len(objectives.slos),
    )


def _ratio(slo: Slo, objectives: Objectives) -> Chart:
    burn = objectives.burns[0]
    return Chart(
        title=slo.name,
        description=(
            f"Bad events per event in {burn.long}. At the line {burn.factor} times the error"
            " budget is used, and somebody is woken."
        ),
        runbook=alert_name(slo),
        queries={_legend(slo): f'{error_ratio(burn.long)}{{slo="{slo.name}"}}'},
        unit="percentunit",
        width=8,
        limit=burn.factor * (1 - slo.objective),
    )


def _legend(slo: Slo) -> str:
    return "{{service}} {{topic}}" if isinstance(slo, Freshness) else "{{service}}"


def _processes(objectives: Objectives) -> list[Chart]:
    told = rules.alerts_of(rules.groups(objectives))
    names = "|".join(sorted({alert.name for alert in told}))
    return [
        Chart(
            title="Firing alerts",
            description="Alerts that are firing now, by name; each has a runbook of its name.",
            runbook="README",
            queries={
                "{{alertname}}": (
                    f'count by (alertname) (ALERTS{{alertstate="firing",alertname=~"{names}"}})'
                )
            },
            number=True,
            width=12,
        ),
        Chart(
            title="Processes that answer",
            description="Ops ports that Prometheus could read at its last turn, by service.",
            runbook="ServiceDown",
            queries={"{{service}}": total(of_targets("up"), "service")},
            number=True,
            width=12,
        ),
        Chart(
            title="Age of events, p99",
            description="From an event's creation to the end of its processing, all topics.",
            runbook="ConsumerLagging",
            queries={"{{service}}": quantile(0.99, t.EVENT_AGE, WINDOW, "service")},
            unit="s",
        ),
        Chart(
            title="Event loop lag, p99",
            description="How late timers run: work that blocks the loop, or too little CPU.",
            runbook="EventLoopLagging",
            queries={"{{service}}": quantile(0.99, t.LOOP_LAG, WINDOW, "service")},
            unit="s",
            limit=objectives.thresholds.event_loop_lag_seconds,
        ),
        Chart(
            title="CPU",
            description="Cores used, by the service that Prometheus scrapes there.",
            runbook="EventLoopLagging",
            queries={
                "{{service}}": total(
                    rate(of_targets("process_cpu_seconds_total"), WINDOW), "service"
                )
            },
        ),
        Chart(
            title="Memory",
            description="Resident memory of the largest process of each service.",
            runbook="ServiceDown",
            queries={
                "{{service}}": highest(of_targets("process_resident_memory_bytes"), "service")
            },
            unit="bytes",
        ),
        Chart(
            title="Dead letters",
            description="Records that wait in DLQs, by service.",
            runbook="DeadLettersWaiting",
            queries={
                "{{service}}": total(highest(series(t.DLQ_DEPTH), "service", "topic"), "service")
            },
            limit=1,
        ),
        Chart(
            title="Waiting records",
            description="Records that are written and not committed yet, by service.",
            runbook="ConsumerStuck",
            queries={
                "{{service}}": total(highest(series(t.CONSUMER_LAG), "service", "topic"), "service")
            },
        ),
    ]
