"""OpenTelemetry traces: set up once a process, context carried as W3C ``traceparent`` text."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def configure(service: str, otlp_endpoint: str | None) -> None:
    """Install the process's tracer provider.

    Without an endpoint nothing is recorded, but trace ids are still made and carried, so that logs
    of one run can be told from another's.
    """
    sampler = ParentBased(ALWAYS_ON if otlp_endpoint else ALWAYS_OFF)
    provider = TracerProvider(resource=Resource({"service.name": service}), sampler=sampler)
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


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
