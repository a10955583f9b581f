"""Judges a history: every complaint says what is wrong, how often, and shows the first ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from devkit.history.account import Account, Complaint
from devkit.history.calls import Calls
from devkit.history.log import LogHistory, Origin
from devkit.history.promises import PROMISES

_SHOWN = 3


@dataclass(frozen=True)
class History:
    """Everything that is known once all has settled.

    ``planted`` are records that were written to be rejected. ``unpublished`` are rows that wait in
    each service's outbox, ``unfinished`` things that each service still has to do. ``reports``
    are, by run, what a run without faults reports and what was reported.
    """

    log: LogHistory
    planted: Mapping[Origin, frozenset[str]]
    accounts: Sequence[Account]
    calls: Calls
    unpublished: Mapping[str, int]
    reports: Mapping[str, tuple[object, object]]


def complaints(history: History) -> list[str]:
    """What is not as it was promised; none is right."""
    return [_line(what, which) for what, which in _all(history) if which]


def _all(history: History) -> Iterator[Complaint]:
    for promise in PROMISES:
        yield from promise.complaints(history.log.events(promise.topic))
    yield from _letters(history)
    for account in history.accounts:
        yield from account.complaints()
    yield from history.calls.complaints()
    yield from _rest(history)


def _letters(history: History) -> Iterator[Complaint]:
    """Each group that reads a planted record buries it; nothing else is buried.

    A crash may write a letter twice: it counts once.
    """
    owed = {(group, at) for at, groups in history.planted.items() for group in groups}
    found = {(letter.group, letter.origin): letter for letter in history.log.letters}
    yield "records that should be dead letters and are not", _named(owed - found.keys())
    unplanted = [found[each] for each in sorted(found.keys() - owed)]
    yield (
        "dead letters that nobody planted",
        [f"{one.group} {_place(one.origin)}: {one.reason}" for one in unplanted],
    )
    unread = sorted(history.log.unread - history.planted.keys())
    yield "records that are no events", [_place(one) for one in unread]


def _rest(history: History) -> Iterator[Complaint]:
    lags = {f"{group} on {topic}": behind for (topic, group), behind in history.log.lags.items()}
    yield "consumers that are behind", _counts(lags)
    yield "outboxes that are not empty", _counts(history.unpublished)
    differing = {run: pair for run, pair in history.reports.items() if pair[0] != pair[1]}
    yield (
        "reports unlike that of a calm run",
        [f"{run}: {found}, calm {calm}" for run, (calm, found) in differing.items()],
    )


def _counts(found: Mapping[str, int]) -> list[str]:
    return [f"{name}: {count}" for name, count in found.items() if count]


def _named(found: set[tuple[str, Origin]]) -> list[str]:
    return [f"{group} {_place(origin)}" for group, origin in sorted(found)]


def _place(origin: Origin) -> str:
    topic, partition, offset = origin
    return f"{topic}[{partition}]@{offset}"


def _line(what: str, which: Sequence[str]) -> str:
    shown = "; ".join(which[:_SHOWN])
    more = f" and {len(which) - _SHOWN} more" if len(which) > _SHOWN else ""
    return f"{what}: {len(which)} ({shown}{more})"
