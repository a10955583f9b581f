"""What recommendations are compared with, on the same people: simple rankers over plain arrays."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import log

import numpy as np
from allinone.evaluation.cases import Case
from allinone.evaluation.evaluating import Task
from embedding.adapters import minilm
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rankings = list[list[str]]
Vectors = Callable[[Sequence[Case]], Floats]
_WORD = re.compile(r"\w\w+")


def at_random(what: Task) -> Rankings:
    """Every order is as likely; the seed is fixed."""
    draw, ids = random.Random(1), sorted(what.counts)
    return [draw.sample(ids, len(ids)) for _ in what.judged]


def by_vectors(what: Task, neighbours: Sequence[int], over_time: bool) -> dict[int, Rankings]:
    """Plain nearest neighbours on mean-pooled MiniLM vectors: what the ``k`` nearest did."""
    model = minilm.load(2)

    def vectors(cases: Sequence[Case]) -> Floats:
        means = np.stack([model.embed(list(case.texts) or [" "]).mean(axis=0) for case in cases])
        return _to_length_one(means)

    return _nearest(what, vectors, neighbours, over_time)


def by_words(what: Task, neighbours: Sequence[int], over_time: bool) -> dict[int, Rankings]:
    """The same on TF-IDF weights of words (Salton and Buckley 1988: tf times log(N / df))."""
    words = Counter(word for case in what.learned for word in set(_words(case)))
    places = {word: place for place, word in enumerate(words)}
    weights = {word: log(len(what.learned) / count) for word, count in words.items()}

    def vectors(cases: Sequence[Case]) -> Floats:
        rows = np.zeros((len(cases), len(places)), dtype=np.float32)
        for row, case in zip(rows, cases, strict=True):
            for word, count in Counter(_words(case)).items():
                if word in places:
                    row[places[word]] = count * weights[word]
        return _to_length_one(rows)

    return _nearest(what, vectors, neighbours, over_time)


RIVALS: dict[str, Callable[[Task, Sequence[int], bool], dict[int, Rankings]]] = {
    "plain vector kNN": by_vectors,
    "TF-IDF users": by_words,
}


def _nearest(
    what: Task, vectors: Vectors, neighbours: Sequence[int], over_time: bool
) -> dict[int, Rankings]:
    """``over_time``: from everybody who came before, also of the later people."""
    known = [*what.learned, *what.later] if over_time else list(what.learned)
    at = {case.person: place for place, case in enumerate(known)}
    ids = sorted(what.counts)
    did = np.array(
        [[item in set(case.engaged) for item in ids] for case in known], dtype=np.float32
    )
    rows = vectors(known)
    found: dict[int, Rankings] = {k: [] for k in neighbours}
    for case, likeness in zip(what.judged, vectors(what.judged) @ rows.T, strict=True):
        before = likeness[: at.get(case.person, len(known))]
        order = np.argsort(-before, kind="stable")
        for k, rankings in found.items():
            near = order[:k]
            score = np.maximum(likeness[near], 0) @ did[near]
            rankings.append([ids[place] for place in np.argsort(-score, kind="stable")])
    return found


def _words(case: Case) -> list[str]:
    return _WORD.findall(" ".join(case.texts).lower())


def _to_length_one(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(lengths, 1e-9)
    return unit
