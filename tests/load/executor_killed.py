"""The kill -9 sweep as a row: the same as the test of it, and longer."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.chaos.executor_kills import Evidence, Sweep, complaints, run
from tests.load.executor_bed import Bed, say
from tests.load.markdown import table

SEED = 20261107
_HEADINGS = ("what", "count", "wanted")


async def kills(bed: Bed, *, short: bool) -> str:
    """Kill, and count what is lost, doubled and repeated."""
    sweep = Sweep(1_200, 12, SEED) if short else Sweep(20_000, 200, SEED)
    found = await run(bed, "kills", sweep, say)
    wrong = complaints(found)
    said = "Nothing to complain of." if not wrong else f"**Wrong**: {'; '.join(wrong)}."
    return f"{table([_HEADINGS, *_lines(found)])}\n\n{said} {_lives(found)}"


def _lines(found: Evidence) -> Iterator[tuple[str, ...]]:
    count = found.sweep.requests
    unknown, said = found.unknown, found.said_unknown
    answered = sum(end.outcome == "answered" for end in found.stored.values())
    events = sum(map(len, found.published.values()))
    doubled = sum(len(set(every)) > 1 for every in found.published.values())
    rows: tuple[tuple[str, int, str], ...] = (
        ("kills", len(found.kills), f"{found.sweep.kills:,}"),
        ("kills before anything had ended", sum(not kill.ends for kill in found.kills), ""),
        ("requests", count, ""),
        ("requests with one stored end", len(found.stored), f"{count:,}"),
        ("of these answered", answered, f"{count:,}"),
        ("completions with an event on the log", len(found.published), f"{count:,}"),
        ("completions with two different events", doubled, "0"),
        ("events published again, same id and body", events - len(found.published), ""),
        ("calls that may be in flight at the kills", found.sweep.in_flight * len(found.kills), ""),
        ("claims open at the kills", len(unknown), ""),
        ("calls at the simulator just before", sum(kill.in_flight for kill in found.kills), ""),
        ("provider calls repeated", found.repeats, f"at most {_at_most(found):,}"),
        ("completions cut by a kill", len({key for key, _ in unknown}), ""),
        ("completions said to be cut", len(said), "the same"),
        ("completions called more than once", found.repeated, f"at most {len(said):,}"),
        ("calls at once, at most", found.at_once, f"at most {found.sweep.in_flight}"),
    )
    for what, number, wanted in rows:
        yield what, f"{number:,}", wanted


def _at_most(found: Evidence) -> int:
    """Repeats that kills can account for."""
    return min(len(found.unknown), found.sweep.in_flight * len(found.kills))


def _lives(found: Evidence) -> str:
    ages = [kill.age for kill in found.kills]
    ends = [kill.ends for kill in found.kills]
    claims = [len(kill.claims) for kill in found.kills]
    return (
        f"Seed {found.sweep.seed}, {found.sweep.in_flight} calls in flight of 50 to 150 ms, "
        f"{found.seconds:.0f} s in all; a process lived {min(ages):.1f} to {max(ages):.1f} s "
        f"(median {statistics.median(ages):.1f}) and brought {min(ends)} to {max(ends)} requests "
        f"to their end (median {statistics.median(ends):.0f}). At most {max(claims)} claims were "
        "open at a kill: calls in flight, and answers that were about to be recorded."
    )
