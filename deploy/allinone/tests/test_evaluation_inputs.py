from __future__ import annotations

import csv
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from allinone.evaluation.cases import Case, Offer, read_cases, read_offers
from allinone.evaluation.metrics import (
    RESAMPLES,
    SEED,
    SLICE,
    by_popularity,
    hit,
    lift,
    ndcg,
    scores,
)
from allinone.json_files import BadFile
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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"user_id": 5, "text": "x"}', ":2: user_id"),
        (f'{{"user_id": "{"a" * 201}", "text": "x"}}', ":2: user_id: an id has 1 to 200"),
        ('{"user_id": "a", "text": "x", "engaged": [" b"]}', ":2: engaged: an id"),
        ('{"user_id": "a", "text": "x", "known_likes": [null]}', ":2: known_likes: an id"),
        ('{"user_id": "a", "utterances": [7]}', ":2: what was said"),
        (r'{"user_id": "a", "text": "\ud800"}', ":2: what was said"),
        (f'{{"user_id": "a", "text": "{"x" * 1_000_001}"}}', ":2: what was said: .*1000000"),
    ],
)
def test_what_the_platform_does_not_take_is_told_by_file_and_line(
    tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(BadFile, match=rf"file\.jsonl{said}"):
        read_cases(written(tmp_path, f"\n{line}\n"), "train")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (f'{{"id": "{"a" * 201}"}}', "c.jsonl", ":1: id: an id"),
        ('{"id": true}', "c.jsonl", ":1: id: an id"),
        ('[{"id": 1}, {"id": 2, "intents": [" "]}]', "c.json", r"\[1\]: intents"),
        ('{"id": 1, "intents": {}}', "c.jsonl", ":1: intents is not a list"),
        (f"id,title\n1,A\n2,{'x' * 200_000}\n", "c.csv", ":3: not CSV"),
    ],
)
def test_a_campaign_that_the_platform_does_not_take_is_told(
    tmp_path: Path, text: str, name: str, said: str
) -> None:
    before = csv.field_size_limit(131_072)  # of the process: a gateway in it takes longer ones
    try:
        with pytest.raises(BadFile, match=said):
            read_offers(written(tmp_path, text, name))
    finally:
        csv.field_size_limit(before)


def test_files_as_editors_leave_them_are_read(tmp_path: Path) -> None:
    assert read_offers(written(tmp_path, "\ufeffid,title\n0,Zero\n", "c.csv")) == [
        Offer("0", "Zero")
    ]
    assert read_offers(written(tmp_path, '\ufeff[{"id": 0}]', "c.json")) == [Offer("0", "0")]
    table = "id,campaign_id,intents\n7,,buy; sell\n"
    assert read_offers(written(tmp_path, table, "c.csv")) == [
        Offer("7", "7", intents=("buy", "sell"))
    ]
    [case] = read_cases(written(tmp_path, '\ufeff{"user_id": "a", "text": "x"}\r\n'), "test")
    assert case == Case("test-1-a", ("x",), (), ())
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"user_id": "a", "text": "x"}\n{"user_id": "\xe9"}\n')
    with pytest.raises(BadFile, match=r"latin\.jsonl:2: not UTF-8"):
        read_cases(latin, "test")


def test_people_of_the_longest_ids_stay_apart(tmp_path: Path) -> None:
    line = f'{{"user_id": "{"a" * 200}", "text": "x"}}\n'
    first, second = read_cases(written(tmp_path, 2 * line), "train")
    assert first.person != second.person
    assert len(first.person) == len(second.person) == 200


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


@pytest.mark.parametrize("people", [3, SLICE // RESAMPLES + 1, 2 * SLICE // RESAMPLES + 7])
def test_lift_of_many_people_is_that_of_all_draws_at_once(people: int) -> None:
    ours = np.random.default_rng(people).random(people)
    draws = np.random.default_rng(SEED).integers(0, people, (RESAMPLES, people))
    low, high = np.quantile(ours[draws].mean(axis=1), (0.025, 0.975))
    found = lift(ours, np.zeros(people))
    assert (found.low, found.high) == (low, high)


def test_lift_of_very_many_people_needs_little_memory() -> None:
    many = np.ones(20_000)
    tracemalloc.start()
    try:
        lift(many, many)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_popularity_leaves_out_what_a_person_knows() -> None:
    counts = {"a": 3, "b": 5, "c": 3}
    assert by_popularity(counts, [set(), {"b"}]) == [["b", "a", "c"], ["a", "c"]]
