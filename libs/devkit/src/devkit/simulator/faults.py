"""What can go wrong with a call, drawn from configured rates or asked for by a header."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from devkit.simulator.entropy import rng

FAULT_HEADER = "x-limelight-fault"
DEFAULT_TIMEOUT_S = 60.0


class FaultError(ValueError):
    """A fault rate or a fault header that makes no sense."""


class FaultKind(StrEnum):
    """The failure a call ends in; ``none`` is an answer, perhaps a late one."""

    NONE = "none"
    STATUS = "status"
    TIMEOUT = "timeout"
    CUT = "cut-stream"
    MALFORMED = "malformed-json"
    STREAM_ERROR = "error-in-stream"
    NO_FINISH = "no-finish"
    HANG_STREAM = "hang-stream"
    EMPTY = "empty"
    GARBAGE = "garbage"
    FILTERED = "filtered"
    BREAK_SCHEMA = "break-schema"


_ONLY_STREAMED = frozenset({FaultKind.STREAM_ERROR, FaultKind.NO_FINISH})
_WITH_BOUND = frozenset({FaultKind.TIMEOUT, FaultKind.HANG_STREAM})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to one call. Times are in seconds; ``latency_s`` comes before everything.

    ``chunk_delay_s`` is the time between two events of a stream. ``first``, if set, limits the
    fault to that many first attempts of an identical request.
    """

    kind: FaultKind = FaultKind.NONE
    status: int = 200
    retry_after_s: float | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    latency_s: float = 0.0
    chunk_delay_s: float = 0.0
    first: int | None = None

    @property
    def label(self) -> str:
        """The name under which it is counted, e.g. ``status=429``."""
        return f"status={self.status}" if self.kind is FaultKind.STATUS else str(self.kind)

    def at_attempt(self, attempt: int) -> Fault:
        """This fault, or none when ``attempt`` (from 0) is beyond ``first``."""
        return self if self.first is None or attempt < self.first else Fault()

    def on(self, *, streamed: bool, structured: bool) -> Fault:
        """This fault, or only its delays when there is nothing it could be done to.

        ``error-in-stream`` and ``no-finish`` need a stream, ``break-schema`` needs an answer
        that has a schema.
        """
        if self.kind in _ONLY_STREAMED and not streamed:
            return replace(self, kind=FaultKind.NONE)
        if self.kind is FaultKind.BREAK_SCHEMA and not structured:
            return replace(self, kind=FaultKind.NONE)
        return self


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Probabilities per call (their sum at most 1) and times in seconds.

    Latency is ``latency_s`` plus a uniform draw from ``[0, latency_jitter_s]``. A time-out and
    a stream that goes silent last until the client gives up, at most ``timeout_s``.
    """

    status_500: float = 0.0
    status_429: float = 0.0
    timeout: float = 0.0
    cut_stream: float = 0.0
    malformed_json: float = 0.0
    retry_after_s: float = 1.0
    timeout_s: float = DEFAULT_TIMEOUT_S
    latency_s: float = 0.0
    latency_jitter_s: float = 0.0
    chunk_delay_s: float = 0.0
    status_529: float = 0.0
    error_in_stream: float = 0.0
    no_finish: float = 0.0
    hang_stream: float = 0.0
    empty: float = 0.0
    garbage: float = 0.0
    filtered: float = 0.0
    break_schema: float = 0.0

    def __post_init__(self) -> None:
        rates = self._rates()
        if any(not 0.0 <= rate <= 1.0 for rate in rates) or sum(rates) > 1.0 + 1e-9:
            raise FaultError("fault rates must be within [0, 1] and add up to at most 1")
        for name in _SECONDS:
            _check_seconds(name, getattr(self, name))

    @property
    def active(self) -> bool:
        """Whether any call is ever delayed or failed."""
        delays = self.latency_s + self.latency_jitter_s + self.chunk_delay_s
        return sum(self._rates()) + delays > 0

    def draw(self, seed: int, identity: str, attempt: int) -> Fault:
        """The fault of one attempt: a pure function, so a run repeats and a retry can succeed."""
        if not (self.latency_jitter_s or sum(self._rates())):
            return _only_late(self.latency_s, self.chunk_delay_s)
        source = rng(str(seed), "fault", identity, str(attempt))
        fault = self._pick(source.random())
        latency = self.latency_s + self.latency_jitter_s * source.random()
        return replace(fault, latency_s=latency, chunk_delay_s=self.chunk_delay_s)

    def _pick(self, uniform: float) -> Fault:
        for rate, fault in zip(self._rates(), self._faults(), strict=True):
            if uniform < rate:
                return fault
            uniform -= rate
        return Fault()

    def _rates(self) -> tuple[float, ...]:
        """In an order that may only be added to: it decides what a seed draws."""
        return (
            *(self.status_500, self.status_429, self.timeout, self.cut_stream),
            *(self.malformed_json, self.status_529, self.error_in_stream, self.no_finish),
            *(self.hang_stream, self.empty, self.garbage, self.filtered, self.break_schema),
        )

    def _faults(self) -> tuple[Fault, ...]:
        return (
            Fault(FaultKind.STATUS, 500),
            Fault(FaultKind.STATUS, 429, retry_after_s=self.retry_after_s),
            Fault(FaultKind.TIMEOUT, timeout_s=self.timeout_s),
            Fault(FaultKind.CUT),
            Fault(FaultKind.MALFORMED),
            Fault(FaultKind.STATUS, 529),
            Fault(FaultKind.STREAM_ERROR),
            Fault(FaultKind.NO_FINISH),
            Fault(FaultKind.HANG_STREAM, timeout_s=self.timeout_s),
            Fault(FaultKind.EMPTY),
            Fault(FaultKind.GARBAGE),
            Fault(FaultKind.FILTERED),
            Fault(FaultKind.BREAK_SCHEMA),
        )


@lru_cache(maxsize=64)
def _only_late(latency_s: float, chunk_delay_s: float) -> Fault:
    return Fault(latency_s=latency_s, chunk_delay_s=chunk_delay_s)


_SECONDS = ("retry_after_s", "timeout_s", "latency_s", "latency_jitter_s", "chunk_delay_s")


def parse_fault(header: str) -> Fault:
    """Read ``x-limelight-fault``: directives joined by ``;``. Raises ``FaultError``.

    Failures (one at most): ``status=429``, the other values of ``FaultKind``, of which
    ``timeout=5`` and ``hang-stream=5`` may have a bound in seconds. Beside them:
    ``retry-after=1`` (with a status), ``latency=0.2``, ``chunk-delay=0.05``, ``first=2`` (only
    the first two attempts fail).
    """
    fault = Fault()
    for directive in filter(None, (part.strip() for part in header.split(";"))):
        name, _, value = directive.partition("=")
        fault = _apply(fault, name.strip(), value.strip())
    if fault.retry_after_s is not None and fault.kind is not FaultKind.STATUS:
        raise FaultError("retry-after needs a status")
    return fault


def _apply(fault: Fault, name: str, value: str) -> Fault:
    if name in {kind.value for kind in FaultKind}:
        if fault.kind is not FaultKind.NONE:
            raise FaultError(f"{name} cannot be combined with {fault.kind}")
        return _failure(fault, FaultKind(name), value)
    if name == "retry-after":
        return replace(fault, retry_after_s=_seconds(name, value))
    if name == "latency":
        return replace(fault, latency_s=_seconds(name, value))
    if name == "chunk-delay":
        return replace(fault, chunk_delay_s=_seconds(name, value))
    if name == "first":
        return replace(fault, first=_count(name, value))
    raise FaultError(f"unknown directive {name!r}")


def _failure(fault: Fault, kind: FaultKind, value: str) -> Fault:
    if kind is FaultKind.STATUS:
        status = _count("status", value)
        if not 400 <= status <= 599:
            raise FaultError(f"status must be within 400 to 599, got {status}")
        return replace(fault, kind=kind, status=status)
    if kind in _WITH_BOUND and value:
        return replace(fault, kind=kind, timeout_s=_seconds(kind, value))
    if value:
        raise FaultError(f"{kind} takes no value")
    return replace(fault, kind=kind)


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        raise FaultError(f"{name} needs a number of seconds, got {value!r}") from None
    return _check_seconds(name, seconds)


def _check_seconds(name: str, seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise FaultError(f"{name} must be finite and not negative, got {seconds}")
    return seconds


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise FaultError(f"{name} needs a whole number, got {value!r}")
    return int(value)
