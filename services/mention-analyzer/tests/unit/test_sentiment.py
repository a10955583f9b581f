"""Signs and sizes of sentiment, and the scale against the package whose rules it follows."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mention_analyzer.domain.models import Answer, Brand
from mention_analyzer.domain.rules import analyze
from mention_analyzer.domain.sayings.valence import Scale, compound, product_scale
from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    BOOSTER_DICT,
    NEGATE,
    SentimentIntensityAnalyzer,
)

VADER = SentimentIntensityAnalyzer()
NEUTRAL = 0.05  # VADER's own threshold


def sentiments(text: str, *names: str) -> list[float | None]:
    brands = tuple(Brand(uuid4(), name) for name in names or ("Evernote", "Logseq"))
    answer = Answer("t", uuid4(), uuid4(), uuid4(), "p/m", 0, text, simulated=False)
    return [mention.sentiment for mention in analyze(answer, brands).mentions]


def sign(value: float | None) -> str:
    if value is None:
        return "?"
    return "+" if value > NEUTRAL else "-" if value < -NEUTRAL else "0"


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("Evernote is great but Logseq is awful.", "+-"),
        ("Evernote is awful, while Logseq is great.", "-+"),
        ("Evernote is great; Logseq is awful.", "+-"),
        ("Evernote and Logseq are both great.", "++"),
        ("Evernote and Logseq are slow and unreliable.", "--"),
        ("Unlike Logseq, Evernote is slow.", "?-"),
        ("Evernote is faster than Logseq.", "+?"),
        ("While it is slow, Evernote syncs.", "-"),
        ("Evernote is not good.", "-"),
        ("Evernote isn't slow.", "+"),
        ("Evernote has a free plan and runs on phones.", "0"),
        ("People love Evernote for its clean design and fast search.", "+"),
        ("Users often find that Evernote is clumsy on mobile.", "-"),
        ("Evernote has become expensive, and the free plan is disappointing.", "-"),
        ("Skip Evernote.", "-"),
        ("I'd go with Evernote.", "+"),
        ("Evernote", "?"),
        ("- **Evernote**\n- **Logseq**", "??"),
        ("Evernote is a wiki. It is slow and buggy.", "-"),
        ("Evernote is a wiki. Prices are awful everywhere.", "0"),
        ("1. **Evernote**\n   - Cons:\n     - Requires an account\n2. **Logseq**\n   - Fast", "-+"),
        ("1. **Evernote**\n   - **Pros:** Runs on phones\n2. **Logseq**", "+?"),
        ("### Evernote\n\n**Cons:**\n- Requires a fee\n\n### Logseq\n\n**Pros:**\n- Offline", "-+"),
        ("1. **Evernote**\n   - 16 GB of memory\n   - Beautiful screen", "+"),
    ],
)
def test_signs(text: str, signs: str) -> None:
    assert "".join(map(sign, sentiments(text))) == signs


def test_sources_and_links_have_none() -> None:
    text = "A wonderful app ([Evernote][1]).\n\n[1]: https://press.com/evernote-review"
    assert sentiments(text, "Evernote") == [None, None]


def test_a_line_of_cons_counts_with_its_words_or_at_least_at_one() -> None:
    plain = sentiments("1. **Evernote**\n   - Cons: Requires an account", "Evernote")
    worse = sentiments("1. **Evernote**\n   - Cons: Terrible and ugly", "Evernote")
    assert plain == [round(compound(-1.0), 4)]
    assert worse[0] is not None
    assert worse[0] < compound(-1.0)


def test_technical_data_do_not_dilute() -> None:
    alone = sentiments("1. **Evernote** is great", "Evernote")
    assert sentiments("1. **Evernote** is great\n   - 16 GB\n   - 2 USB ports", "Evernote") == alone


def test_a_stronger_word_weighs_more() -> None:
    good, great = sentiments("Evernote is good.")[0], sentiments("Evernote is great.")[0]
    assert good is not None
    assert great is not None
    assert 0 < good < great < 1


LEXICON: dict[str, float] = VADER.lexicon
PLAIN = sorted(word for word in LEXICON if word.isalpha() and word.isascii() and word.islower())
# "so" and "doubt": by the package's own code, "so" cancels any negation three words before.
QUIRKS = {"so", "doubt"}
IDIOMS = {"shit", "bomb", "ass", "badass", "bus", "yeah", "kiss", "die", "beating", "kind", "sort"}
WORDS = st.sampled_from([word for word in PLAIN if word not in IDIOMS | QUIRKS])
DEGREES = st.sampled_from(
    sorted(word for word in BOOSTER_DICT if " " not in word and word not in QUIRKS)
)
OTHERS = st.sampled_from(["app", "the", "it", "is", "notes", "or", "nor", "no", "least", "at"])
FILLERS = DEGREES | st.sampled_from(sorted(NEGATE)) | OTHERS


@given(st.lists(WORDS | FILLERS, max_size=12), st.sampled_from(["", "!", "!!", "!!!!!!"]))
def test_valences_are_those_of_vader(words: list[str], end: str) -> None:
    text = " ".join(words) + end
    theirs: float = VADER.polarity_scores(text)["compound"]
    assert compound(Scale(LEXICON).valence(text)) == pytest.approx(theirs, abs=6e-5)


@given(st.text(max_size=200))
def test_every_text_has_a_valence(text: str) -> None:
    assert -1 <= compound(product_scale().valence(text.lower())) <= 1


@pytest.mark.parametrize(("word", "positive"), [("slow", False), ("reliable", True)])
def test_words_about_products_are_known(word: str, positive: bool) -> None:
    assert Scale(LEXICON).valence(word) == 0
    assert (product_scale().valence(word) > 0) is positive


def test_a_feature_is_no_feeling() -> None:
    assert Scale(LEXICON).valence("a free plan") > 0
    assert product_scale().valence("a free plan") == 0
