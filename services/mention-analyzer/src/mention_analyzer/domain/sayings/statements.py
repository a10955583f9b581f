"""What an answer says about its mentions: sentences with marks for names, taken apart in clauses.

A ``Statement`` is a sentence with mentions and the sentences right behind it that go on about
them ("It is ...", "I would avoid it"). Every mention is one ``MARK``; addresses, labels of sources
and markdown are gone, letters are lower case. Its clauses end at contrasts ("but", "while"),
semicolons, brackets, dashes and commas, except commas between the brands of one enumeration.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mention_analyzer.domain.sayings.cues import MARK
from mention_analyzer.domain.text.layout import Layout, Place, Region, Span

NAMING = frozenset({Place.PROSE, Place.LINK_TEXT, Place.CODE})
_HIDDEN = frozenset({Place.URL, Place.REFERENCE, Place.CODE})
_BLANK = "\0"
_NOISE = re.compile(r"\( *\)|[\s\0*_#>`~\[\]\"“”]+")
_VERB = (
    "is|isn't|was|has|does|doesn't|offers|costs|gets|comes|lacks|feels|makes|works|gives|also|"
    "remains|wins|takes|runs"
)
_AND = r"(?:and|or|&|nor|und|oder|y|o|et|ou|や|と)"
_CONTRAST = (
    r"but|however|although|though|while|whereas|yet|because|since|unless|except|despite|if|when|"
    r"aber|pero|mais"
)
_BREAK = re.compile(
    rf" ?[;()|\u2014\u2013…。] ?| - |(?<=[.!?]) |, (?!{_AND} (?:the )?{MARK}(?! (?:{_VERB})\b)|"
    rf"{MARK}(?:,|\.?$| {_AND} ))|、| (?=(?:{_CONTRAST}) )|"
    rf",? and (?=(?:the )?{MARK} (?:{_VERB})\b|(?:it|i|we|you)(?:'| ))"
)
# "X Pro, Y Max and the Z": up to three words of a product's name behind each brand.
_MODEL = (
    rf"(?: (?!(?:{_VERB}|{_AND}|are|would|can|than|over|unlike|instead|rather|not|to|with|from)\b)"
    r"[\w.+'-]+){0,3}?"
)
_ENUMERATION = rf"{MARK}(?:{_MODEL}(?:,? {_AND} (?:the )?|, (?:the )?| ?/ ?|[やと、]){MARK})*"
_GROUP = re.compile(
    rf"(?:(?P<instead>rather than|instead of|(?:^|and |but )not|statt|en lugar de)|"
    rf"(?P<compared>than|over|unlike|versus|vs\.?|compared (?:to|with)|alternatives? to|from|"
    rf"beyond|against)) (?:the |an? |using |buying |getting )?{_ENUMERATION}"
    rf"|{_ENUMERATION}"
)
_GOES_ON = re.compile(
    r"^\W*(?:(?:and|but|so|still|that said|however|overall|plus|yet),? )?"
    r"(?:it|it's|its|they|they're|their|this|these|both|either)\b"
    r"|\b(?:recommend|suggest|avoid|skip|with|choose|pick|buy|get|use|try) "
    r"(?:it|them|this one|either|both)\b"
)


class Role(StrEnum):
    """How a group of brands stands in its clause."""

    SUBJECT = "subject"
    COMPARED = "compared"  # "than X", "unlike X": what is said is not said of X
    INSTEAD = "instead"  # "rather than X", ", not X": passed over if another is chosen


@dataclass(frozen=True, slots=True)
class Group:
    """Brands named in one breath ("X, Y and Z"), by the indexes of their mentions."""

    start: int
    end: int
    mentions: range
    role: Role


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause and the groups of brands in it, in order."""

    text: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Statement:
    """``text`` speaks of the mentions in the range ``mentions``, in order of their marks.

    ``span`` is its first sentence in the answer.
    """

    text: str
    mentions: range
    span: Span

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The clauses in order; their marks together are all mentions."""
        return tuple(_clauses(self.text, self.mentions.start))

    @property
    def choices(self) -> range:
        """The mentions that a head is about: the first named in one breath, none if compared."""
        for clause in self.clauses:
            for group in clause.groups:
                return group.mentions if group.role is Role.SUBJECT else range(0)
        return range(0)


def clean_sentences(layout: Layout, mentions: Sequence[Region]) -> tuple[Statement, ...]:
    """Each sentence of the answer as a statement of its own, most without a mention.

    ``mentions`` are in order without overlap, and all in prose, link text or code.
    """
    masked = _masked(layout, mentions)
    starts = [mention.start for mention in mentions]
    found = []
    for span in layout.sentences:
        of = range(bisect_left(starts, span.start), bisect_left(starts, span.end))
        found.append(Statement(_cleaned(masked[span.start : span.end]), of, span))
    return tuple(found)


def goes_on(sentence: str) -> bool:
    """Whether a sentence without a name speaks of what was named right before it."""
    return _GOES_ON.search(sentence) is not None


def _masked(layout: Layout, mentions: Sequence[Region]) -> str:
    """The text at its full length, names as marks, and what no reader reads as words blank."""
    named = {mention.start for mention in mentions if mention.place is Place.CODE}
    hidden = [
        region
        for region in layout.regions
        if region.place in _HIDDEN and named.isdisjoint(range(region.start, region.end))
    ]
    text = _covered(layout.text.replace(MARK, _BLANK), hidden, "")
    return _covered(text, mentions, MARK)


def _covered(text: str, covers: Sequence[Span], sign: str) -> str:
    """``text`` with ``sign`` and blanks in place of each cover; they are in order."""
    pieces, at = list[str](), 0
    for cover in covers:
        pieces += (text[at : cover.start], sign)
        pieces.append(_BLANK * (cover.end - cover.start - len(sign)))
        at = cover.end
    return "".join((*pieces, text[at:]))


def _cleaned(masked: str) -> str:
    return _NOISE.sub(" ", masked.replace("\u2019", "'")).strip().lower()


def _clauses(text: str, first: int) -> Iterator[Clause]:
    for piece in _BREAK.split(text):
        if piece and not piece.isspace():
            groups = tuple(_groups(piece, first))
            yield Clause(piece, groups)
            first = groups[-1].mentions.stop if groups else first


def _groups(clause: str, first: int) -> Iterator[Group]:
    if MARK not in clause:
        return
    for found in _GROUP.finditer(clause):
        after = first + found[0].count(MARK)
        role = Role(found.lastgroup or Role.SUBJECT)
        yield Group(*found.span(), range(first, after), role)
        first = after
