"""The public API."""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability.charts import WINDOW, Board, Chart, Row
from deploy.observability.promql import highest, quantile, rate, series, total
from deploy.observability.slo import Latency, Objectives

GATEWAY = "gateway"
REPORTS = "reports-latency"


def board(objectives: Objectives) -> Board:
    """Requests, their answers and times, and what the gateway consumes."""
    return Board(
        uid="limelight-gateway",
        title="Limelight: gateway",
        description="Requests to the public API.",
        rows=[
            Row("Requests", _requests()),
            Row("Times", _times(objectives)),
            Row("Behind the API", _behind(objectives)),
        ],
    )


def _count(**labels: str) -> str:
    return rate(series(t.HTTP_SECONDS, "_count", service=GATEWAY, **labels), WINDOW)


def _requests() -> list[Chart]:
    return [
        Chart(
            title="Requests",
            description="Per second, by route; ids are no part of it.",
            runbook="GatewayAvailabilityBurn",
            queries={"{{method}} {{route}}": total(_count(), "method", "route")},
            unit="reqps",
        ),
        Chart(
            title="Answers by status",
            description="Per second.",
            runbook="GatewayAvailabilityBurn",
            queries={"{{status}}": total(_count(), "status")},
            unit="reqps",
        ),
        Chart(
            title="Server errors",
            description="5xx by route. 503 says that a store does not answer or is being rebuilt.",
            runbook="GatewayAvailabilityBurn",
            queries={
                "{{status}} {{method}} {{route}}": total(
                    _count(status="~5.."), "status", "method", "route"
                )
            },
            unit="reqps",
        ),
        Chart(
            title="Refused",
            description="401, 403, 413 and 429: keys, rights, sizes and rate limits.",
            runbook="GatewayAvailabilityBurn",
            queries={"{{status}}": total(_count(status="~401|403|413|429"), "status")},
            unit="reqps",
        ),
    ]


def _times(objectives: Objectives) -> list[Chart]:
    (slo,) = [item for item in objectives.slos if item.name == REPORTS]
    assert isinstance(slo, Latency)
    asked = {"service": slo.service, "method": slo.method, "route": slo.route}
    quick = {"service": GATEWAY, "route": "!~.*/events"}
    slow = quantile(0.95, t.HTTP_SECONDS, WINDOW, "method", "route", **quick)
    return [
        Chart(
            title="Time to answer",
            description="All routes but streams, which end when their reader goes.",
            runbook="EventLoopLagging",
            queries={
                name: quantile(share, t.HTTP_SECONDS, WINDOW, **quick)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            },
            unit="s",
            width=8,
        ),
        Chart(
            title="Time of reports",
            description="GET of a run's report; at the line the objective is missed.",
            runbook="ReportsLatencyBurn",
            queries={
                name: quantile(share, t.HTTP_SECONDS, WINDOW, **asked)
                for name, share in (("p50", 0.5), ("p99", 0.99))
            },
            unit="s",
            width=8,
            limit=slo.seconds,
        ),
        Chart(
            title="Slowest routes, p95",
            description="The ten slowest, streams left out.",
            runbook="EventLoopLagging",
            queries={"{{method}} {{route}}": f"topk(10, {slow})"},
            unit="s",
            width=8,
        ),
    ]


def _behind(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Oldest event in its outbox",
            description="Commands that are accepted, and whose events are not published yet.",
            runbook="OutboxStuck",
            queries={"oldest": highest(series(t.OUTBOX_OLDEST, service=GATEWAY))},
            unit="s",
            width=8,
            limit=objectives.thresholds.outbox_oldest_seconds,
        ),
        Chart(
            title="Age of projected events, p95",
            description="How far reports and lists are behind the log, by topic.",
            runbook="VisibilityFreshnessBurn",
            queries={"{{topic}}": quantile(0.95, t.EVENT_AGE, WINDOW, "topic", service=GATEWAY)},
            unit="s",
            width=8,
        ),
        Chart(
            title="Waiting records",
            description="Written to its topics and not projected yet.",
            runbook="ConsumerStuck",
            queries={"{{topic}}": highest(series(t.CONSUMER_LAG, service=GATEWAY), "topic")},
            width=8,
        ),
    ]
