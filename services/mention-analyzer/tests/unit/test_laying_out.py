"""What is prose, link, source, address or code; where sentences and list items are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mention_analyzer.domain.text.laying_out import lay_out
from mention_analyzer.domain.text.layout import Layout, Place

PROSE, TEXT, REFERENCE = Place.PROSE, Place.LINK_TEXT, Place.REFERENCE
URL, CODE = Place.URL, Place.CODE


def place_of(text: str, words: str) -> Place:
    """What stands around the first occurrence of ``words``."""
    start = text.index(words)
    for region in lay_out(text).regions:
        if region.start <= start < region.end:
            assert start + len(words) <= region.end, "the words are of one place"
            return region.place
    return PROSE


def links(text: str) -> list[tuple[str, str, Place]]:
    return [(text[one.start : one.end], one.url, one.place) for one in lay_out(text).links]


def sentences(text: str) -> list[str]:
    return [text[one.start : one.end].strip() for one in lay_out(text).sentences]


def items(text: str) -> list[tuple[int, int, str]]:
    return [
        (one.list_id, one.number, text[one.start : one.end].strip()) for one in lay_out(text).items
    ]


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("See [Notion](https://notion.so) now", "Notion", TEXT),
        ("See [Notion](https://notion.so) now", "notion.so", URL),
        ("See [Notion](https://notion.so) now", "now", PROSE),
        ('[Notion](https://a.b "Ten best tools")', "Ten best", URL),
        ('**1. [HP 15.6" Laptop]() – $5**', "HP", TEXT),
        ("[It (2017)](https://a.b/It_(2017)_film) x", "_film", URL),
        ("[It](https://a.b/It_(2017)) x", " x", PROSE),
        ("good.([The Verge][1], [X][2])\n[1]: https://v.com", "The Verge", REFERENCE),
        ("good.([The Verge][1], [X][2])\n[2]: https://v.com", "X", REFERENCE),
        ("good ([The Verge](https://v.com))", "The Verge", REFERENCE),
        ("By [The Verge][1] today\n[1]: https://v.com", "The Verge", TEXT),
        ('A\n\n[1]: https://v.com/x "Best of Sony"\n', "Best of Sony", REFERENCE),
        ('A\n\n[1]: https://v.com/x "Best of Sony"\n', "v.com", URL),
        ("Good [1].", "1", REFERENCE),
        ("Good [^1].\n\n[^1]: Says Sony at https://sony.com/a today", "Says Sony", REFERENCE),
        ("Good [^1].\n\n[^1]: Says Sony at https://sony.com/a today", "sony.com/a", URL),
        ("Good [^1].\n\n[^1]: Says Sony at https://sony.com/a today", "today", REFERENCE),
        ("He said [sic] so", "sic", PROSE),
        (r"a \[Notion\](https://notion.so)", "Notion", PROSE),
        ("At https://notion.so/a, or", "notion.so/a", URL),
        ("At https://notion.so/a, or", ", or", PROSE),
        ("At www.notion.so.", "notion", URL),
        ("At <https://notion.so>", "notion", URL),
        ("Use notion.so today", "notion.so", PROSE),
        ("[https://notion.so](https://notion.so)", "notion", URL),
        ("Run `notion --help` now", "notion", CODE),
        ("```\nnotion\n```\nNotion", "notion", CODE),
        ("```\nnotion\n```\nNotion", "Notion", PROSE),
        ("```\nnotion", "notion", CODE),
        ("5` tall and Notion", "Notion", PROSE),
        ("### Notion", "Notion", PROSE),
        ("| Notion | x |", "Notion", PROSE),
        ("https://", "https", PROSE),
    ],
)
def test_places(text: str, words: str, place: Place) -> None:
    assert place_of(text, words) is place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[N](https://n.so)", [("[N](https://n.so)", "https://n.so", TEXT)]),
        ("[HP]() and [B][9]", []),
        (
            "([A][1])\n\n[1]: https://a.b",
            [
                ("[A][1]", "https://a.b", REFERENCE),
                ("[1]: https://a.b", "https://a.b", REFERENCE),
            ],
        ),
        ("(see https://a.b/c).", [("https://a.b/c", "https://a.b/c", URL)]),
        ("see https://a.b/c_(d)!", [("https://a.b/c_(d)", "https://a.b/c_(d)", URL)]),
        ("[Docs]\n\n[docs]: https://a.b", [("[Docs]", "https://a.b", TEXT)]),
    ],
)
def test_links_have_their_targets(text: str, expected: list[tuple[str, str, Place]]) -> None:
    assert links(text)[: len(expected) or None] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is. Two are! Three?", ["One is.", "Two are!", "Three?"]),
        ("A good experience.Samsung Galaxy is", ["A good experience.", "Samsung Galaxy is"]),
        ("Mr. Coffee is good. J. Crew, too.", ["Mr. Coffee is good.", "J. Crew, too."]),
        ("It costs $9.99 for 15.6 inches.", ["It costs $9.99 for 15.6 inches."]),
        ("Use notion.so, e.g. Notes.", ["Use notion.so, e.g. Notes."]),
        ("# Top\nOne\n* two\n* three", ["# Top", "One", "* two", "* three"]),
        ("1. Notion\n2. Evernote", ["1. Notion", "2. Evernote"]),
        ("It wraps\nhere. Next.", ["It wraps\nhere.", "Next."]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("**Good.** Bad.", ["**Good.**", "Bad."]),
        ("It is good. iPhones are.", ["It is good.", "iPhones are."]),
        ("良い。悪い。", ["良い。", "悪い。"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_numbered_items_have_their_bullets() -> None:
    text = "Top:\n\n1. **A**\n\n   * good\n2. **B**\n   * bad\n\nIn short, A."
    assert items(text) == [(0, 1, "1. **A**\n\n   * good"), (0, 2, "2. **B**\n   * bad")]


def test_bold_numbers_go_on_across_headings_and_restart_as_another_list() -> None:
    text = "### X\n**1. A**\n\n* Specs: x\n\n### Y\n**2. B**\n\n---\n**1. C**\n\ntext\n\n**2. D**"
    assert [(one[0], one[1], one[2][:6]) for one in items(text)] == [
        (0, 1, "**1. A"),
        (0, 2, "**2. B"),
        (1, 1, "**1. C"),
        (1, 2, "**2. D"),
    ]


def test_numbered_headings_are_items() -> None:
    text = "## Top\n### 1. A\n* **Price:** 5\n#### Why\nx\n### 2. B\ny\n## End\nz"
    assert [one[1:] for one in items(text)] == [
        (1, "### 1. A\n* **Price:** 5\n#### Why\nx"),
        (2, "### 2. B\ny"),
    ]


def test_bullets_are_items_unless_they_are_attributes() -> None:
    assert [one[2] for one in items("* A – x\n* B – y\n\nEnd")] == ["* A – x", "* B – y"]
    assert items("* **Price:** 5\n* **Pros:** y\n") == []


def test_headings_that_are_links_are_items() -> None:
    text = "### [A]()\n\n#### Best\n\n*$5*\n\n### [B](https://b.c)\n\n**Top picks:**\n\nx"
    assert [one[2] for one in items(text)] == [
        "### [A]()\n\n#### Best\n\n*$5*",
        "### [B](https://b.c)",
    ]


PIECES = st.sampled_from(
    [
        *("[", "]", "(", ")", "`", "```", "\n", "\n\n", " ", "  ", "https://a.b", "www.c", ": "),
        *(
            "1. ",
            "* ",
            "### ",
            "**",
            "|",
            ".",
            "B",
            "a",
            "\\",
            "[1]",
            "[1]: ",
            "^",
            "é",
            "。",
            '"t"',
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=80)


def check(layout: Layout) -> None:
    size = len(layout.text)
    for parts in (layout.regions, layout.sentences, layout.items):
        assert all(0 <= part.start < part.end <= size for part in parts)
        assert all(before.end <= after.start for before, after in pairwise(parts))
    assert all(before.start <= after.start for before, after in pairwise(layout.links))
    assert all(link.url for link in layout.links)


@given(TEXTS)
def test_parts_are_in_order_without_overlap(text: str) -> None:
    check(lay_out(text))


@given(TEXTS)
def test_sentences_cover_the_text(text: str) -> None:
    assert "".join(text[one.start : one.end] for one in lay_out(text).sentences) == text


@given(st.lists(st.integers(1, 4), max_size=6))
def test_numbers_count_within_their_list(sizes: list[int]) -> None:
    text = "\n\n".join("\n".join(f"{n + 1}. x" for n in range(size)) for size in sizes)
    expected = [(number, n + 1) for number, size in enumerate(sizes) for n in range(size)]
    assert [one[:2] for one in items(text)] == expected


@pytest.mark.timeout(120)  # in quadratic time one of them alone takes longer
@pytest.mark.parametrize(
    "piece",
    [
        *("[", "](", "`", "` `` ```", "[a](", "[ [] ", "http://", "www.a ", "[a][1],", '[a](x "'),
        *("[a](  ", "([a][1]", ". ", "*", "\n[1]: x", "a.B", "[a](()()", "\\[", "<", "\n1. a"),
        *("\n* a\n", "\n## [a]\n", "\n   ", "http://a(((", "!?", '"', "| a ", "a-", "a``` ", "_"),
    ],
)
def test_broken_text_takes_no_longer(piece: str) -> None:
    check(lay_out((piece * 300_000)[:300_000]))
