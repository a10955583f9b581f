"""Every way to write a name, and whose it is."""

from __future__ import annotations

import re
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Brand, CaseRule
from mention_analyzer.domain.names.folding import Folding, is_touching, levelled
from mention_analyzer.domain.names.matching import Match, matcher
from mention_analyzer.domain.text.laying_out import lay_out
from mention_analyzer.domain.text.layout import Place

ANY, EXACT = CaseRule.ANY, CaseRule.EXACT


def brand(number: int, *names: str, exclude: tuple[str, ...] = (), case: str = "auto") -> Brand:
    name, *aliases = names
    return Brand(UUID(int=number), name, tuple(aliases), (), exclude, case=CaseRule(case))


def matches(text: str, *brands: Brand) -> tuple[Match, ...]:
    return matcher(brands).find(lay_out(text))


def found(text: str, *names: str, case: str = "auto") -> list[str]:
    brands = (brand(number, name, case=case) for number, name in enumerate(names))
    return [text[one.start : one.end] for one in matches(text, *brands)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the Sennheiser\u00a0 HD  label", "Sennheiser HD"),
        ("the Audio\u2011Technica deck", "Audio-Technica"),
        ("the Audio Technica deck", "Audio-Technica"),
        ("the Audio-Technica deck", "Audio Technica"),
        ("the Paula’s Choice cream", "Paula's Choice"),
        ("the Paula's Choice cream", "Paula’s Choice"),
        ("the Paulas Choice cream", "Paula's Choice"),
        ("the DeLonghi machine", "De'Longhi"),
        ("by De’Longhi today", "De'Longhi"),
        (r"the AT\&T plan", "AT&T"),
        ("the AT&amp;T plan", "AT&T"),
        ("the Briggs and Riley bag", "Briggs & Riley"),
        ("the Briggs & Riley bag", "Briggs and Riley"),
        ("the **Sennheiser** HD label", "Sennheiser HD"),
        ("the Warner Bros films", "Warner Bros."),
        ("the J.Crew shop", "J.Crew"),
        ("the J. Crew shop", "J.Crew"),
        ("the Disney+ plan", "Disney+"),
        ("at Nestlé today", "Nestle"),
        ("at Nestle today", "Nestlé"),
        ("at Ｓｏｎｙ today", "Sony"),
        ("by SAATVA", "Saatva"),
        ("by saatva", "Saatva"),
        ("İstanbul and Saatva", "Saatva"),
        ("ﬁne ﬂat Saatva", "Saatva"),
        ("\u0301\u0301 Saatva", "Saatva"),
        ("Saatva® beds", "Saatva"),
        ("Sennheiser® HD", "Sennheiser HD"),
        ("Saatva's beds", "Saatva"),
        ("Saatva-made beds", "Saatva"),
        ("Dyson/Saatva", "Saatva"),
        ("__Saatva__ _Saatva", "Saatva"),
        ("<b>Saatva</b>", "Saatva"),
        ("| Saatva|", "Saatva"),
        ("面白いSaatvaです", "Saatva"),
        ("saatva.com", "Saatva"),
    ],
)
def test_spellings(text: str, name: str) -> None:
    shown = found(text, name)
    assert shown
    letters = "".join(filter(str.isalnum, name)).lower().replace("é", "e")
    for one in shown:
        plain = "".join(map(levelled, one.replace("&amp;", "&"))).replace(" and ", " & ")
        assert "".join(filter(str.isalnum, plain)) == letters.replace("and", "")[: len(plain)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Saatvas and Saatva_x, 5Saatva", "Saatva"),
        ("B**ose** and Rose", "Bose"),
        ("Sennheiser\n\nHD", "Sennheiser HD"),
        ("Sennheiser, HD", "Sennheiser HD"),
        ("Sennheiser\n* HD", "Sennheiser HD"),
        ("notion so far", "notion.so"),
        ("a project", "Pro-Ject"),
        ("at Niö", "Nio"),
        ("a bit off", "Bitz"),
    ],
)
def test_what_is_no_spelling(text: str, name: str) -> None:
    assert found(text, name) == []


