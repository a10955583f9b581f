"""The three ways in which processing a record can fail, and what each one does to it.

``Transient`` is tried again in place with back-off and ends in the DLQ when its attempts run
out. ``Unavailable`` is a transient failure of something every record needs (a store, the log,
a provider): the partition waits without spending attempts, as it does for ``TooEarly``.
``Permanent`` and ``Poison`` go to the DLQ at once; poison is a record that could not even be
decoded.
"""

from __future__ import annotations


class BusError(Exception):
    """Base of everything the bus raises on purpose."""


class Transient(BusError):
    """May succeed when tried again; ``retry_after`` (seconds) overrides the back-off."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Transient):
    """A shared dependency is down: wait for it, spend no attempts."""


class TooEarly(Unavailable):
    """Nothing is wrong, but ``retry_after`` seconds have to pass before the record is due."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)


class LogUnavailable(Unavailable):
    """The log did not acknowledge; what was sent may or may not have been written."""


class LogRefused(LogUnavailable):
    """The log answers, but lets nobody in with these settings; the message names which."""


class Permanent(BusError):
    """Will fail again however often it is tried."""


class Poison(BusError):
    """The record cannot be decoded. ``reason`` is a short stable code for DLQ and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RecordTooLarge(Permanent):
    """The log refuses a record of this size."""


class Fenced(BusError):
    """The partition now belongs to another member: nothing was committed."""


class InstanceFenced(BusError):
    """Another process has this one's name in the consumer group: this one is out for good."""


class ConsumerHalted(BusError):
    """Too large a share of the records failed: the consumer stopped instead of flooding the DLQ."""
