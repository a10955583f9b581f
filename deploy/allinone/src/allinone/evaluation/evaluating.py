"""Learn from one file, recommend for another, and judge against what people really engaged with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from allinone.evaluation.cases import Case, Offer
from allinone.evaluation.metrics import Interval, Ranking, Scores, by_popularity, lift, scores
from allinone.evaluation.platform import Knobs, Platform


@dataclass(frozen=True)
class Task:
    """People to learn from, people to be judged, and what can be recommended.

    ``counts`` are the candidates with how many of the people learned from engaged with them.
    ``judged`` are those of the ``later`` people who engaged with a candidate that they did not know
    before: of the others nothing could be found. ``wanted`` is what each of them did.
    """

    learned: Sequence[Case]
    later: Sequence[Case]
    judged: Sequence[Case]
    wanted: Sequence[frozenset[str]]
    offers: Sequence[Offer]
    counts: Mapping[str, int]

    @property
    def left_out(self) -> int:
        """How many of the later people are not judged."""
        return len(self.later) - len(self.judged)

    @property
    def candidates(self) -> list[Offer]:
        """What can be recommended."""
        return [one for one in self.offers if one.campaign_id in self.counts]


@dataclass(frozen=True)
class Judged:
    """A ranking's scores, beside popularity on the same people."""

    ours: Scores
    popularity: Scores

    @property
    def hit_lift(self) -> Interval:
        """Of the hit rate over popularity."""
        return lift(self.ours.hits, self.popularity.hits)

    @property
    def ndcg_lift(self) -> Interval:
        """Of NDCG over popularity."""
        return lift(self.ours.ndcg, self.popularity.ndcg)

    def report(self, task: Task) -> dict[str, object]:
        """As JSON."""
        return {
            "learned_from": len(task.learned),
            "judged": len(task.judged),
            "left_out": task.left_out,
            "candidates": len(task.counts),
            "ours": _shown(self.ours),
            "popularity": _shown(self.popularity),
            "lift_over_popularity": {
                "hit_at_5": asdict(self.hit_lift),
                "ndcg_at_5": asdict(self.ndcg_lift),
            },
        }


def task(
    learned: Sequence[Case],
    later: Sequence[Case],
    offers: Sequence[Offer],
    least: int,
    counted: Sequence[Case] | None = None,
) -> Task:
    """What is to be done.

    Candidates are offers that ``least`` of the people learned from (or ``counted``) engaged with.

    Raises:
        ValueError: there is no candidate, or nobody to judge.
    """
    known = {one.campaign_id for one in offers}
    people = learned if counted is None else counted
    counts = Counter(item for case in people for item in case.engaged if item in known)
    candidates = {item: count for item, count in counts.items() if count >= least}
    wanted = {
        case.person: frozenset(case.engaged) & candidates.keys() - set(case.known) for case in later
    }
    left = [case for case in later if wanted[case.person]]
    if not candidates:
        raise ValueError(f"no campaign was engaged with by {least} people: lower --least")
    if not left:
        raise ValueError("nobody in the test file engaged with any of the candidates")
    chosen = [wanted[case.person] for case in left]
    return Task(learned, later, left, chosen, offers, candidates)


async def evaluate(
    what: Task, knobs: Knobs | None = None, progress: Callable[[int], None] = lambda _: None
) -> Judged:
    """Run it. ``progress`` is told how many people have been judged."""
    platform = Platform(knobs)
    await platform.start()
    try:
        await platform.offer(what.candidates)
        await platform.learn(what.learned)
        rankings = []
        for number, case in enumerate(what.judged, 1):
            rankings.append(await platform.recommend(case))
            progress(number)
    finally:
        await platform.stop()
    return judge(what, rankings)


async def evaluate_over_time(
    what: Task, knobs: Knobs | None = None, progress: Callable[[int], None] = lambda _: None
) -> Judged:
    """The same, but who was judged is learned from before the next one is.

    The people of ``what`` are in the order of time; popularity counts what came before, too.
    """
    platform, counts = Platform(knobs), Counter(dict.fromkeys(what.counts, 0))
    rankings: list[Ranking] = []
    popular: list[Ranking] = []
    judged = {case.person for case in what.judged}
    await platform.start()
    try:
        await platform.offer(what.candidates)
        for case in (*what.learned, *what.later):
            if case.person in judged:
                popular += by_popularity(counts, [set(case.known)])
                rankings.append(await platform.recommend(case))
                progress(len(rankings))
            await platform.learn([case])
            counts.update(set(case.engaged) & what.counts.keys())
    finally:
        await platform.stop()
    return Judged(judge(what, rankings).ours, scores(popular, what.wanted, what.counts))


def judge(what: Task, rankings: Sequence[Ranking]) -> Judged:
    """Score rankings, whoever made them; what a person knows counts for nobody."""
    known = [set(case.known) for case in what.judged]
    seen = [
        [item for item in ranking if item not in knows]
        for ranking, knows in zip(rankings, known, strict=True)
    ]
    popular = by_popularity(what.counts, known)
    return Judged(scores(seen, what.wanted, what.counts), scores(popular, what.wanted, what.counts))


def _shown(one: Scores) -> dict[str, float]:
    return {
        "hit_at_5": float(one.hits.mean()),
        "ndcg_at_5": float(one.ndcg.mean()),
        "coverage_at_5": one.coverage,
    }
