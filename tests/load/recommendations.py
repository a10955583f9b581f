"""How good recommendations are on real and on made conversations, beside simple rankers.

    .venv/bin/python tests/load/recommendations.py

Reads the data sets where they lie beside the checkout, or where LIMELIGHT_REAL_CONVERSATIONS says;
ReDial's people are judged one after the other, each by those who came before; the intents' are
split as the data says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from allinone.evaluation.cases import read_cases, read_offers  # noqa: E402
from allinone.evaluation.evaluating import (  # noqa: E402
    Judged,
    Task,
    evaluate,
    evaluate_over_time,
    judge,
    task,
)
from allinone.evaluation.metrics import Interval, lift  # noqa: E402
from allinone.evaluation.platform import Knobs  # noqa: E402
from graph_loader.domain.rules import Weights  # noqa: E402
from recommender.domain.policy import Policy  # noqa: E402
from tests.load.markdown import table  # noqa: E402
from tests.load.recommendation_rivals import RIVALS, at_random  # noqa: E402

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
NEIGHBOURS = (5, 20, 50, 100)
FIRST = 300
"""Conversations of ReDial that are only learned from."""
_HEADINGS = ("", "hit@5", "NDCG@5", "coverage", "hit@5 over popularity", "hit@5 over kNN 50")


def redial(folder: Path) -> Task:
    """Real conversations in the order of time; candidates have three engagements in all of them."""
    cases = read_cases(folder / "redial" / "conversations.jsonl", "redial")
    offers = read_offers(folder / "redial" / "items.csv")
    return task(cases[:FIRST], cases[FIRST:], offers, 3, counted=cases)


def intents(folder: Path) -> Task:
    """Real utterances of simulated users."""
    path = folder / "intents" / "users.jsonl"
    cases = read_cases(path, "intents")
    kinds = [json.loads(line)["split"] for line in path.read_text(encoding="utf-8").splitlines()]
    parts = {
        kind: [case for case, found in zip(cases, kinds, strict=True) if found == kind]
        for kind in ("train", "test")
    }
    return task(
        parts["train"], parts["test"], read_offers(folder / "intents" / "campaigns.json"), 1
    )


def rankers(what: Task, *, over_time: bool) -> Iterator[tuple[str, Judged]]:
    """Every row but popularity: ours and its ablations, then the rivals."""
    whole, run = Policy(length=50), evaluate_over_time if over_time else evaluate
    alone = Weights(similar_users=0, co_engaged=0)
    yield "Limelight", asyncio.run(run(what, Knobs(whole)))
    yield "without graph", asyncio.run(run(what, Knobs(whole, weights=alone)))
    yield "without engagement", asyncio.run(run(what, Knobs(whole.without_engagement())))
    yield "without MMR", asyncio.run(run(what, Knobs(replace(whole, mmr_lambda=1.0))))
    for name, rank in RIVALS.items():
        for k, rankings in rank(what, NEIGHBOURS, over_time).items():
            yield f"{name}, K={k}", judge(what, rankings)
    yield "random", judge(what, at_random(what))


def rows(what: Task, *, over_time: bool) -> list[tuple[str, ...]]:
    """The table of one task."""
    found = dict(rankers(what, over_time=over_time))
    popular = next(iter(found.values())).popularity
    plain = found["plain vector kNN, K=50"].ours
    shown: list[tuple[str, ...]] = [_HEADINGS]
    for name, judged in found.items():
        ours = judged.ours
        shown.append(
            (
                name,
                f"{ours.hits.mean():.3f}",
                f"{ours.ndcg.mean():.3f}",
                f"{ours.coverage:.2f}",
                _interval(lift(ours.hits, popular.hits)),
                _interval(lift(ours.hits, plain.hits)),
            )
        )
    cells = f"{popular.hits.mean():.3f}", f"{popular.ndcg.mean():.3f}", f"{popular.coverage:.2f}"
    shown.append(("popularity", *cells, "", ""))
    return shown


def _interval(one: Interval) -> str:
    return f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", action="store_true", help="only ours on ReDial, as JSON")
    gate = parser.parse_args().gate
    folder = Path(os.environ.get("LIMELIGHT_REAL_CONVERSATIONS", BESIDE))
    if gate:
        what = redial(folder)
        print(json.dumps(asyncio.run(evaluate_over_time(what)).report(what)))
        return
    for name, read, over_time in (("redial", redial, True), ("intents", intents, False)):
        what = read(folder)
        print(
            f"\n{name}: {len(what.judged)} people judged ({what.left_out} left out), learned from "
            f"{len(what.learned)}, {len(what.counts)} candidates\n"
        )
        print(table(rows(what, over_time=over_time)), flush=True)


if __name__ == "__main__":
    main()
