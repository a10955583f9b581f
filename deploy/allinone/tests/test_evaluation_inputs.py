from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from allinone.evaluation.cases import BadFile, Case, Offer, read_cases, read_offers
from allinone.evaluation.metrics import by_popularity, hit, lift, ndcg, scores
from hypothesis import given
from hypothesis import strategies as st


def written(tmp_path: Path, text: str, name: str = "file.jsonl") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_line_is_a_person_of_its_own(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"user_id": "a", "text": "hello", "engaged": ["x", "x"], "known_likes": ["y"]}\n'
        "\n"
        '{"user_id": "a", "utterances": ["one", "two"]}\n',
    )
    assert read_cases(path, "train") == [
        Case("train-1-a", ("hello",), ("x",), ("y",)),
        Case("train-3-a", ("one", "two"), (), ()),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":1: not JSON"),
        ("[]", ":1: not a JSON object"),
        ('{"text": "x"}', ":1: user_id is missing"),
        ('{"user_id": "a"}', ":1: give text"),
        ('{"user_id": "a", "text": "x", "engaged": "y"}', ":1: engaged is not a list"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read_cases(written(tmp_path, line), "train")


def test_campaigns_come_as_a_list_as_lines_or_as_a_table(tmp_path: Path) -> None:
    listed = '[{"campaign_id": "a", "name": "A", "text": "t", "intents": ["i"]}]'
    assert read_offers(written(tmp_path, listed, "c.json")) == [Offer("a", "A", "t", ("i",))]
    assert read_offers(written(tmp_path, '{"id": 7}\n')) == [Offer("7", "7")]
    assert read_offers(written(tmp_path, "item_id,title\n1,One\n", "c.csv")) == [Offer("1", "One")]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("{}", "c.json", "is a list"),
        ('[{"title": "x"}]', "c.json", r"\[0\]: no campaign_id"),
        ("[1]", "c.json", "not a JSON object"),
        ("title\nOne\n", "c.csv", ":2: no campaign_id"),
    ],
)
def test_a_bad_campaign_is_named(tmp_path: Path, text: str, name: str, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read_offers(written(tmp_path, text, name))


def test_hit_and_ndcg_by_hand() -> None:
    ranking = ["a", "b", "c", "d", "e", "f"]
    assert hit(ranking, {"e"}) == 1.0
    assert hit(ranking, {"f"}) == 0.0
    assert ndcg(ranking, {"a"}) == 1.0
    assert ndcg(ranking, {"b", "f"}) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg(ranking, set()) == 0.0


@given(st.permutations(list("abcdefg")), st.sets(st.sampled_from("abcdefg"), min_size=1))
def test_ndcg_is_a_share_and_one_only_for_the_best_order(order: list[str], good: set[str]) -> None:
    assert 0.0 <= ndcg(order, good) <= 1.0
    ideal = sorted(order, key=lambda item: item not in good)
    assert ndcg(ideal, good) == pytest.approx(1.0)


def test_coverage_is_the_share_of_campaigns_that_anybody_sees() -> None:
    found = scores([["a", "b"], ["a"]], [{"a"}, {"b"}], ["a", "b", "c", "d"])
    assert (found.hits.tolist(), found.coverage) == ([1.0, 0.0], 0.5)
    assert scores([[]], [{"a"}], []).coverage == 0.0


def test_lift_holds_zero_for_equals_and_not_for_a_clear_difference() -> None:
    coin = np.random.default_rng(1).integers(0, 2, 300).astype(float)
    same = lift(coin, coin)
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    noise = lift(coin, np.roll(coin, 1))
    assert noise.low < 0 < noise.high
    assert lift(np.ones(50), np.zeros(50)).low == 1.0
    clear = lift(np.maximum(coin, np.roll(coin, 1)), coin)
    assert clear.low > 0


def test_popularity_leaves_out_what_a_person_knows() -> None:
    counts = {"a": 3, "b": 5, "c": 3}
    assert by_popularity(counts, [set(), {"b"}]) == [["b", "a", "c"], ["a", "c"]]
