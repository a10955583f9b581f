"""What faults of a provider cost: calls for each success, and successes per second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from tests.load.executor_bed import Bed, Stuck, say
from tests.load.executor_requests import Load
from tests.load.markdown import table

IN_FLIGHT = 128
LATENCY = {"latency_s": 0.5}  # so long that the machine's speed hardly matters
MOST = 0.95
_CALLS = (
    "the provider answers", "requests", "ended", "answered", "given up", "calls", "in vain",
    "calls/answer", "least", "standard error", "wanted",
)  # fmt: skip
_GOODPUT = (
    "the provider answers", "seconds", "answers/s", "of fault-free", "until 95 % ended, s",
    "answers/s until then", "of fault-free until then", "wanted at least",
)  # fmt: skip
_NOTES = (
    f"{IN_FLIGHT} calls in flight, each takes 500 ms whatever comes of it, at most 5 attempts. "
    "In vain are answers that nobody got. The least is what faults alone cost, 1 / (1 - rate), "
    "and a run may be above it by its standard error.",
    "A call that fails takes its place in flight from an answer, so that 0.80 (0.40) of the "
    "fault-free answers/s is the most at 20 % (60 %). The last few requests wait between their "
    "attempts with nothing beside them: the longer a run, the less that is. Fault-free is the "
    "mean of the two runs without fault.",
)


@dataclass(frozen=True)
class Case:
    """A rate of failed calls and what is wanted: calls for each answer, goodput of fault-free."""

    name: str
    faults: Mapping[str, float]
    rate: float
    share: float = 1.0  # of the requests of the fault-free run
    most_calls: float | None = None
    least_goodput: float | None = None

    @property
    def least_calls(self) -> float:
        """Calls for each answer if none is made in vain."""
        return 1 / (1 - self.rate)

    def standard_error(self, answers: int) -> float:
        """Of calls for each answer: so many answers have a negative binomial number of calls."""
        return math.sqrt(self.rate / answers) / (1 - self.rate)


CALM = Case("without fault", {}, 0.0, most_calls=1.0)
# Without fault before and after what is held against it: the machine is not always equally fast.
CASES = (
    Case("20 % with 500", {"status_500": 0.2}, 0.2, most_calls=1.27),
    Case("60 % with 500", {"status_500": 0.6}, 0.6, share=0.5, most_calls=2.6),
    CALM,
    Case(
        "20 % with 429, Retry-After 1 s",
        {"status_429": 0.2, "retry_after_s": 1.0},
        0.2,
        most_calls=1.27,
        least_goodput=0.75,
    ),
    CALM,
)


@dataclass(frozen=True)
class Found:
    """What a case led to. ``most_seconds`` is when ``MOST`` had ended; ``paid`` calls succeeded."""

    case: Case
    requests: int
    outcomes: Mapping[str, int]
    calls: int
    paid: int
    seconds: float
    most_seconds: float

    @property
    def answered(self) -> int:
        """Requests with an answer."""
        return self.outcomes.get("answered", 0)

    @property
    def ended(self) -> int:
        """Requests with an end."""
        return sum(self.outcomes.values())

    @property
    def goodput(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    @property
    def most_goodput(self) -> float:
        """The same while there was enough to do."""
        return MOST * self.answered / self.most_seconds


async def faults(bed: Bed, *, short: bool) -> str:
    """One run for each case, one after the other."""
    count = 2_000 if short else 20_000
    found = [await _run(bed, number, case, count) for number, case in enumerate(CASES)]
    calls, goodput = table([_CALLS, *_calls(found)]), table([_GOODPUT, *_goodput(found)])
    return "\n\n".join((calls, _NOTES[0], goodput, _NOTES[1]))


async def _run(bed: Bed, number: int, case: Case, count: int) -> Found:
    load, every = Load(int(case.share * count)), {**LATENCY, **case.faults}
    async with bed.rig(f"faults-{number}", load, every, max_in_flight=IN_FLIGHT) as rig:
        rig.executor.start()
        await rig.until_begun()
        begun = time.time()
        await rig.until_done(load.count, case.name)
        seconds = time.time() - begun
        stats = rig.simulator.stats()
        found = Found(
            case=case,
            requests=load.count,
            outcomes=await rig.store.outcomes(),
            calls=int(stats["answerable"]),
            paid=int(stats["by_status"].get("200", 0)),
            seconds=seconds,
            most_seconds=await rig.store.ended_at(MOST) - begun,
        )
        await rig.executor.stop()
    if not found.answered:
        raise Stuck(f"{case.name}: nothing was answered, {found.outcomes}")
    each = found.calls / found.answered
    say(f"{case.name}: {each:.3f} calls/answer, {found.goodput:,.0f}/s, {found.outcomes}")
    return found


def _calls(rows: list[Found]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        case = row.case
        yield (
            case.name, f"{row.requests:,}", f"{row.ended:,}", f"{row.answered:,}",
            f"{row.ended - row.answered:,}", f"{row.calls:,}", f"{row.paid - row.answered}",
            f"{row.calls / row.answered:.3f}", f"{case.least_calls:.3f}",
            f"{case.standard_error(row.answered):.3f}", _wanted(case.most_calls),
        )  # fmt: skip


def _goodput(rows: list[Found]) -> Iterator[tuple[str, ...]]:
    calm = [row for row in rows if row.case is CALM]
    whole, most = fmean(row.goodput for row in calm), fmean(row.most_goodput for row in calm)
    for row in rows:
        yield (
            row.case.name, f"{row.seconds:.1f}", f"{row.goodput:,.0f}",
            f"{row.goodput / whole:.2f}", f"{row.most_seconds:.1f}",
            f"{row.most_goodput:,.0f}", f"{row.most_goodput / most:.2f}",
            _wanted(row.case.least_goodput),
        )  # fmt: skip


def _wanted(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
