"""Names that are ordinary words: where they are the brand, and where they are the word."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mention_analyzer.domain.models import Brand
from mention_analyzer.domain.names.matching import matcher
from mention_analyzer.domain.names.ordinary_words import Ordinary, commonness, ordinary
from mention_analyzer.domain.text.laying_out import lay_out


def found(text: str, name: str, *aliases: str, domains: tuple[str, ...] = ()) -> list[str]:
    brand = Brand(UUID(int=1), name, aliases, domains)
    return [text[one.start : one.end] for one in matcher((brand,)).find(lay_out(text))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Target", Ordinary.COMMON),
        ("On", Ordinary.COMMON),
        ("Made In", Ordinary.COMMON),
        ("Our Place", Ordinary.COMMON),
        ("Monday", Ordinary.COMMON),
        ("Caraway", Ordinary.RARE),
        ("Lands' End", Ordinary.COMMON),
        ("Swimsuits For All", Ordinary.RARE),
        ("Hydro Flask", Ordinary.NO),
        ("Sony", Ordinary.NO),
        ("Warner Bros.", Ordinary.NO),
        ("notion.so", Ordinary.NO),
        ("C++", Ordinary.NO),
        ("東京", Ordinary.NO),
    ],
)
def test_how_ordinary_a_name_is(name: str, expected: Ordinary) -> None:
    assert ordinary(name) is expected


def test_inflected_words_are_words() -> None:
    assert {commonness(word) for word in ("quips", "quipped", "quipping")} == {Ordinary.RARE}
    assert commonness("qips") is Ordinary.NO


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("You can buy it at Target or online.", "Target"),
        ("Local stores: Walmart, Target, and Kroger have it.", "Target"),
        ("Target offers a wide selection.", "Target"),
        ("Most of Target's own lines are cheap.", "Target"),
        ("See target.com for more.", "Target"),
        ("* **Target** – Trendy and cheap.\n* **Walmart** – Cheap.", "Target"),
        ("I like the Away suitcase best.", "Away"),
        ("1. **Away The Bigger Carry-On**: A popular choice", "Away"),
        ("Good grip.On Cloudmonster 2: A cushioned shoe", "On"),
        ("For long runs choose the On Cloudmonster.", "On"),
        ("The best pan is by Made In today.", "Made In"),
        ("**Made In CeramiClad Frying Pan**", "Made In"),
        ("We tested the MADE IN pan.", "Made In"),
        ("Try the Always Pan by Our Place for eggs.", "Our Place"),
        ("The doorbell works with the Ring app.", "Ring"),
        ("### 4. **Ring Stick Up Cam Battery**\n\n* **Price:** $99", "Ring"),
        ("4.3(725)Nothing Phone$395.00", "Nothing"),
        ("teams that plan in Monday and Asana", "Monday"),
        ("monday.com is a tool", "Monday"),
        ("a new mattress from Purple for hot sleepers", "Purple"),
        ("Shark-made vacuums are loud", "Shark"),
        ("an Apple-friendly headset", "Apple"),
        ("[Away](https://www.awaytravel.com) has it", "Away"),
        ("we liked quip for its price", "quip"),
    ],
)
def test_the_brand(text: str, name: str) -> None:
    assert found(text, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("They target a young audience.", "Target"),
        ("Target a lower price.", "Target"),
        ("Target the muscles you use most.", "Target"),
        ("The target is hidden.", "Target"),
        ("Take it right out of the box.", "Box"),
        ("Put the tile on the floor.", "Tile"),
        ("Zoom in to see more.", "Zoom"),
        ("A camera with 4X Zoom Lens.", "Zoom"),
        ("**The Bigger Carry-On**", "On"),
        ("TravelArim 22 Inch Carry On Luggage", "On"),
        ("On the other hand, it is heavy.", "On"),
        ("Hands-On Review", "On"),
        ("It wicks away sweat.", "Away"),
        ("Tag: Made in USA", "Made In"),
        ("Made In Italy since 1921", "Made In"),
        ("It is made in the USA.", "Made In"),
        ("Try our place for lunch.", "Our Place"),
        ("Ring the bell before you go.", "Ring"),
        ("Nothing is perfect, and nothing lasts.", "Nothing"),
        ("a dash of salt", "Dash"),
        ("Best for Simplicity", "Simplicity"),
        ("the Breville Barista Express is good", "Express"),
        ("the Garmin Coach feature", "Coach"),
        ("and then chase the deals", "Chase"),
        ("**Why:** Sharp text, good colors.", "Sharp"),
        ("on Mondays and Monday-night games", "Monday"),
        ("Always patch test a new cream.", "Always"),
    ],
)
def test_the_word(text: str, name: str) -> None:
    assert found(text, name) == []


def test_one_sense_per_answer() -> None:
    unsure = "**Discover Miles**\n\n"
    assert found(unsure, "Discover") == []
    assert found(unsure + "We like the Discover card.", "Discover") == ["Discover"] * 2
    assert found(unsure + "Discover Bank is another alias.", "Discover", "Discover Bank")


def test_the_second_part_of_a_name_is_that_name() -> None:
    part = "**Tuft & Needle Mint Mattress**\n"
    assert found(part + "Sleep cool on the Mint foam.", "Mint") == []
    assert found("**HBO Max** is now called **Max** (HBO).", "Max") == ["Max", "Max"]


def test_a_page_of_the_brand_is_evidence() -> None:
    text = "**Criterion Channel** and [more]({})"
    assert found(text.format("https://a.com/x"), "Criterion") == []
    assert found(text.format("https://www.criterion.com/x"), "Criterion") == ["Criterion"]
    page = text.format("https://thecollection.com")
    assert found(page, "Criterion", domains=("thecollection.com",)) == ["Criterion"]


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("The HP Envy and the LG TV, HP and LG.", "HP", 2),
        ("A motor of 2.0 HP and 3 hp.", "HP", 0),
        ("Ask GE, not Ge or ge.", "GE", 1),
        ("Ask JBL or Jbl.", "JBL", 2),
        ("jbl makes some.", "JBL", 0),
        ("The AT\\&T plan", "AT&T", 1),
        ("A 686 jacket, $686 or 1,686.", "686", 0),
        ("The brand 686.", "686", 1),
    ],
)
def test_short_names(text: str, name: str, number: int) -> None:
    assert len(found(text, name)) == number


def test_short_names_count_in_lower_case_beside_a_sure_one() -> None:
    assert found("nwr, by Northwind Roasters.", "Northwind Roasters", "NWR") == [
        "nwr",
        "Northwind Roasters",
    ]


@given(st.text("abc Target.\n*:[]()$1'-", max_size=60))
def test_lower_case_is_never_the_brand(text: str) -> None:
    assert all(one != "target" for one in found(text, "Target"))


@given(st.lists(st.sampled_from(["the", "a", "we", "like", "buy", "for", "see"]), min_size=2))
def test_a_capital_in_lower_case_prose_is_the_brand(words: list[str]) -> None:
    text = " ".join([*words, "good", "Target", *words])
    assert found(text, "Target") == ["Target"]
