"""Ranks among brands and in lists, and the position-adjusted word count by hand."""

from __future__ import annotations

import math
from uuid import UUID, uuid4

import pytest
from mention_analyzer.domain.models import (
    Answer,
    Brand,
    CaseRule,
    Finding,
    Mention,
    Outcome,
    Source,
)
from mention_analyzer.domain.pages.citations import citations
from mention_analyzer.domain.pages.impression import position_adjusted_words
from mention_analyzer.domain.ranking import ranks
from mention_analyzer.domain.rules import analyze
from mention_analyzer.domain.text.laying_out import lay_out

A, B, C = (
    Brand(uuid4(), name, domains=(f"{name.lower()}.com",), case=CaseRule.ANY)
    for name in ("Ada", "Bob", "Cyx")
)


def findings(text: str) -> dict[UUID, Finding]:
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "p/m", 0, text, simulated=False)
    return {one.brand_id: one for one in analyze(answer, (A, B, C)).findings}


def impressions(text: str, *sources: str) -> dict[UUID, float]:
    layout = lay_out(text)
    beside = tuple(Source(url) for url in sources)
    return position_adjusted_words(layout, citations(layout, beside, (A, B, C)))


def test_the_first_naming_ranks() -> None:
    found = findings("Bob, then Ada, Bob and again Bob; I'd avoid Cyx.")
    assert {brand_id: one.rank for brand_id, one in found.items()} == {
        B.brand_id: 1,
        A.brand_id: 2,
        C.brand_id: 3,
    }


@pytest.mark.parametrize("outcome", [Outcome.CITED, Outcome.LINK_ONLY])
def test_sources_and_links_have_no_rank(outcome: Outcome) -> None:
    mentions = [
        Mention(A.brand_id, 0, 1, "A", "r", outcome=outcome),
        Mention(B.brand_id, 2, 3, "B", "r", outcome=Outcome.DENIED),
        Mention(A.brand_id, 4, 5, "A", "r"),
    ]
    assert ranks(mentions) == {B.brand_id: 1, A.brand_id: 2}


def test_places_in_a_list() -> None:
    found = findings("Ada is known.\n\n1. **Bob**: cheaper than Cyx\n2. **Ada**: fine\n")
    assert found[B.brand_id].list_rank == 1
    assert found[A.brand_id].list_rank == 2
    assert found[C.brand_id].list_rank is None
    assert found[A.brand_id].rank == 1


def test_the_first_list_counts() -> None:
    found = findings("Fast:\n\n1. Ada: good\n2. Bob: good\n\nOld:\n\n1. Bob: good\n2. Cyx: ok\n")
    assert found[B.brand_id].list_rank == 2
    assert found[C.brand_id].list_rank == 2


def test_no_list_no_place() -> None:
    assert findings("Ada is fine.")[A.brand_id].list_rank is None


def test_the_formula() -> None:
    text = (
        "One two three four ([a](https://ada.com/1)). "
        "One two ([a](https://ada.com/1), [b](https://bob.com)). "
        "One two three four."
    )
    found = impressions(text)
    later = 2 * math.exp(-1 / 3) / 2
    assert found[A.brand_id] == pytest.approx((4 + later) / 10)
    assert found[B.brand_id] == pytest.approx(later / 10)
    assert C.brand_id not in found


def test_pages_of_others_share_a_sentence() -> None:
    text = "One two ([a](https://ada.com), [p](https://press.com/1), [q](https://press.com/2))."
    assert impressions(text)[A.brand_id] == pytest.approx(1 / 3)


def test_a_page_counts_once_in_a_sentence() -> None:
    text = "One two [a](https://ada.com) and [a](https://ada.com/?utm_source=x)."
    assert impressions(text) == {A.brand_id: pytest.approx(1.0)}


def test_a_reference_behind_the_full_stop_cites_the_sentence_before() -> None:
    text = "One two three. ([source](https://ada.com)) Four five six."
    assert impressions(text)[A.brand_id] == pytest.approx(0.5)


def test_references_by_number_cite_where_they_stand() -> None:
    text = "One two ([Ada][1]).\n\nThree four.\n\n[1]: https://ada.com"
    assert impressions(text)[A.brand_id] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One two.",
        "One [a](https://press.com).",
        "One.\n\n[1]: https://ada.com",
        "https://ada.com",
    ],
)
def test_nothing_is_cited(text: str) -> None:
    assert impressions(text).get(A.brand_id, 0.0) == 0.0


def test_sources_beside_the_text_weigh_nothing() -> None:
    assert impressions("One two.", "https://ada.com") == {}


def test_characters_without_spaces_are_words() -> None:
    text = "東京都庁です。([a](https://ada.com))\n\nOne two three four five six."
    assert impressions(text)[A.brand_id] == pytest.approx(0.5)