@pytest.mark.parametrize(
    ("text", "case", "expected"),
    [
        ("Wyze WYZE wyze wYze", "auto", ["Wyze", "WYZE", "wyze", "wYze"]),
        ("Wyze WYZE wyze wYze", "exact", ["Wyze"]),
        ("Wyze WYZE wyze wYze", "any", ["Wyze", "WYZE", "wyze", "wYze"]),
    ],
)
def test_the_case_rule(text: str, case: str, expected: list[str]) -> None:
    assert found(text, "Wyze", case=case) == expected


def test_any_and_exact_ask_for_no_context() -> None:
    assert found("To target a goal. Target it.", "Target", case="any") == ["target", "Target"]
    assert found("To target a goal. Target it.", "Target", case="exact") == ["Target"]
    assert found("To target a goal. Target it.", "Target") == []


def test_a_name_inside_an_excluded_phrase_is_none() -> None:
    roam = brand(1, "Saatva", exclude=("Saatva Park", "old Saatva"))
    text = "Saatva Park, Saatva, Old  SAATVA, Saatva Parks"
    assert [one.start for one in matches(text, roam)] == [13, 34]


def test_an_excluded_phrase_is_of_its_brand_only() -> None:
    one, two = brand(1, "Saatva", exclude=("Saatva Park",)), brand(2, "Park Lane", "Saatva")
    assert [match.brand_id.int for match in matches("Saatva Park", one, two)] == [2]


def test_the_longest_name_at_a_place_counts() -> None:
    short, long = brand(1, "Ninja"), brand(2, "Ninja Foodi")
    text = "the Ninja Foodi and the Ninja Creami"
    assert [(one.brand_id.int, one.start) for one in matches(text, short, long)] == [
        (2, 4),
        (1, 24),
    ]


def test_two_brands_may_share_a_name() -> None:
    one, two = brand(1, "Saatva"), brand(2, "Dreams", "saatva")
    assert [match.brand_id.int for match in matches("by SAATVA", one, two)] == [1, 2]
    # Of names that only fold alike the one that is meant is the one that is written.
    plain, accented = brand(1, "Nestle"), brand(2, "Nestlé")
    assert [match.brand_id.int for match in matches("Nestlé", plain, accented)] == [2]


def test_a_match_says_which_name_by_which_rule_and_where() -> None:
    text = "[Saatva](https://saatva.com/beds?q=saatva#saatva) and `saatva` ([Saatva][1])\n[1]: x"
    assert [(one.alias, one.rule, one.place) for one in matches(text, brand(1, "X", "Saatva"))] == [
        ("Saatva", "whole-word", Place.LINK_TEXT),
        ("Saatva", "url-word", Place.URL),
        ("Saatva", "whole-word", Place.CODE),
        ("Saatva", "whole-word", Place.REFERENCE),
    ]


def test_rules_have_names() -> None:
    text = "the Ring app, LG and Wyze"
    rules = [one.rule for one in matches(text, brand(1, "Ring"), brand(2, "LG"), brand(3, "Wyze"))]
    assert rules == ["ordinary-word-context", "short-name", "whole-word"]
    assert [one.rule for one in matches("Wyze", brand(1, "Wyze", case="exact"))] == ["exact-case"]
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", rule) for rule in rules)


def test_ambiguous_names_are_not_found_in_addresses() -> None:
    text = "https://ring.com/target/lg-tv and https://wyze.com/a-wyze-cam"
    brands = [brand(number, name) for number, name in enumerate(("Ring", "Target", "LG", "Wyze"))]
    assert [text[one.start : one.end] for one in matches(text, *brands)] == ["wyze", "wyze"]


LOST = (
    "Looking for a router? Here are some.Good ones:Netgear: A solid choice.The app is fine.It is "
    "fast.Top Picks:Asus: Good.Others cost more.Some cost less.Where to Buy:Local stores have it."
    "Prices vary.Check them.They change often.Look again later.Here are more of the best ones now: "
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Netgear OrbiTP-Link DecoLinksys Velop", ["TP-Link", "Linksys"]),
        ("Mesh System$899.00Linksys Velop", ["Linksys"]),
        ("an eeroLinksys and WyzeLinksys", ["Linksys", "Wyze", "Linksys"]),
        ("LinksysBasket and XLinksys and 7Linksys", []),
    ],
)
def test_names_that_lost_their_line_break(text: str, expected: list[str]) -> None:
    names = ("TP-Link", "Linksys", "Wyze")
    assert found(LOST + LOST + text, *names) == expected
    assert found(text, *names) == [], "only where line breaks are lost"
    assert found(LOST + LOST + "\n" + text, *names) == []


