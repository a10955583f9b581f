"""Where a brand is found, and where it is not."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Answer, Brand, CaseRule, Mention
from mention_analyzer.domain.rules import ANALYZER_VERSION, analyze, find_mentions


def brand(name: str, *aliases: str) -> Brand:
    """In any case and by the word alone: names that are judged are in test_ordinary_words."""
    return Brand(uuid4(), name, aliases, case=CaseRule.ANY)


def found(text: str, *names: str) -> list[str]:
    """What is found of brands with these names."""
    return [mention.text for mention in find_mentions(text, tuple(brand(name) for name in names))]


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("Ask LI about tile, alive and LIGHT.", "LI", 1),
        ("A toolbox, Boxes, sandbox and box2.", "Box", 0),
        ('Box, (Box) and [Box]; "Box" or Box-like: Box\'s Box.', "Box", 7),
        ("snake_Box and Box_snake", "Box", 0),
        ("Boxing Box", "Box", 1),
        ("7Box Box7 Box 7", "Box", 1),
        ("C++ beats C, and C++-like (C++).", "C++", 3),
        ("C++ beats C, and C++-like (C++).", "C", 4),
        ("Yahoo! Yahoo!! Yahoo", "Yahoo!", 2),
        ("1Password and 11Password", "1Password", 1),
        ("notion.so, www.notion.so/x and Xnotion.so", "Notion.so", 2),
        ("a.b axb", "a.b", 1),
        ("NOTION nOtIoN", "Notion", 2),
        ("Roam Research, Roam\nResearch, Roam \t Research, RoamResearch", "Roam Research", 3),
        ("Roam\u00a0Research", "Roam Research", 1),
        ("Roam Research", "Roam   Research", 1),
        ("Café Lumière, CAFÉ LUMIÈRE, Cafe Lumiere", "Café Lumière", 3),
        ("**Notion** _Notion_ `Notion` [Notion](https://notion.so)", "Notion", 4),
        ("Notion", "Notion", 1),
        ("", "Notion", 0),
    ],
)
def test_a_name_is_found_as_a_whole_word(text: str, name: str, number: int) -> None:
    assert len(found(text, name)) == number


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("東京なら光珈琲の定期便が人気です。", "光珈琲", 1),
        ("私はNotionを使う。ToolNotionではない。", "Notion", 1),
        ("노션은 좋다. Notion은 좋다.", "노션", 1),
        ("노션은 좋다. Notion은 좋다.", "Notion", 1),
        ("ใช้โนชันทุกวัน", "โนชัน", 1),
        ("ПриветЯндекс и Яндекс.", "Яндекс", 1),
    ],
)
def test_scripts_without_spaces_hide_no_name(text: str, name: str, number: int) -> None:
    assert len(found(text, name)) == number


def test_the_longest_name_counts() -> None:
    short, long = brand("Roam", "Roam R"), brand("Roam Research")
    mentions = find_mentions("Roam Research, Roam and Roam Rest.", (short, long))
    assert [(mention.brand_id, mention.text) for mention in mentions] == [
        (long.brand_id, "Roam Research"),
        (short.brand_id, "Roam"),
        (short.brand_id, "Roam"),
    ]


def test_an_alias_counts_for_its_brand() -> None:
    one, two = brand("Northwind Roasters", "Northwind", "NWR"), brand("Other")
    mentions = find_mentions("nwr, Northwind, Northwind Roasters.", (two, one))
    assert {mention.brand_id for mention in mentions} == {one.brand_id}
    assert [mention.text for mention in mentions] == ["nwr", "Northwind", "Northwind Roasters"]


def test_places_count_code_points() -> None:
    text = "🫘👩‍🔬 Notion"
    (mention,) = find_mentions(text, (brand("Notion"),))
    assert (mention.start, mention.end) == (5, 11)
    assert text[mention.start : mention.end] == "Notion"


def test_text_is_what_stands_in_the_answer() -> None:
    (mention,) = find_mentions("use ROAM\n  research.", (brand("Roam Research"),))
    assert mention.text == "ROAM\n  research"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Lınkedın", "Linkedin"),
        ("ſpotify", "Spotify"),
        ("\u212aayak", "Kayak"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_letters_that_only_fold_alike_still_have_an_owner(text: str, name: str) -> None:
    one, two = brand("Another"), brand(name)
    (mention,) = find_mentions(text, (one, two))
    assert (mention.brand_id, mention.text) == (two.brand_id, text)


@pytest.mark.parametrize("name", ["!", "...", "🫘", " ", ""])
def test_a_name_without_letter_or_digit_is_unusable(name: str) -> None:
    with pytest.raises(UnusableBrand, match="no letter or digit"):
        find_mentions("text", (brand(name),))
    with pytest.raises(UnusableBrand, match="no letter or digit"):
        find_mentions("text", (brand("Fine", name),))


def test_an_analysis_says_by_which_rule_and_version() -> None:
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "p/m", 0, "Notion.", simulated=False)
    analysis = analyze(answer, (brand("Notion"),))
    assert analysis.answer is answer
    assert analysis.analyzer_version == ANALYZER_VERSION
    assert [mention.rule for mention in analysis.mentions] == ["whole-word"]


def test_a_thousand_brands_are_told_apart() -> None:
    brands = tuple(brand(f"Brand {n}", f"B{n}") for n in range(1000))
    mentions = find_mentions("Brand 7, brand 77, B777 and Brand 999.", brands)
    assert [mention.brand_id for mention in mentions] == [
        brands[n].brand_id for n in (7, 77, 777, 999)
    ]


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)
USABLE = NAMES.filter(lambda name: any(character.isalnum() for character in name))
LETTERS = st.text("abcxyzABC", min_size=1, max_size=6)
FILLER = st.text("0123456789 .,;:!?()\n🫘é", max_size=20)


@st.composite
def brand_sets(draw: st.DrawFn) -> tuple[Brand, ...]:
    names = draw(st.lists(USABLE, min_size=1, max_size=5, unique_by=lambda name: name.casefold()))
    return tuple(brand(name) for name in names)


def check(text: str, mentions: tuple[Mention, ...]) -> None:
    for mention in mentions:
        assert text[mention.start : mention.end] == mention.text
        assert mention.start < mention.end
    for before, after in pairwise(mentions):
        assert before.end <= after.start


@given(brand_sets(), st.text(st.characters(codec="utf-8"), max_size=200))
def test_mentions_are_slices_in_order_without_overlap(brands: tuple[Brand, ...], text: str) -> None:
    check(text, find_mentions(text, brands))


@given(brand_sets(), st.data())
def test_mentions_of_mixed_text_are_slices(brands: tuple[Brand, ...], data: st.DataObject) -> None:
    pieces = st.sampled_from([item.name for item in brands]) | st.text(max_size=4)
    text = "".join(data.draw(st.lists(pieces, max_size=20)))
    check(text, find_mentions(text, brands))


@given(st.lists(LETTERS, min_size=1, max_size=5, unique_by=str.lower), st.data())
def test_planted_names_are_all_found(names: list[str], data: st.DataObject) -> None:
    brands = tuple(brand(name) for name in names)
    planted = data.draw(st.lists(st.sampled_from(range(len(names))), max_size=10))
    text, expected = "", list[tuple[int, UUID]]()
    for index in planted:
        text += data.draw(FILLER) + " "
        expected.append((len(text), brands[index].brand_id))
        text += data.draw(st.sampled_from([names[index], names[index].upper()])) + "."
    mentions = find_mentions(text, brands)
    assert [(mention.start, mention.brand_id) for mention in mentions] == expected


@given(st.lists(LETTERS, min_size=1, max_size=5), FILLER)
def test_text_without_the_names_gives_nothing(names: list[str], text: str) -> None:
    assert find_mentions(text, tuple(brand(name) for name in names)) == ()


@given(LETTERS, LETTERS, LETTERS)
def test_a_name_inside_a_word_is_not_found(before: str, name: str, after: str) -> None:
    word = before + name + after
    assume(word.lower() != name.lower())
    assert found(word, name) == []
