"""Names of brands as patterns: how each may be written, and by which rule it counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from uuid import UUID

from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Brand, CaseRule
from mention_analyzer.domain.names.folding import TRADEMARK, fold_name, is_touching
from mention_analyzer.domain.names.ordinary_words import Ordinary, commonness, ordinary

SHORT = 3  # letters and digits up to which a name is too short to count in any case
LOOSE = 5  # letters from which a name also counts without its accents or apostrophes
OPEN = frozenset(
    ("", " ", "\n", ".", ",", ":", "(", ")", "[", "]", "*", "-", "'", "/")
)  # never touch
_RUN = 64  # underscores to look past
_REACH = 3  # how much longer than the name its written form may be
# A space in a name: spaces with at most one line break, a hyphen, emphasis that ends or begins.
_GAP = (
    rf"(?:{TRADEMARK}?(?:-|\\?[*_~`]{{0,3}}(?:[^\S\n]{{1,8}}\n?[^\S\n]{{0,8}}|\n[^\S\n]{{0,8}})"
    r"[*_~`]{0,3}(?![\s*])))"
)
_AND = r"(?:\\?&(?:amp;)?|and)"


class Judged(StrEnum):
    """By what an occurrence is judged to be the brand; the values are ids of rules."""

    WHOLE_WORD = "whole-word"
    EXACT_CASE = "exact-case"
    SHORT_NAME = "short-name"
    ORDINARY_WORD = "ordinary-word-context"


@dataclass(frozen=True, slots=True)
class Name:
    """One name of one brand, with what is asked of it at every occurrence."""

    brand: Brand
    owner: int  # the place of the brand in its set, which compares faster than its id
    brand_id: UUID
    alias: str
    letters: str  # the alias without spaces and signs
    judged: Judged
    rule: str
    common: Ordinary
    phrase: bool  # of more than one word
    certain: bool  # every whole word of it is the brand
    unsure: bool  # the context decides


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write names, found by its rarest word.

    ``before`` matches what stands before that word and ends at it, ``after`` from it on; both are
    None for a form of one word. ``reach`` is how far before the word the form can begin.
    """

    written: str
    anchor: str
    names: tuple[Name, ...]
    excluded: tuple[UUID, ...]  # brands of which the form is no name but a phrase around one
    before: re.Pattern[str] | None = None
    after: re.Pattern[str] | None = None
    reach: int = 0
    single: bool = False  # one word

    @property
    def is_plain(self) -> bool:
        """Whether no name of it is an ordinary word."""
        return not any(name.common for name in self.names)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its names as they are declared."""
        return tuple(name.alias for name in self.names)

    def at(self, folded: str, place: int) -> tuple[int, int] | None:
        """Where the form stands in a folded text that has its anchor at ``place``."""
        start, end = place, place + len(self.anchor)
        if self.after is not None:
            found = self.after.match(folded, place)
            if found is None:
                return None
            end = found.end()
        if self.before is not None:
            found = self.before.search(folded, max(0, place - self.reach), place)
            if found is None:
                return None
            start = found.start()
        return (start, end) if is_free(folded, start, end) else None


def is_free(folded: str, start: int, end: int) -> bool:
    """Whether nothing touches the span; underscores only do with a letter behind them."""
    before, after = folded[start - 1 : start], folded[end : end + 1]
    if before in OPEN and after in OPEN:
        return True
    return not (
        _touches(folded[max(0, start - _RUN) : start][::-1]) or _touches(folded[end : end + _RUN])
    )


def _touches(beside: str) -> bool:
    bare = beside.lstrip("_")
    return bool(bare) and is_touching(bare[0])


def forms(brands: Iterable[Brand]) -> tuple[Form, ...]:
    """All forms of all names and excluded phrases. Raises UnusableBrand."""
    names: dict[str, list[Name]] = {}
    excluded: dict[str, list[UUID]] = {}
    for owner, brand in enumerate(brands):
        for alias in dict.fromkeys((brand.name, *brand.aliases)):
            name = _name(brand, owner, alias)
            for written in _spellings(alias):
                names.setdefault(written, []).append(name)
        for phrase in brand.exclude:
            _usable(phrase)
            excluded.setdefault(_spaced(phrase), []).append(brand.brand_id)
    return tuple(
        _form(written, tuple(names.get(written, ())), tuple(excluded.get(written, ())))
        for written in names | excluded
    )


def _name(brand: Brand, owner: int, alias: str) -> Name:
    _usable(alias)
    common = ordinary(alias)
    letters = letters_of(alias)
    judged = _judged(brand.case, letters, common)
    return Name(
        brand,
        owner,
        brand.brand_id,
        alias,
        letters,
        judged,
        judged.value,
        common,
        phrase=len(alias.split()) > 1,
        certain=judged is Judged.WHOLE_WORD and len(letters) >= LOOSE,
        unsure=judged in (Judged.ORDINARY_WORD, Judged.SHORT_NAME),
    )


def letters_of(name: str) -> str:
    """Its letters and digits, which is what two spellings of it have in common."""
    return name if name.isalnum() else "".join(filter(str.isalnum, name))


def _usable(name: str) -> None:
    if not any(character.isalnum() for character in name):
        raise UnusableBrand(f"{name!r} has no letter or digit to look for")


def _judged(case: CaseRule, letters: str, common: Ordinary) -> Judged:
    if case is not CaseRule.AUTO:
        return Judged.EXACT_CASE if case is CaseRule.EXACT else Judged.WHOLE_WORD
    if common:
        return Judged.ORDINARY_WORD
    short = letters.isascii() and len(letters) <= SHORT
    return Judged.SHORT_NAME if short else Judged.WHOLE_WORD


def _spaced(name: str) -> str:
    return " ".join(fold_name(name).split())


def _spellings(alias: str) -> Iterator[str]:
    """As declared, then without what writers leave out of longer names."""
    written = _spaced(alias)
    seen = {written}
    yield written
    without = (written.replace("'", ""), written.replace("-", ""), written.rstrip("."))
    for shorter in without:
        long = sum(map(str.isalnum, shorter)) >= LOOSE
        if shorter not in seen and long and not commonness(shorter):
            seen.add(shorter)
            yield shorter


def _pieces(written: str) -> list[tuple[bool, str]]:
    """Words (True) and what stands between them."""
    return [(word, "".join(run)) for word, run in groupby(written, key=_in_word)]


def _in_word(character: str) -> bool:
    return is_touching(character) or character.isalnum()


def _form(written: str, names: tuple[Name, ...], excluded: tuple[UUID, ...]) -> Form:
    pieces = _pieces(written)
    words = [(index, piece) for index, (word, piece) in enumerate(pieces) if word]
    at, anchor = max(words, key=lambda word: (-commonness(word[1]), len(word[1])))
    if len(pieces) == 1:
        return Form(written, anchor, names, excluded, single=True)
    before = "".join(_pattern(pieces, index) for index in range(at))
    after = "".join(_pattern(pieces, index) for index in range(at, len(pieces)))
    return Form(
        written,
        anchor,
        names,
        excluded,
        re.compile(rf"{before}\Z") if before else None,
        re.compile(after),
        _REACH * sum(len(piece) for _, piece in pieces[:at]) + 24,
    )


def _pattern(pieces: list[tuple[bool, str]], index: int) -> str:
    word, piece = pieces[index]
    if word:
        return _AND if piece == "and" else re.escape(piece)
    initial = index > 0 and len(pieces[index - 1][1]) == 1
    last = index == len(pieces) - 1
    return "".join(_sign(sign, initial, last) for sign in piece)


def _sign(sign: str, initial: bool, last: bool) -> str:
    if sign == " ":
        return _GAP
    if sign == "-":
        return rf"(?:\\?-|{_GAP})"
    if sign == "&":
        return _AND
    if sign == ".":
        return r"\.?" if last else rf"\.{_GAP}?" if initial else r"\."
    return rf"\\?{re.escape(sign)}"
