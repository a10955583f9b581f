"""From what somebody says to what they are recommended."""

from __future__ import annotations

from contracts import telemetry as t
from deploy.observability.charts import WINDOW, Board, Chart, Row
from deploy.observability.promql import highest, quantile, rate, series, total
from deploy.observability.slo import Freshness, Hop, Latency, Objectives

FRESHNESS, LATENCY = "recommendations-freshness", "recommendations-latency"


def board(objectives: Objectives) -> Board:
    """Embedding, refreshing, ranking, reading."""
    return Board(
        uid="limelight-marketing",
        title="Limelight: recommendations",
        description="Embedding, surroundings, lists and the read model that serves them.",
        rows=[
            Row("From event to list", _hops(objectives)),
            Row("Reading", _reading(objectives)),
            Row("Embedding and refreshing", _work(objectives)),
        ],
    )


def hops(objectives: Objectives) -> tuple[Hop, ...]:
    """The hops between what is said and what is served, in order."""
    for slo in objectives.slos:
        if isinstance(slo, Freshness) and slo.name == FRESHNESS:
            return slo.hops
    raise KeyError(FRESHNESS)


def _hops(objectives: Objectives) -> list[Chart]:
    chain = hops(objectives)
    ages = {
        f"{hop.service}: {hop.topic}": quantile(
            0.99, t.EVENT_AGE, WINDOW, "service", service=hop.service, topic=hop.topic
        )
        for hop in chain
    }
    return [
        Chart(
            title="Age at each hop, p99",
            description=(
                "From an event's creation to the end of its processing. Their sum bounds how long"
                " a message takes to change what its user is shown."
            ),
            runbook="RecommendationsFreshnessBurn",
            queries=ages,
            unit="s",
        ),
        Chart(
            title="Waiting records",
            description="On the topics of the chain.",
            runbook="ConsumerLagging",
            queries={
                f"{hop.service}: {hop.topic}": highest(
                    series(t.CONSUMER_LAG, service=hop.service, topic=hop.topic)
                )
                for hop in chain
            },
        ),
        Chart(
            title="Events",
            description="Processed per second at each hop.",
            runbook="RecommendationsFreshnessBurn",
            queries={
                f"{hop.service}: {hop.topic}": total(
                    rate(
                        series(t.RECORDS, service=hop.service, topic=hop.topic, outcome="applied"),
                        WINDOW,
                    )
                )
                for hop in chain
            },
            unit="cps",
        ),
        Chart(
            title="Published",
            description="Events of the services of the chain that the log has acknowledged.",
            runbook="RecommendationsFreshnessBurn",
            queries={
                "{{service}} {{topic}}": total(
                    rate(series(t.EVENTS_PUBLISHED), WINDOW), "service", "topic"
                )
            },
            unit="cps",
        ),
    ]


def _reading(objectives: Objectives) -> list[Chart]:
    (slo,) = [item for item in objectives.slos if item.name == LATENCY]
    assert isinstance(slo, Latency)
    asked = {"service": slo.service, "method": slo.method, "route": slo.route}
    return [
        Chart(
            title="Recommendations read",
            description="By source: personal, intent, popular; unready: answered with 503.",
            runbook="ReadModelUnready",
            queries={"{{source}}": total(rate(series(t.RECOMMENDATIONS_READ), WINDOW), "source")},
            unit="reqps",
            width=8,
        ),
        Chart(
            title="Time to read",
            description="GET of one user's list; at the line the objective is missed.",
            runbook="RecommendationsLatencyBurn",
            queries={
                name: quantile(share, t.HTTP_SECONDS, WINDOW, **asked)
                for name, share in (("p50", 0.5), ("p99", 0.99))
            },
            unit="s",
            width=8,
            limit=slo.seconds,
        ),
        Chart(
            title="Read model",
            description="1: complete. 0: it is rebuilt from its topics, and readers get 503.",
            runbook="ReadModelUnready",
            queries={"{{service}}": f"min by (service) ({series(t.READ_MODEL_READY)})"},
            width=8,
        ),
    ]


def _work(objectives: Objectives) -> list[Chart]:
    return [
        Chart(
            title="Texts embedded",
            description="Messages, answers, campaigns, intents and queries turned into vectors.",
            runbook="RecommendationsFreshnessBurn",
            queries={"{{kind}}": total(rate(series(t.TEXTS_EMBEDDED), WINDOW), "kind")},
            unit="cps",
        ),
        Chart(
            title="Time of the embedding model",
            description="For one batch of texts, p95, by lane.",
            runbook="RecommendationsFreshnessBurn",
            queries={"{{lane}}": quantile(0.95, t.EMBEDDING_SECONDS, WINDOW, "lane")},
            unit="s",
        ),
        Chart(
            title="Users to refresh",
            description="Whose surroundings changed, and who wait to be computed again.",
            runbook="RefreshBacklog",
            queries={"{{service}}": highest(series(t.REFRESH_WAITING), "service")},
        ),
        Chart(
            title="Oldest of them",
            description="Since when the first of them has been waiting.",
            runbook="RefreshBacklog",
            queries={"{{service}}": highest(series(t.REFRESH_OLDEST), "service")},
            unit="s",
            limit=objectives.thresholds.refresh_oldest_seconds,
        ),
    ]
