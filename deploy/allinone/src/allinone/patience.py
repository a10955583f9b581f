"""Waiting as long as a server asks for, but not for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from time import monotonic, sleep

import httpx2

LIMIT_SECONDS = 120.0
"""Of waiting for one request; with each that is answered it begins anew."""
QUIET_SECONDS = 10.0
"""Between two messages: many short waits are told once."""
TOO_MANY, UNAVAILABLE = 429, 503


class Patience:
    """Asks again when the server says when to, and tells the user that it waits."""

    def __init__(self) -> None:
        self._told_at = -inf

    def answer(
        self, ask: Callable[[], httpx2.Response], *, repeatable: bool = True
    ) -> httpx2.Response:
        """The first answer that is not put off, or the last one once the limit is reached.

        ``repeatable``: the request may be done twice. A spent limit has done nothing, but of a
        503 nobody knows.
        """
        waited = 0.0
        while True:
            found = ask()
            seconds = seconds_asked(found, repeatable=repeatable)
            if seconds is None or waited + seconds > LIMIT_SECONDS:
                return found
            self._tell(found, seconds)
            sleep(seconds)
            waited += seconds

    def _tell(self, found: httpx2.Response, seconds: float) -> None:
        if monotonic() - self._told_at < QUIET_SECONDS:
            return
        why = "too many requests" if found.status_code == TOO_MANY else "not available"
        print(f"limelight: {why}: waiting {seconds:.0f} s, as the server asks", file=sys.stderr)
        self._told_at = monotonic()


def seconds_asked(found: httpx2.Response, *, repeatable: bool) -> float | None:
    """How long to wait before asking again, at least a second; None: do not ask again."""
    again = (TOO_MANY, UNAVAILABLE) if repeatable else (TOO_MANY,)
    said = found.headers.get("Retry-After", "").strip()
    if found.status_code not in again:
        return None
    return max(1.0, float(said)) if said.isdecimal() else _seconds_until(said)


def _seconds_until(said: str) -> float | None:
    """To a time as proxies give it, e.g. ``Wed, 21 Oct 2026 07:28:00 GMT``."""
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    left = at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)
    return max(1.0, left.total_seconds())
