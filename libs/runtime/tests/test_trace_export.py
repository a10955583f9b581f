"""Spans reach a collector over TLS, with a CA of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from devkit.tls import Authority, Certificate, TlsProxy

_PROCESS = """
import sys
from opentelemetry import trace
from runtime import tracing
tracing.configure("toy", sys.argv[1])
with tracing.tracer("toy").start_as_current_span("work"):
    pass
trace.get_tracer_provider().shutdown()
"""


class Collector(HTTPServer):
    """Keeps the paths and bodies of what is posted."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody needs to read it."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@contextmanager
def exporting(proxy: TlsProxy, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process that sends a span; it ends with the block if it has not done so before."""
    command = [sys.executable, "-c", _PROCESS, f"https://127.0.0.1:{proxy.port}"]
    # requests, by which it sends, lets these win over what it is told.
    others = {name: value for name, value in os.environ.items() if not name.endswith("CA_BUNDLE")}
    environment = {**others, "OTEL_EXPORTER_OTLP_TIMEOUT": "60", **variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_span_arrives_where_the_authority_is_trusted(
    collector: Collector, certificate: Certificate, authority: Authority
) -> None:
    with TlsProxy(collector.server_port, certificate) as proxy:
        with exporting(proxy) as process:  # it would try again until its time is over
            assert process.stderr is not None
            assert any("certificate" in line.lower() for line in process.stderr)
        assert collector.got == []
        with exporting(proxy, OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority.file)) as process:
            assert process.wait() == 0
    ((path, body),) = collector.got
    assert path == "/v1/traces"
    assert b"work" in body
