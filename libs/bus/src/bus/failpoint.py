"""Named points at which a test may kill the process. In production a point does nothing."""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "command-before-commit",
    "command-after-commit",
    "consumer-after-decode",
    "consumer-before-commit",
    "consumer-after-commit",
    "consumer-before-publish",
    "consumer-after-publish",
    "consumer-after-offset",
    "dead-letter-before-send",
    "dead-letter-after-send",
    "relay-before-send",
    "relay-after-send",
    "relay-after-mark",
    "intake-before-store",
    "intake-after-store",
    "call-before-claim",
    "call-after-claim",
    "call-before-send",
    "call-after-reply",
    "call-after-record",
)
"""Every point of the delivery code, in the order in which a run meets them."""

_hook: Callable[[str], None] | None = None


def hit(point: str) -> None:
    """Pass a named point."""
    if _hook is not None:
        _hook(point)


def install(hook: Callable[[str], None] | None) -> None:
    """Let ``hook`` see every point that is passed from now on; None removes it."""
    global _hook  # noqa: PLW0603 - one process, one hook, set before anything runs
    _hook = hook
