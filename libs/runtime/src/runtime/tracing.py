"""OpenTelemetry traces: set up once a process, context carried as W3C ``traceparent`` text."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_recorded = False


def configure(service: str, otlp_endpoint: str | None) -> None:
    """Install the process's tracer provider.

    Without an endpoint nothing is recorded, but trace ids are still made and carried, so that logs
    of one run can be told from another's.
    """
    global _recorded  # noqa: PLW0603 - one process, one provider, set before anything runs
    _recorded = otlp_endpoint is not None
    sampler = ParentBased(ALWAYS_ON if otlp_endpoint else ALWAYS_OFF)
    provider = TracerProvider(resource=Resource({"service.name": service}), sampler=sampler)
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def recorded() -> bool:
    """Whether spans go anywhere."""
    return _recorded


def begin(
    tracer: trace.Tracer,
    name: str,
    traceparent: str | None,
    kind: SpanKind,
    attributes: Mapping[str, str | int],
) -> Span:
    """Start a span below what ``traceparent`` names.

    While nothing is recorded it is that parent itself: the trace id is carried on, for the logs,
    at a third of the price.
    """
    parent = context_from(traceparent)
    if not _recorded and parent is not None:
        carried = trace.get_current_span(parent)
        if carried.get_span_context().is_valid:
            return carried
    return tracer.start_span(name, context=parent, kind=kind, attributes=attributes)


def tracer(name: str) -> trace.Tracer:
    """The tracer of a module or service."""
    return trace.get_tracer(name)


def context_from(traceparent: str | None) -> Context | None:
    """The context that a ``traceparent`` names; None (a new trace) if there is none."""
    if traceparent is None:
        return None
    return _PROPAGATOR.extract({"traceparent": traceparent})


def traceparent_of(span: Span | None = None) -> str | None:
    """The ``traceparent`` of a span (the current one by default), None outside any trace."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, None if span is None else trace.set_span_in_context(span))
    return carrier.get("traceparent")
