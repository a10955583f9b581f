"""What somebody says is one trace, from the request to the list that the gateway serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.topics import (
    AFFINITY_CHANGED,
    CONVERSATION_RECORDED,
    RECOMMENDATION_CHANGED,
    USER_EMBEDDED,
)
from devkit.limelight_process import LimelightProcess

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from tests.telemetry.conftest import Collector

TRACE = "5bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
CHAIN = (CONVERSATION_RECORDED, USER_EMBEDDED, AFFINITY_CHANGED, RECOMMENDATION_CHANGED)
OFFER = {"title": "Service plan", "intents": ["repair"]}
TALK = {"conversation_id": "c-1", "user_id": "ada", "text": "Can you repair my machine?"}


def test_a_conversation_is_one_trace(traced: LimelightProcess, collector: Collector) -> None:
    assert traced.call("PUT", "/v1/campaigns/service-plan", OFFER)[0] == 201
    assert traced.call("POST", "/v1/conversations", TALK, {"traceparent": CALLER})[0] == 202

    def known() -> bool:
        status, found = traced.call("GET", "/v1/recommendations/ada")
        return status == 200 and found["source"] != "popular"

    traced.wait_until(known, "for a recommendation", 60)
    assert traced.stop() == 0  # flushes what is still buffered

    ours = {span.span_id: span for span in collector.spans if span.trace_id.hex() == TRACE}
    names = [span.name for span in ours.values()]
    for topic in CHAIN:
        assert f"send {topic.name}" in names
        assert f"process {topic.name}" in names
    last = next(span for span in ours.values() if span.name == "process recommendation.changed.v1")
    assert list(_ancestors(last, ours)) == [
        "process recommendation.changed.v1",
        "send recommendation.changed.v1",
        "process affinity.changed.v1",
        "send affinity.changed.v1",
        "process user.embedded.v1",
        "send user.embedded.v1",
        "process conversation.recorded.v1",
        "send conversation.recorded.v1",
        "POST /v1/conversations",
    ]


def _ancestors(span: Span, known: dict[bytes, Span]) -> list[str]:
    found = [span.name]
    while (parent := known.get(span.parent_span_id)) is not None:
        span = parent
        if not span.name.startswith("fastapi."):  # the framework's own spans come and go
            found.append(span.name)
    return found
