"""One run is one trace through every hop, and every declared metric is exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.telemetry import METRICS, RECORDS
from contracts.topics import TOPICS
from devkit.limelight_process import LimelightProcess

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from tests.telemetry.conftest import Collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
RUN_TOPICS = {
    "visibility-run.started.v1",
    "completion.requested.v1",
    "completion.finished.v1",
    "answer.analyzed.v1",
}
OF_A_RUN = [topic for topic in TOPICS if topic.name in RUN_TOPICS]
RUN = {
    "brands": [{"name": "Notion"}],
    "prompts": ["Which note app?"],
    "models": ["simulator/sim-large"],
    "samples": 1,
}
HAPPENED = {
    "limelight_event_age_seconds_count",
    "limelight_records_total",
    "limelight_outbox_published_total",
    "limelight_provider_calls_total",
    "limelight_provider_call_seconds_count",
    "limelight_tokens_total",
    "limelight_http_request_seconds_count",
    "limelight_event_loop_lag_seconds_count",
    "limelight_in_flight_calls",
    "limelight_queued_calls",
    "limelight_lane_limit_calls",
    "limelight_breaker_open",
    "limelight_completions_total",
    "limelight_completion_seconds_count",
    "limelight_cost_usd_total",
    "limelight_consumer_lag_records",
}
"""Metrics that a run with a failing model gives values to."""


def test_one_run_is_one_trace(traced: LimelightProcess, collector: Collector) -> None:
    _, accepted = traced.call("POST", "/v1/visibility/runs", RUN, {"traceparent": CALLER})
    traced.finished_report(accepted["run_id"])
    traced.wait_until(lambda: _all_have_worked(traced), "for every service's part", 60)
    assert traced.stop() == 0  # flushes what is still buffered

    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]

    names = {span.name for span in ours}
    assert "POST /v1/visibility/runs" in names
    assert "chat sim-large" in names
    assert len(OF_A_RUN) == len(RUN_TOPICS)
    for topic in OF_A_RUN:
        assert f"send {topic.name}" in names
        groups = {
            _attribute(span, "messaging.consumer.group.name")
            for span in ours
            if span.name == f"process {topic.name}"
        }
        assert groups == set(topic.consumers)
    _assert_connected(ours)


def test_the_chain_of_a_completion(traced: LimelightProcess, collector: Collector) -> None:
    """Hops hang below each other in order; none starts a trace of its own or skips a parent."""
    _, accepted = traced.call("POST", "/v1/visibility/runs", RUN, {"traceparent": CALLER})
    traced.finished_report(accepted["run_id"])
    assert traced.stop() == 0
    ours = {span.span_id: span for span in collector.spans if span.trace_id.hex() == TRACE}
    last = next(
        span for span in ours.values()
        if span.name == "process answer.analyzed.v1"
    )  # fmt: skip

    chain = [last.name]
    while (parent := ours.get(last.parent_span_id)) is not None:
        last = parent
        if not last.name.startswith("fastapi."):  # the framework's own spans come and go
            chain.append(last.name)

    assert chain in (
        [
            "process answer.analyzed.v1",
            "send answer.analyzed.v1",
            "process completion.finished.v1",
            "send completion.finished.v1",
            "process completion.requested.v1",
            "send completion.requested.v1",
            "POST /v1/visibility/runs",
        ],
        # The answer came before the brands of its run: it was parked until they arrived.
        [
            "process answer.analyzed.v1",
            "send answer.analyzed.v1",
            "process visibility-run.started.v1",
            "send visibility-run.started.v1",
            "POST /v1/visibility/runs",
        ],
    )


def test_every_declared_metric_is_exported(traced: LimelightProcess) -> None:
    models = ["simulator/sim-large", "openai/no-key"]
    _, accepted = traced.call("POST", "/v1/visibility/runs", RUN | {"models": models})
    traced.finished_report(accepted["run_id"])
    # Gauges are set now and then, and services have their own pace.
    traced.wait_until(lambda: not _missing(traced, HAPPENED), "for what happened", 60)
    text = traced.ops("/metrics")[1]
    assert [metric.name for metric in METRICS if f"# HELP {metric.name} " not in text + " "] == []


def _missing(limelight: LimelightProcess, names: set[str]) -> set[str]:
    """Those of the metrics that have no value yet."""
    text = limelight.ops("/metrics")[1]
    return {name for name in names if f"\n{name}{{" not in text}


def _all_have_worked(limelight: LimelightProcess) -> bool:
    """Whether each service has worked on all that a run sends it, also what no report needs."""
    text = limelight.ops("/metrics")[1]
    return all(
        f'{RECORDS.name}{{outcome="applied",service="{service}",topic="{topic.name}"}}' in text
        for topic in OF_A_RUN
        for service in topic.consumers
    )


def _attribute(span: Span, name: str) -> str:
    values = {item.key: str(item.value.string_value) for item in span.attributes}
    return values[name]


def _assert_connected(spans: list[Span]) -> None:
    """Every span's parent is in the trace, but for the caller's own."""
    known = {span.span_id for span in spans} | {bytes.fromhex(CALLER.split("-")[2])}
    assert [span.name for span in spans if span.parent_span_id not in known] == []
