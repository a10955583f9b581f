"""ASGI middleware of the gateway: one class per concern, none that holds a response back."""

from __future__ import annotations

from gateway.middleware.addressed import Addressed
from gateway.middleware.body import BodyLimit, Streamed
from gateway.middleware.metered import Metered
from gateway.middleware.observed import Defects, Observed
from gateway.middleware.problems import PROBLEM, problem, too_large, unreadable_json
from gateway.middleware.state import (
    ANONYMOUS,
    BUCKET,
    CALLER,
    QUOTA_HEADERS,
    SECURE,
    SOURCE_HEADER,
    note_quota,
)

__all__ = [
    "ANONYMOUS",
    "BUCKET",
    "CALLER",
    "PROBLEM",
    "QUOTA_HEADERS",
    "SECURE",
    "SOURCE_HEADER",
    "Addressed",
    "BodyLimit",
    "Defects",
    "Metered",
    "Observed",
    "Streamed",
    "note_quota",
    "problem",
    "too_large",
    "unreadable_json",
]
