"""Lists are diverse where vectors are known, and by score alone where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommender.domain.diversity import diverse, likeness
from recommender.domain.models import CampaignVector, Person
from recommender.domain.policy import Policy
from recommender.domain.rules import rank
from recommender.domain.vectors import Vectors, direction
from services.recommender.tests.kits import NOW, affinity, campaign, catalog, near

KEYS = ("a", "b", "c")
KNOWN = [campaign(key) for key in KEYS]
ADA = Person("ada", affinity(near("a", 1.0), near("b", 0.95), near("c", 0.9)))


def vectors(model: str = "m@1", **given: tuple[float, ...]) -> Vectors:
    return Vectors(
        {
            key: (model, direction(CampaignVector(key, model, values, NOW)))
            for key, values in given.items()
        }
    )


def ranked(known: Vectors, trade: float = 0.5) -> list[str]:
    found = rank(ADA, catalog(*KNOWN, vectors=known), NOW, Policy(mmr_lambda=trade))
    return [item.campaign_id for item in found.items]


def test_what_is_like_the_first_gives_way_to_what_is_not() -> None:
    alike = vectors(a=(1.0, 0.0), b=(1.0, 0.1), c=(0.0, 1.0))
    assert ranked(alike) == ["a", "c", "b"]
    assert ranked(alike, trade=1.0) == ["a", "b", "c"]
    assert ranked(alike, trade=0.99) == ["a", "b", "c"]


def test_what_is_a_little_alike_is_not_alike() -> None:
    assert ranked(vectors(a=(1.0, 0.0), b=(1.0, 1.8), c=(0.0, 1.0))) == ["a", "b", "c"]
    cosines = np.array([[-1.0, 0.5, 0.75, 1.0]], dtype=np.float32)
    assert likeness(cosines, 0.5).tolist() == [[0, 0, 0.5, 1]]


def test_without_vectors_the_score_decides() -> None:
    assert ranked(Vectors()) == ["a", "b", "c"]
    assert ranked(vectors(a=(1.0, 0.0))) == ["a", "b", "c"]


def test_a_campaign_without_a_vector_is_like_none() -> None:
    assert ranked(vectors(a=(1.0, 0.0), b=(1.0, 0.0))) == ["a", "c", "b"]


def test_vectors_of_two_models_are_not_compared() -> None:
    both = Vectors({**vectors(a=(1.0, 0.0)).directions, **vectors("m@2", b=(1.0, 0.0)).directions})
    assert both.cosines(["a", "b"]) is None
    assert ranked(both) == ["a", "b", "c"]


def test_vectors_of_two_lengths_are_not_compared() -> None:
    both = vectors(a=(1.0, 0.0), b=(1.0, 0.0, 0.0))
    assert both.cosines(["a", "b"]) is None


def test_likeness_is_the_same_from_the_whole_table_and_without() -> None:
    rng = np.random.default_rng(3)
    drawn = {f"k{n}": tuple(rng.normal(size=8)) for n in range(600)}
    many = vectors("m@1", **drawn)
    few = Vectors({key: many.directions[key] for key in ("k1", "k599", "k7")})
    ids = ["k7", "k599", "nobody", "k1"]
    one, other = many.cosines(ids), few.cosines(ids)
    assert one is not None
    assert other is not None
    assert one == pytest.approx(other, abs=1e-6)
    assert one[2].tolist() == [0, 0, 0, 0]


scores = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=12)


@given(scores, st.integers(0, 99), st.floats(0, 1), st.integers(1, 15))
def test_a_diverse_list_repeats_nothing_and_starts_with_the_best(
    given_scores: list[float], seed: int, trade: float, length: int
) -> None:
    ordered = np.array(sorted(given_scores, reverse=True))
    rows = np.random.default_rng(seed).normal(size=(len(ordered), 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    places = diverse(ordered, rows @ rows.T, length, trade)
    assert len(places) == len(set(places)) == min(length, len(ordered))
    assert places[0] == 0
    assert places == diverse(ordered, rows @ rows.T, length, trade)
    if trade == 1:
        assert ordered[places].tolist() == ordered[: len(places)].tolist()
