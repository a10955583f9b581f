"""What speaks for and against a capitalised ordinary word being the brand, at one place.

The weights are in tenths of a notional log odds ratio: above 0 more speaks for the brand. They
were set by hand on labelled places of real answers (tests/gold), and no place is worth a rule of
its own.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from mention_analyzer.domain.names import wording
from mention_analyzer.domain.names.folding import levelled
from mention_analyzer.domain.names.naming import Name, letters_of
from mention_analyzer.domain.names.ordinary_words import Ordinary, commonness

_BACK, _AHEAD = 90, 140
_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")  # noqa: RUF001
_NEXT = re.compile(r"([\W_]*)([^\W_]+(?:['’-][^\W_]+)*)?")  # noqa: RUF001
# Up to the next punctuation, forwards as backwards; a dash counts between spaces only.
_SEGMENT = re.compile(r"(?:[^\n.!?:;|•()\[\]\"“” ]++| (?![–—-] ))*+")  # noqa: RUF001
# What is before an occurrence is read backwards, as no search from its start could be.
_BEHIND = re.compile(r"([\W_]*)([^\W_]*(?:['’&+][^\W_]+)*)")  # noqa: RUF001
_CARD = re.compile(r"[\s*]*(?:\)\+?k?[\d.,]*\d\(|\d[\d.,]*\$)")  # "(4k+)" or "$10" end a card
_NUMBERED = re.compile(r"[\s_*\[]*[.)]\d{1,2}(?:\Z|[\n*#:.\s])")
_ROW = re.compile(r"[\s*\[]*\|(?:\n|\Z)")  # the first cell, where a table has what it compares
_PRICED = re.compile(r"[^.:!?\n]{0,110}\$\d")
_POSSESSIVE = re.compile(r"['’]s\b|(?<=s)['’](?=\s)")  # noqa: RUF001
_DOMAIN = re.compile(r"\.(?:com|co|io|net|org|ai|app|so|de|co\.uk|eu|us)\b(?!\.\w)")
# From where a name's line has its first punctuation: the rest of a link, an aside, a colon or dash.
_DESCRIBED = re.compile(
    r"(?:\]\([^)\s]*\)|\](?:\[\w*\])?)?[*_®™\s]*(?:\((?P<aside>[^()\n]{0,40})\))?[*_®™\s]*"
    r"(?:(?::|\s?[–—-]\s)[*_\s\[]*(?P<word>[^\W_]+))?"  # noqa: RUF001
)
_LABELLED = re.compile(
    r"[^\n]{0,90}\n\s*(?:[*+-]\s+)?(?:[#*_]+\s*)?(?:price|pros|cons|strengths|features|highlights|"
    r"best for|why|type|cost|specs|annual|players|known|range|resolution|rating|material)",
    re.IGNORECASE,
)
_CARD_ENDS = frozenset(")0123456789")
_APOSTROPHES = frozenset("'’")  # noqa: RUF001
_PRIOR = {Ordinary.RARE: 5, Ordinary.COMMON: -5}
_PROSE = 25
_JOINING = frozenset("-/")
_INSIDE = frozenset(",&/\"“'‘")  # noqa: RUF001 - after these a sentence goes on
_GOING_ON = {"by": 10, "with": -5, "and": -12, "or": -12}
_MARKED = re.compile(r"[®™℠]")
_LINE = re.compile(r"[^:!?\n|–—]{0,60}")  # noqa: RUF001
_MODEL = re.compile(r"\d|[a-z][A-Z]")
_CAPITALISED = re.compile(r"\b[A-Z][^\W_]+")


class Stand(Enum):
    """How an occurrence stands to what is before it."""

    HEAD = "head"  # begins a sentence, an item, a cell, a label: a capital says nothing
    PROSE = "prose"  # after lower case: only names have a capital there
    TITLE = "title"  # where every word has a capital
    COMPOUND = "compound"  # after another capitalised word, as the second part of a name


class Evidence(NamedTuple):
    """The sum of what speaks for the brand, and how the occurrence stands."""

    score: int
    stand: Stand
    after_article: bool = False


_ADDRESS = Evidence(50, Stand.PROSE)  # "monday.com"


class _Around(NamedTuple):
    """An occurrence with what is next to it."""

    name: Name
    shown: str
    behind: str  # what is before, backwards
    after: str
    word: str  # the last word before
    gap: str  # what is between that word and the occurrence
    rest: int  # how many characters of ``after`` are before the next punctuation

    def leading(self) -> list[str]:
        """The words of its segment before it."""
        found = _SEGMENT.match(self.behind)
        return _WORD.findall(found[0][::-1]) if found else []

    def segment(self) -> list[str]:
        """All other words of its segment."""
        return self.leading() + _WORD.findall(self.after[: self.rest])


def weigh(text: str, start: int, end: int, name: Name) -> Evidence | None:
    """Judge one occurrence of an ordinary word; None if it is not even written as the brand."""
    shown = text[start:end]
    if text[end : end + 1] == "." and _DOMAIN.match(text, end):
        return _ADDRESS
    if shown != name.alias and not _written_as(name.letters, letters_of(shown)):
        return None
    around = _around(text, start, end, name)
    stand, lead = _stand(around), around.word.lower()
    if stand is Stand.PROSE and not name.phrase and around.after[:1] not in _JOINING:
        return Evidence(_PROSE + _PRIOR[name.common], stand, lead in wording.ARTICLES)
    score = _of_name(around) + _of_neighbours(around)
    if stand is Stand.HEAD:
        score += _of_head(around)
    elif stand is Stand.PROSE:
        score += _PROSE
    elif stand is Stand.COMPOUND:
        score -= 30
    elif lead in wording.LEADING and _PRICED.match(around.after):
        score += 15
    return Evidence(score, stand, lead in wording.ARTICLES)


def _around(text: str, start: int, end: int, name: Name) -> _Around:
    behind, after = text[max(0, start - _BACK) : start][::-1], text[end : end + _AHEAD]
    found, segment = _BEHIND.match(behind), _SEGMENT.match(after)
    assert found is not None, "both match the empty text"
    assert segment is not None, "both match the empty text"
    gap, word = found[1][::-1], found[2][::-1]
    if gap[:1] in ("'", "’"):  # noqa: RUF001 - of a plural: "runners' "
        gap, word = gap[1:], word + gap[0]
    return _Around(name, text[start:end], behind, after, word, gap, segment.end())


def _written_as(declared: str, shown: str) -> bool:
    """In the declared case, or all in capitals; a name declared in lower case in any."""
    if not (shown.isascii() and declared.isascii()):
        shown, declared = _unaccented(shown), _unaccented(declared)
    return shown == declared or (shown.isupper() and len(shown) > 1) or declared.islower()


def _unaccented(letters: str) -> str:
    return "".join(
        levelled(letter).upper() if letter.isupper() else levelled(letter) for letter in letters
    )


def _stand(around: _Around) -> Stand:
    core = around.gap.strip(" \t*_~`\u00a0#")
    if not around.word or not _INSIDE.issuperset(core) or "\n" in around.gap:
        return Stand.HEAD
    if "\u00a0" in around.gap and not core:
        return Stand.HEAD
    title = _is_title(around)
    if not core and _begins_name(around, title):
        return Stand.COMPOUND
    return Stand.TITLE if title else Stand.PROSE


def _begins_name(around: _Around, title: bool) -> bool:
    """Whether the word before is capitalised for other reasons than beginning a sentence."""
    word = around.word
    if word[0].isdigit():
        return not around.name.phrase
    if not word[0].isupper() or word.endswith(("'s", "’s", "s'")):  # noqa: RUF001
        return False
    if not title and commonness(word.lower()) is Ordinary.COMMON and len(around.leading()) == 1:
        return False  # the capital of a sentence: "Occasional Delta flyers"
    return word.lower() not in wording.LEADING


def _is_title(around: _Around) -> bool:
    """Whether no ordinary word around is in lower case."""
    words = _WORD.findall(around.after, 0, around.rest)
    return not any(map(_is_plain, words)) and not any(map(_is_plain, around.leading()))


def _is_plain(word: str) -> bool:
    return word[0].islower() and word.isalpha() and word not in wording.FUNCTION


def _of_name(around: _Around) -> int:
    name = around.name
    score = _PRIOR[name.common]
    if name.phrase:
        score += 15
    elif name.alias.lower() in wording.FUNCTION | wording.PRONOUNS:
        score -= 10
    if around.shown.isupper() and not name.alias.isupper() and len(around.shown) > 3:
        score += 5
    if name.alias.islower() and around.shown.islower():
        score -= 15
    return score


def _of_neighbours(around: _Around) -> int:
    """Compounds, possessives and trade marks."""
    score = 0
    if around.gap == "-":
        score -= 40
    if around.gap == "/" or around.after.startswith("/"):
        score -= 10
    if around.after[:1] in _APOSTROPHES and _POSSESSIVE.match(around.after):
        score += 15
    if around.after[:1] == "-" and around.after[1:2].isalnum():
        made = _WORD.match(around.after, 1)
        score += 5 if made and made[0].partition("-")[0].lower() in wording.COMPOUNDED else -30
    if around.name.phrase and _next(around)[1].lower() in wording.COUNTRIES:
        score -= 60 if around.name.alias.lower().endswith((" in", " from")) else 0
    if _is_marked(around):
        score += 15
    if _is_listed(around):
        score += 15
    return score


def _is_marked(around: _Around) -> bool:
    """Whether a trade mark follows in the same segment."""
    after = around.after
    return not after.isascii() and _MARKED.search(after, 0, around.rest) is not None


def _is_listed(around: _Around) -> bool:
    """Among others that are no ordinary words: "Arlo, Ring, Nest, TP-Link"."""
    if "," not in (around.gap.strip(), around.after[:1]):
        return False
    names = (word for word in around.segment() if word[0].isupper())
    return sum(1 for word in names if commonness(_stem(word)) is not Ordinary.COMMON) >= 2


def _next(around: _Around) -> tuple[str, str]:
    found = _NEXT.match(around.after)
    return (found[1], found[2] or "") if found else ("", "")


def _of_head(around: _Around) -> int:
    """Where the capital says nothing: what the line is about."""
    behind, near = around.behind, around.behind[:6]
    score = _of_next(around) + _of_description(around)
    if behind.lstrip(" *")[:1] in _CARD_ENDS and _CARD.match(behind):
        score += 30
    if "$" in around.after and _PRICED.match(around.after):
        score += 15
    if around.gap.endswith("["):
        score += 15
    if ("." in near or ")" in near) and _NUMBERED.match(behind):
        score += 10
    if "|" in near and around.after[:2].strip(" *") and _ROW.match(behind):
        score += 5
    return score


def _of_next(around: _Around) -> int:
    """The words after it in the same line."""
    gap, word = _next(around)
    if gap.strip(" *_\u00a0®™℠]") or not word or not gap:
        return 3
    if word[0].isupper() or _MODEL.search(word):
        return _of_title_words(around, word)
    if _is_marked(around):
        return 3
    lower = word.lower()
    if lower in wording.SAYING:
        return 5 if around.name.alias.lower() in wording.PRONOUNS else 20
    return _GOING_ON.get(lower, -20 if lower in wording.FUNCTION else -10)


def _of_title_words(around: _Around, word: str) -> int:
    """Of a line that goes on with capitals: a product has a model, a heading has plain words."""
    line = _LINE.match(around.after)
    score = 10 if word == "The" else 3
    return score + 15 if line and _has_model(line[0]) else score


def _has_model(line: str) -> bool:
    """Whether a line has a number, a "ProCoat" or a capitalised word that no dictionary has."""
    if _MODEL.search(line):
        return True
    return any(not commonness(_stem(word)) for word in _CAPITALISED.findall(line))


def _stem(word: str) -> str:
    return word.lower().partition("'")[0].partition("’")[0]  # noqa: RUF001


def _of_description(around: _Around) -> int:
    """What follows the name's line: what a product is, or what to look for in one."""
    score = 15 if "\n" in around.after and _LABELLED.match(around.after) else 0
    described = _DESCRIBED.match(around.after, around.rest)
    if described is None:
        return score
    aside = (described["aside"] or "").partition(" ")[0].lower()
    if aside in ("formerly", "now", "previously"):
        return score + 15
    first = (described["word"] or "").lower()
    if first in wording.DESCRIBING:
        return score + 15
    return score - 20 if first in wording.ADVISING else score
