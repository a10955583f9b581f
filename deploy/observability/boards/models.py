"""Calls to model providers: how many, how good, how long, how dear."""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability.alerts import CALLS_WINDOW, provider_failure_share
from deploy.observability.charts import WINDOW, Board, Chart, Row
from deploy.observability.promql import highest, quantile, rate, series, total
from deploy.observability.slo import Objectives


def board(objectives: Objectives) -> Board:
    """Providers, the queue before them, and money."""
    return Board(
        uid="limelight-models",
        title="Limelight: models and cost",
        description="What the llm-executor asks of providers, and what it pays.",
        rows=[
            Row("Providers", _providers(objectives)),
            Row("Queue and limits", _queue(objectives)),
            Row("Money and tokens", _money(objectives)),
            Row("What went wrong", _wrong()),
        ],
    )


def _providers(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Calls",
            description="Calls that ended, by provider and outcome: answered, or the failure kind.",
            runbook="ProviderFailing",
            queries={
                "{{provider}} {{outcome}}": total(
                    rate(series(t.PROVIDER_CALLS), WINDOW), "provider", "outcome"
                )
            },
            unit="cps",
        ),
        Chart(
            title="Failures of the provider",
            description=(
                f"Share of calls in {CALLS_WINDOW} that failed by the provider's own fault: limits,"
                " overload, errors, time-outs, cut or malformed answers."
            ),
            runbook="ProviderFailing",
            queries={"{{provider}}": provider_failure_share(CALLS_WINDOW)},
            unit="percentunit",
            limit=objectives.thresholds.provider_failure_share,
        ),
        Chart(
            title="Time of a call",
            description="What the provider took for one call, without queueing.",
            runbook="ProviderFailing",
            queries={
                f"{{{{provider}}}} {name}": quantile(share, t.PROVIDER_SECONDS, WINDOW, "provider")
                for name, share in (("p50", 0.5), ("p95", 0.95))
            },
            unit="s",
        ),
        Chart(
            title="First text of a stream, p95",
            description="Time to the first piece of text of a streamed call.",
            runbook="ProviderFailing",
            queries={
                "{{provider}}": quantile(0.95, t.FIRST_TOKEN_SECONDS, WINDOW, "provider"),
            },
            unit="s",
        ),
    ]


def _queue(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Calls in flight",
            description="Being made now, and waiting for their next attempt; all processes.",
            runbook="CompletionsWaiting",
            queries={"{{state}}": total(series(t.IN_FLIGHT), "state")},
        ),
        Chart(
            title="Completions waiting",
            description="Accepted, and waiting for their first attempt.",
            runbook="CompletionsWaiting",
            queries={"waiting": highest(series(t.QUEUED_CALLS), "service")},
        ),
        Chart(
            title="Oldest of them",
            description="Since when the first of them has been waiting.",
            runbook="CompletionsWaiting",
            queries={"oldest": highest(series(t.QUEUE_OLDEST), "service")},
            unit="s",
            limit=objectives.thresholds.queue_oldest_seconds,
        ),
        Chart(
            title="From request to end, p95",
            description="Of a completion, waiting and all attempts included, by priority.",
            runbook="CompletionsWaiting",
            queries={"{{priority}}": quantile(0.95, t.COMPLETION_SECONDS, WINDOW, "priority")},
            unit="s",
        ),
        Chart(
            title="Limits of lanes",
            description="Calls at once that the adaptive limit of a model allows, all processes.",
            runbook="CompletionsWaiting",
            queries={"{{lane}}": total(series(t.LANE_LIMIT), "lane")},
        ),
        Chart(
            title="Circuit breakers",
            description="1: open, no call is made. 0.5: it probes. 0: closed.",
            runbook="BreakerOpen",
            queries={"{{lane}}": highest(series(t.BREAKER_OPEN), "lane")},
            limit=1,
        ),
    ]


def _money(objectives: Objectives) -> list[Chart]:
    limit = objectives.thresholds.cost_usd_per_hour
    return [
        Chart(
            title="Cost of the last hour",
            description=f"Calls with a known price, by provider; {limit:g} USD are planned in all.",
            runbook="CostOverBudget",
            queries={"{{provider}}": total(f"increase({series(t.COST)}[1h])", "provider")},
            unit="currencyUSD",
            limit=limit,
        ),
        Chart(
            title="Calls without a price",
            description="Billed calls of the last hour that the cost beside does not contain.",
            runbook="CostOverBudget",
            queries={
                "{{provider}}": total(f"increase({series(t.CALLS_WITHOUT_PRICE)}[1h])", "provider")
            },
        ),
        Chart(
            title="Tokens",
            description="Per second as the providers count them, by direction.",
            runbook="CostOverBudget",
            queries={
                "{{provider}} {{direction}}": total(
                    rate(series(t.TOKENS), WINDOW), "provider", "direction"
                )
            },
        ),
        Chart(
            title="Completions",
            description="By how they ended: answered, or the failure kind.",
            runbook="ProviderFailing",
            queries={"{{outcome}}": total(rate(series(t.COMPLETIONS), WINDOW), "outcome")},
            unit="cps",
        ),
    ]


def _wrong() -> list[Chart]:
    return [
        Chart(
            title="Outcome unknown",
            description="Calls of the last hour that a crash cut before their answer was recorded.",
            runbook="CallsOutcomeUnknown",
            queries={"calls": total(f"increase({series(t.OUTCOME_UNKNOWN)}[1h])")},
            width=8,
            limit=1,
        ),
        Chart(
            title="Pieces of streams lost",
            description="Streamed text that the log did not take; the answers are not affected.",
            runbook="ConsumerStuck",
            queries={"pieces": total(rate(series(t.CHUNKS_LOST), WINDOW))},
            width=8,
        ),
        Chart(
            title="Answers from the cache",
            description="Completions per second that needed no call.",
            runbook="CostOverBudget",
            queries={"completions": total(rate(series(t.CACHE_HITS), WINDOW))},
            unit="cps",
            width=8,
        ),
    ]
