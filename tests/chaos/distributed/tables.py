"""What a chaos run found, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from devkit.history import PROMISES, late_versions
from tests.chaos.distributed.run import Outcome
from tests.load.markdown import table


def outcome_table(outcome: Outcome) -> str:
    """What was asked for, what broke, and what was found."""
    seed = ("seed", str(outcome.plan.seed))
    rows = [("what", "number"), seed, *((name, f"{n:,}") for name, n in _rows(outcome))]
    return table(rows)


def _rows(outcome: Outcome) -> Iterator[tuple[str, int]]:
    accepted, seen, history = outcome.accepted, outcome.seen, outcome.history
    yield "seconds of faults", round(outcome.chaos_seconds)
    yield "seconds until all had settled", round(outcome.settle_seconds)
    yield "requests accepted", accepted.requests
    for kind, count in sorted(accepted.tries.items()):
        if kind != "accepted":
            yield f"requests sent again after {kind}", count
    yield "completions of runs", sum(accepted.runs.values())
    yield "conversations", len(accepted.conversations)
    yield "engagements", len(accepted.engagements)
    yield "states of campaigns", sum(map(len, accepted.campaigns.values()))
    for name, count in sorted(seen.kills.items()):
        yield f"kill -9: {name}", count
    for name, count in sorted(seen.stops.items()):
        yield f"stopped: {name}", count
    yield "processes that ended by themselves", sum(seen.ended.values())
    yield "replicas that came and went", seen.replicas
    yield "records sent twice on purpose", seen.doubled
    yield "records on the log", sum(map(len, history.log.told.values()))
    yield "copies among them", _copies(outcome)
    yield (
        "effects held against what was accepted",
        sum(sum(account.done.values()) for account in history.accounts),
    )
    yield (
        "effects lost, doubled or unasked",
        sum(len(which) for account in history.accounts for _, which in account.complaints()),
    )
    yield "provider calls", history.calls.total
    yield "calls made again", history.calls.repeats
    yield "calls said to be cut (outcome_unknown)", len(history.calls.cut)
    yield "claims open when something was killed", len(history.calls.claims)
    yield "attempts after a failed one", history.calls.tried_again
    yield from _late(outcome)
    yield "dead letters planted, found", len(history.planted)
    yield "dead letters", len({(one.group, one.origin) for one in history.log.letters})
    yield "records not consumed", sum(history.log.lags.values())
    yield "outbox rows not published", sum(history.unpublished.values())


def _copies(outcome: Outcome) -> int:
    told = outcome.history.log.told.values()
    ids = Counter(one.id for records in told for one in records)
    return sum(times - 1 for times in ids.values())


def _late(outcome: Outcome) -> Iterator[tuple[str, int]]:
    """Readers keep the highest: an order of these is not promised."""
    log = outcome.history.log
    for promise in PROMISES:
        if promise.version is not None:
            late = late_versions(promise, log.events(promise.topic))
            yield f"versions that came late on {promise.topic}", late