def test_no_brands_match_nothing() -> None:
    assert matches("anything") == ()


@pytest.mark.parametrize("name", ["", "?", "🫘"])
def test_names_and_phrases_need_a_letter(name: str) -> None:
    with pytest.raises(UnusableBrand):
        matches("x", brand(1, name))
    with pytest.raises(UnusableBrand):
        matches("x", brand(1, "Fine", exclude=(name,)))


def test_matchers_are_compiled_once() -> None:
    assert matcher((brand(1, "Saatva"),)) is matcher((brand(1, "Saatva"),))


@pytest.mark.parametrize(
    "text", ["İİİ Saatva", "ẞﬃ Saatva", "ΑΣ Saatva ΑΣ", "🫘👩‍🔬 Saatva", "\x01Saatva\x02"]
)
def test_folding_keeps_places(text: str) -> None:
    (match,) = matches(text, brand(1, "Saatva"))
    assert text[match.start : match.end] == "Saatva"


@given(st.text(max_size=60), st.sets(st.characters(), max_size=5))
def test_folding_keeps_length_and_what_touches(text: str, alphabet: set[str]) -> None:
    folding = Folding(set(map(levelled, alphabet)))
    folded = folding.fold(text)
    assert len(folded) == len(text) == len(folding.words(folded))
    for character, fold in zip(text.replace("\x01", " "), folded, strict=True):
        assert is_touching(fold) == is_touching(levelled(character))


NAMES = st.lists(st.text("abAB", min_size=1, max_size=3), min_size=1, max_size=6)
FREE = st.text("abAB .,-*_'é1\n中ß\u00a0", max_size=40)


def naive(text: str, names: list[str]) -> list[tuple[int, int]]:
    """The longest name at each place, by comparing everywhere."""
    spans, place = list[tuple[int, int]](), 0
    while place < len(text):
        ends = [
            place + len(name)
            for name in names
            if text[place : place + len(name)].lower() == name.lower()
            and not touches(text[:place][::-1])
            and not touches(text[place + len(name) :])
        ]
        spans += [(place, max(ends))] if ends else []
        place = max(ends, default=place + 1)
    return spans


def touches(beside: str) -> bool:
    bare = beside.lstrip("_")
    return bare[:1].isalnum() and bare[:1] != "中"


@given(NAMES, FREE)
def test_it_agrees_with_a_naive_matcher(names: list[str], text: str) -> None:
    brands = tuple(brand(n, name, case="any") for n, name in enumerate(names))
    spans = [(one.start, one.end) for one in matches(text, *brands)]
    assert list(dict.fromkeys(spans)) == naive(text, names)


@given(NAMES, st.text("abAB .,-*[]()_'é1\n中:/", max_size=60))
def test_matches_are_whole_words_without_overlap(names: list[str], text: str) -> None:
    brands = tuple(brand(n, name) for n, name in enumerate(names))
    places: dict[UUID, list[Match]] = {}
    for one in matches(text, *brands):
        assert text[one.start : one.end].lower() == one.alias.lower()
        assert not touches(text[: one.start][::-1])
        assert not touches(text[one.end :])
        places.setdefault(one.brand_id, []).append(one)
    for own in places.values():
        assert all(before.end <= after.start for before, after in pairwise(own))


@pytest.mark.timeout(120)  # in quadratic time one of them alone takes longer
@pytest.mark.parametrize(
    "piece",
    ["_", "_Ring_", "Ring ", "ring on ", "Ring's ", "The Ring.", "on top ", "Made ", "Ring, "],
)
def test_many_matches_take_no_longer(piece: str) -> None:
    names = (brand(1, "Ring", exclude=("ring on",)), brand(2, "On", "On Top"), brand(3, "Made In"))
    matches((piece * 200_000)[:200_000], *names)
