"""Recording rules of every SLO, and alerts on how fast its error budget burns.

Two series a SLO are computed from what the services export: events and bad events per second, over
five minutes. All longer windows are sums of those, so that a month costs no more than an hour.
Burn rates after Google's Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate
Alerts".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.telemetry import EVENT_AGE, HTTP_SECONDS, RECORDS
from deploy.observability.promql import bucket, rate, series, total
from deploy.observability.rule_types import Alert, Group, Recording
from deploy.observability.slo import (
    Availability,
    Burn,
    Freshness,
    Latency,
    Objectives,
    Processed,
    Slo,
)

STEP = "5m"
EVENTS = f"slo:events:rate{STEP}"
BAD = f"slo:bad_events:rate{STEP}"
OBJECTIVE = "slo:objective:ratio"
BUDGET_LEFT = "slo:error_budget_left:ratio30d"
MONTH = "30d"
SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def error_ratio(window: str) -> str:
    """The name of the series of bad events per event in a window."""
    return f"slo:error_ratio:rate{window}"


@dataclass(frozen=True)
class Measured:
    """What a SLO counts: events, and those of them that were bad; ``labels`` tell hops apart."""

    events: str
    bad: str
    labels: dict[str, str] = field(default_factory=dict)


def measured(slo: Slo) -> list[Measured]:
    """The expressions of a SLO."""
    match slo:
        case Availability():
            return [_available(slo)]
        case Latency():
            return [_quick(slo)]
        case Freshness():
            return _fresh(slo)
        case Processed():
            return [_processed()]


def recordings(objectives: Objectives) -> list[Group]:
    """What is computed: per SLO, then per window over all of them."""
    windows = {window for burn in objectives.burns for window in (burn.long, burn.short)}
    longer = sorted({*windows, MONTH} - {STEP}, key=_seconds)
    return [
        Group("slo-events", [rule for slo in objectives.slos for rule in _recorded(slo)]),
        Group("slo-windows", [_ratio(STEP), *map(_ratio, longer), _budget_left()]),
    ]


def alerts(objectives: Objectives) -> Group:
    """One alert a SLO, for each pair of windows."""
    return Group(
        "slo-burn-rates",
        [_alert(slo, burn, objectives) for slo in objectives.slos for burn in objectives.burns],
    )


def alert_name(slo: Slo) -> str:
    """``gateway-availability`` as ``GatewayAvailabilityBurn``."""
    return "".join(part.capitalize() for part in slo.name.split("-")) + "Burn"


def _available(slo: Availability) -> Measured:
    asked = total(rate(series(HTTP_SECONDS, "_count", service=slo.service), STEP), "service")
    failed = series(HTTP_SECONDS, "_count", service=slo.service, status="~5..")
    return Measured(asked, _or_none(total(rate(failed, STEP), "service"), asked))


def _quick(slo: Latency) -> Measured:
    labels = {"service": slo.service, "method": slo.method, "route": slo.route, "status": "~2.."}
    answered = total(rate(series(HTTP_SECONDS, "_count", **labels), STEP), "service")
    in_time = total(rate(bucket(HTTP_SECONDS, slo.seconds, **labels), STEP), "service")
    return Measured(answered, f"{answered} - {in_time}")


def _fresh(slo: Freshness) -> list[Measured]:
    found = []
    for hop in slo.hops:
        labels = {"service": hop.service, "topic": hop.topic}
        seen = total(rate(series(EVENT_AGE, "_count", **labels), STEP), "service", "topic")
        young = bucket(EVENT_AGE, hop.seconds, **labels)
        in_time = total(rate(young, STEP), "service", "topic")
        found.append(Measured(seen, f"{seen} - {in_time}", labels))
    return found


def _processed() -> Measured:
    ended = total(rate(series(RECORDS, outcome="!retried"), STEP), "service")
    buried = total(rate(series(RECORDS, outcome="dead_lettered"), STEP), "service")
    return Measured(ended, _or_none(buried, ended))


def _or_none(some: str, all_of_them: str) -> str:
    """Zero where nothing was counted: a series that never happened is not there."""
    return f"{some} or {all_of_them} * 0"


def _recorded(slo: Slo) -> Iterator[Recording]:
    labels = {"slo": slo.name}
    for item in measured(slo):
        yield Recording(EVENTS, item.events, labels | item.labels)
        yield Recording(BAD, item.bad, labels | item.labels)
    yield Recording(OBJECTIVE, f"vector({slo.objective})", labels)


def _ratio(window: str) -> Recording:
    if window == STEP:
        return Recording(error_ratio(window), f"{BAD} / ({EVENTS} > 0)")
    bad, events = f"sum_over_time({BAD}[{window}])", f"sum_over_time({EVENTS}[{window}])"
    return Recording(error_ratio(window), f"{bad} / ({events} > 0)")


def _budget_left() -> Recording:
    used = f"{error_ratio(MONTH)} / on (slo) group_left () (1 - {OBJECTIVE})"
    return Recording(BUDGET_LEFT, f"1 - {used}")


def _alert(slo: Slo, burn: Burn, objectives: Objectives) -> Alert:
    of, name = f'{{slo="{slo.name}"}}', alert_name(slo)
    limit = f"{burn.factor * (1 - slo.objective):.6g}"
    enough = f"avg_over_time({BAD}{of}[{burn.long}]) * {_seconds(burn.long)}"
    return Alert(
        name=name,
        expression=(
            f"{error_ratio(burn.long)}{of} > {limit} and {error_ratio(burn.short)}{of} > {limit}"
            f" and {enough} >= {objectives.bad_at_least}"
        ),
        lasting=burn.lasting,
        severity=burn.severity,
        summary=f"{slo.name} burns its error budget {burn.factor} times too fast",
        description=(
            "{{ $value | humanizePercentage }} bad events of {{ $labels.service }}"
            f"{_of_topic(slo)} in {burn.long}; {limit} is the limit for an objective of"
            f" {slo.objective}."
        ),
        runbook_url=objectives.runbook(name),
        labels={"window": burn.long},
    )


def _of_topic(slo: Slo) -> str:
    return " on {{ $labels.topic }}" if isinstance(slo, Freshness) else ""


def _seconds(window: str) -> int:
    return int(window[:-1]) * SECONDS[window[-1]]
