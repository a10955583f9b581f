"""How prominent the pages of a brand are in an answer: position-adjusted word count.

Aggarwal et al., "GEO: Generative Engine Optimization" (KDD 2024, arXiv 2311.09735), visibility
metrics, equations 2 and 3. For the pages of a brand

    Imp = sum over sentences s that cite one of them of |s| * exp(-pos(s) / |S|)
          / sum over all sentences of |s|

where |s| is the number of words of a sentence, pos(s) its place from 0, and |S| the number of
sentences. A sentence that cites n pages counts as 1/n for each: the paper's formulas leave this
open, its published code (GEO-optim/GEO, ``impression_wordpos_count_simple``) divides so. (That
code also divides pos by |S| - 1 and scales the sum over five sources to 1; we keep the formula.)
The result is between 0 and 1, and all brands together have at most 1.

A sentence cites the pages that it links to, and those in the references right behind its end.
Definitions of references at the foot of an answer are no sentences and cite nothing themselves.
Words are what is between spaces; Chinese characters and kana count as one word each, as word
processors count them, and five letters of Thai, Lao, Burmese or Khmer as one.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from mention_analyzer.domain.pages.citations import Cited
from mention_analyzer.domain.text.layout import Layout, Link, Place, Span

_HIDDEN = frozenset({Place.URL, Place.REFERENCE, Place.CODE})
_UNSPACED = "\u2e80-\u2fdf\u3005-\u3007\u3031-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_LONG = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_LETTER = rf"[^\W_{_UNSPACED}{_LONG}]"
_WORD = re.compile(
    rf"[{_UNSPACED}]|[{_LONG}]{{1,5}}|{_LETTER}++(?:['’.,-]{_LETTER}++)*+"  # noqa: RUF001
)
_FOOTNOTE = 2000  # characters of a footnote in which an address is looked for
_DEFINITION = re.compile(r"[ \t]*\[[^\]\n]{1,200}\]:")


def position_adjusted_words(layout: Layout, cited: Sequence[Cited]) -> dict[UUID, float]:
    """The measure of each brand with a page that a sentence cites, each between 0 and 1."""
    if not any(one.brand and one.links for one in cited):
        return {}
    words = _word_places(layout)
    sentences = [span for span in layout.sentences if _number(words, span)]
    pages = _pages_by_sentence(layout, cited, words, sentences)
    total, found = len(words), defaultdict[UUID, float](float)
    for at, ones in pages.items():
        weight = _number(words, sentences[at]) * math.exp(-at / len(sentences))
        for one in ones:
            if one.brand:
                found[one.brand.brand_id] += weight / len(ones) / total
    return dict(found)


def _word_places(layout: Layout) -> list[int]:
    """Where the words start that a reader reads as text."""
    hidden = [region for region in layout.regions if region.place in _HIDDEN]
    starts, at = list[int](), 0
    for region in (*hidden, Span(len(layout.text), len(layout.text))):
        starts += [word.start() for word in _WORD.finditer(layout.text, at, region.start)]
        at = region.end
    return starts


def _number(words: Sequence[int], span: Span) -> int:
    return bisect_right(words, span.end - 1) - bisect_right(words, span.start - 1)


def _pages_by_sentence(
    layout: Layout, cited: Iterable[Cited], words: Sequence[int], sentences: Sequence[Span]
) -> dict[int, list[Cited]]:
    """The pages that each sentence cites, every page once."""
    starts = [span.start for span in sentences]
    found = defaultdict[int, list[Cited]](list)
    for one in cited:
        links = [link for link in one.links if not _is_definition(layout.text, link)]
        for at in {_sentence(link, words, starts) for link in links}:
            if at >= 0:
                found[at].append(one)
    return found


def _sentence(link: Link, words: Sequence[int], starts: Sequence[int]) -> int:
    """The sentence of the link's label, or of the last word before a reference; -1 if none."""
    if link.place is Place.LINK_TEXT:
        return bisect_right(starts, link.start) - 1
    before = bisect_right(words, link.start)
    return bisect_right(starts, words[before - 1]) - 1 if before else -1


def _is_definition(text: str, link: Link) -> bool:
    line = text.rfind("\n", max(0, link.start - _FOOTNOTE), link.start) + 1
    return link.place is not Place.LINK_TEXT and _DEFINITION.match(text, line) is not None
