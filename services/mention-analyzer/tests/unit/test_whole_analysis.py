"""What holds for every analysis, whatever the answer looks like."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mention_analyzer.domain.models import Analysis, Answer, Brand, Outcome, Owner, Source
from mention_analyzer.domain.rules import ANALYZER_VERSION, analyze
from mention_analyzer.domain.sayings.statements import Statement, clean_sentences
from mention_analyzer.domain.text.laying_out import lay_out
from mention_analyzer.domain.text.layout import Place, Region

EVERNOTE = Brand(UUID(int=1), "Evernote", ("Evernote Labs",), ("evernote.com",), own=True)
LOGSEQ = Brand(UUID(int=2), "Logseq", domains=("logseq.com",))
ROAM = Brand(UUID(int=3), "Roam Research", ("ロームリサーチ",), ("roamresearch.com",))
BRANDS = (EVERNOTE, LOGSEQ, ROAM)
NAMINGS = {Outcome.NAMED, Outcome.RECOMMENDED, Outcome.DENIED}

TEXT = """Here are the best apps:

1. **Evernote** – flexible and fast ([source](https://www.evernote.com/x?utm_source=chatgpt.com))
   - Pros: databases
2. **Logseq**: I would avoid it, it is slow. ([The Press][1])

Unlike [Roam Research](https://roamresearch.com), Evernote has a free plan.

[1]: https://press.com/evernote
"""

PIECES = st.sampled_from(
    [
        *(
            "Evernote",
            "Logseq",
            "Roam Research",
            "ロームリサーチ",
            "Evernote's",
            "evernote.com",
            "\ue000",
        ),
        *("I recommend ", "avoid ", " is a great choice", " isn't ", " rather than ", " but "),
        *(", ", "?", "。", " | "),
        *("\n1. ", "\n- ", "\n   - ", "\n## ", "**", "Top picks:", "Pros: ", "Cons:", "\n---"),
        *(
            "[",
            "](https://logseq.com)",
            "][1]",
            "\n[1]: https://evernote.com/a",
            "(",
            ")",
            "`",
            "```\n",
        ),
        *("https://www.logseq.com/evernote", "https://[", "İ", "ß", "🫘", "\0", "\xa0", "\n\n"),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join)
URLS = st.sampled_from(["https://evernote.com", "http://[", "https://logseq.com/x", ""]) | st.text()


def analysis(text: str, sources: tuple[Source, ...] = (), revision: int = 1) -> Analysis:
    answer = Answer(
        "t", UUID(int=9), UUID(int=9), UUID(int=9), "p/m", 0, text, simulated=False, sources=sources
    )
    return analyze(answer, BRANDS, revision)


def test_everything_together() -> None:
    found = analysis(TEXT, (Source("https://press.com/evernote"), Source("https://other.com")))
    assert [(m.text, m.outcome) for m in found.mentions] == [
        ("Evernote", Outcome.RECOMMENDED),
        ("evernote", Outcome.LINK_ONLY),
        ("Logseq", Outcome.DENIED),
        ("Roam Research", Outcome.NAMED),
        ("Evernote", Outcome.NAMED),
        ("evernote", Outcome.LINK_ONLY),
    ]
    assert [(one.domain, one.owner) for one in found.citations] == [
        ("evernote.com", Owner.OWN),
        ("press.com", Owner.THIRD_PARTY),
        ("roamresearch.com", Owner.COMPETITOR),
        ("other.com", Owner.THIRD_PARTY),
    ]
    evernote, logseq, roam = found.findings
    assert (evernote.brand_id, evernote.rank, evernote.list_rank) == (EVERNOTE.brand_id, 1, 1)
    assert (evernote.mentions, evernote.citations) == (2, 1)
    assert (logseq.rank, logseq.list_rank, logseq.denied, logseq.recommended) == (2, 2, True, False)
    assert (roam.rank, roam.list_rank, roam.citations) == (3, None, 1)
    assert evernote.sentiment is not None
    assert logseq.sentiment is not None
    assert logseq.sentiment < 0 < evernote.sentiment
    assert evernote.position_adjusted_words > roam.position_adjusted_words > 0
    assert logseq.position_adjusted_words == 0


def test_a_name_of_two_brands_is_judged_alike() -> None:
    shared = (EVERNOTE, Brand(UUID(int=7), "Otherness", ("Evernote",)))
    answer = Answer("t", UUID(int=9), UUID(int=9), UUID(int=9), "p/m", 0, "x", simulated=False)
    found = analyze(replace(answer, text="1. I'd skip Evernote.\n2. Otherness: fine."), shared)
    assert [(m.text, m.outcome, m.brand_id.int) for m in found.mentions] == [
        ("Evernote", Outcome.DENIED, 1),
        ("Evernote", Outcome.DENIED, 7),
        ("Otherness", Outcome.NAMED, 7),
    ]
    assert [(one.rank, one.list_rank) for one in found.findings] == [(1, 1), (2, 1)]


def test_revision_and_version_are_kept() -> None:
    found = analysis("Evernote.", revision=3)
    assert (found.revision, found.analyzer_version) == (3, ANALYZER_VERSION)
    assert analyze(found.answer, BRANDS).revision == 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "No brand at all. [x](https://press.com)"])
def test_no_brand_no_finding(text: str) -> None:
    assert analysis(text).findings == ()


@settings(max_examples=400)
@given(TEXTS, st.lists(URLS.map(Source), max_size=3))
def test_invariants(text: str, sources: list[Source]) -> None:
    found = analysis(text, tuple(sources))
    _check_mentions(text, found)
    _check_findings(found)
    _check_citations(text, found)


def _check_mentions(text: str, found: Analysis) -> None:
    for mention in found.mentions:
        assert text[mention.start : mention.end] == mention.text
        assert mention.start < mention.end
        assert mention.sentiment is None or -1 <= mention.sentiment <= 1
        assert mention.sentiment is None or mention.outcome in NAMINGS
    for before, after in pairwise(found.mentions):
        assert before.end <= after.start


def _check_findings(found: Analysis) -> None:
    occurring = {m.brand_id for m in found.mentions} | {c.brand_id for c in found.citations}
    assert {one.brand_id for one in found.findings} == occurring - {None}
    ranked = sorted(one.rank for one in found.findings if one.rank)
    assert ranked == list(range(1, len(ranked) + 1))
    for one in found.findings:
        assert one.named == (one.rank is not None) == (one.mentions > 0)
        assert one.named or not (one.recommended or one.denied or one.list_rank)
        assert one.named + one.cited + one.link_only <= 1
        assert 0 <= one.position_adjusted_words <= 1
        assert one.citations or not one.position_adjusted_words
    assert sum(one.position_adjusted_words for one in found.findings) <= 1 + 1e-9
    assert sum(one.mentions for one in found.findings) == sum(
        mention.outcome in NAMINGS for mention in found.mentions
    )


def _check_citations(text: str, found: Analysis) -> None:
    tracked = {brand.brand_id: brand.own for brand in BRANDS}
    for one in found.citations:
        assert one.start is None or 0 <= one.start < len(text)
        own = tracked.get(one.brand_id) if one.brand_id else None
        wanted = {None: Owner.THIRD_PARTY, True: Owner.OWN, False: Owner.COMPETITOR}[own]
        assert one.owner is wanted
    places = [one.start for one in found.citations if one.start is not None]
    assert places == sorted(places)


@given(TEXTS)
def test_every_mark_belongs_to_one_clause(text: str) -> None:
    layout = lay_out(text)
    names = [Region(*found.span(), Place.PROSE) for found in re.finditer("Evernote|Logseq", text)]
    seen = [index for one in clean_sentences(layout, names) for index in _indexes(one)]
    assert seen == list(range(len(names)))


def _indexes(statement: Statement) -> list[int]:
    return [i for clause in statement.clauses for group in clause.groups for i in group.mentions]


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "Evernote and ",
            "not ",
            "(",
            "[a](",
            "Top picks: ",
            "I recommend Evernote, ",
            "`",
            "a: ",
        ),
        *(
            "\n- Logseq: ",
            "recommend Evernote ",
            "not recommend ",
            "Evernote a b ",
            "no Evernote ",
            "x. ",
        ),
        *(
            "https://evernote.com/",
            "[a](https://logseq.com) ",
            "\n[1]: https://logseq.com",
            "Pros: a. ",
        ),
    ],
)
def test_time_is_linear(unit: str) -> None:
    """A text of 100,000 characters would take minutes if any step were quadratic."""
    found = analysis(unit * (100_000 // len(unit)))
    assert found.analyzer_version == ANALYZER_VERSION


def test_two_analyses_of_one_answer_are_equal() -> None:
    assert analysis(TEXT) == analysis(TEXT)
    assert uuid4() not in {one.brand_id for one in analysis(TEXT).findings}
