"""Which occurrences of a name are the brand: plain names all, ambiguous ones by their context.

One occurrence that is surely the brand makes it likely that the others in the same answer are, too
(one sense per discourse). A word that only ever follows another capitalised word ("Barista
Express") is part of that name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mention_analyzer.domain.names import wording
from mention_analyzer.domain.names.evidence import Evidence, Stand, weigh
from mention_analyzer.domain.names.naming import LOOSE, SHORT, Judged, Name, letters_of
from mention_analyzer.domain.text.layout import Layout, Place

SURE = 20  # of evidence: one occurrence that decides about the others
_SAME_SENSE = 25
_PART_OF_NAME = 40  # for the second part of a name that stands alone as often
_OWN_PAGE = 15
_URL = Place.URL
_COMPOUND = Stand.COMPOUND
_IN_PATH = re.compile(r"[^\s(<?#]*")
_QUANTITY = re.compile(r"\d[\s-]?\Z")
_IN_NUMBER = re.compile(r"(?:[$€£#]\s?|\d[.,:/-]?)\Z")
_GOES_ON = re.compile(r"[.,:]?\d|[\s-]?(?:%|[a-z])")


class Hit(NamedTuple):
    """A name at a place of an answer, whether it counts or not."""

    start: int
    end: int
    name: Name
    place: Place
    glued: bool = False


class Judge:
    """Judges the hits of one answer."""

    def __init__(self, layout: Layout, hits: Sequence[Hit]) -> None:
        self._layout = layout
        self._text = layout.text
        self._hits = hits
        self._hosts: set[str] | None = None

    def kept(self) -> list[Hit]:
        """The hits that are the brand."""
        plain, unsure = list[Hit](), list[Hit]()
        for hit in self._hits:
            if hit.place is _URL:
                if self._in_path(hit):
                    plain.append(hit)
            elif hit.name.certain or hit.glued:
                plain.append(hit)
            elif hit.name.unsure:
                unsure.append(hit)
            elif self._is_plain(hit):
                plain.append(hit)
        return [*plain, *self._by_context(unsure, plain)] if unsure else plain

    def _is_plain(self, hit: Hit) -> bool:
        """Whether it counts by itself."""
        if hit.name.judged is Judged.WHOLE_WORD:
            return self._same_accents(hit)
        return hit.name.judged is Judged.EXACT_CASE and hit.name.letters == self._letters(hit)

    def _in_path(self, hit: Hit) -> bool:
        """Not in the query or fragment, which repeat what was asked, nor of an ambiguous name."""
        name = hit.name
        if name.judged is not Judged.WHOLE_WORD or name.common or len(name.letters) <= SHORT:
            return False
        behind = self._text[max(0, hit.start - 300) : hit.start][::-1]
        found = _IN_PATH.match(behind)
        return found is None or behind[found.end() : found.end() + 1] not in ("?", "#")

    def _same_accents(self, hit: Hit) -> bool:
        """Short names differ by an accent; longer ones are written without."""
        shown, letters = self._letters(hit), hit.name.letters
        if len(letters) >= LOOSE or (shown.isascii() and letters.isascii()):
            return True
        return _same(shown, letters)

    def _by_context(self, unsure: list[Hit], plain: Iterable[Hit]) -> Iterator[Hit]:
        of_brand: dict[int, list[Hit]] = {}
        for hit in unsure:
            of_brand.setdefault(hit.name.owner, []).append(hit)
        sure = {hit.name.owner for hit in plain if hit.place is not _URL}
        for owner, hits in of_brand.items():
            words = [hit for hit in hits if hit.name.judged is Judged.ORDINARY_WORD]
            kept = list(self._words(words, owner in sure)) if words else []
            yield from kept
            known = bool(kept) or owner in sure
            for hit in hits:
                if hit.name.judged is Judged.SHORT_NAME and self._is_short(hit, known):
                    yield hit

    def _words(self, hits: list[Hit], known: bool) -> Iterator[Hit]:
        """Of one brand, those ordinary words that are it."""
        weighed = [
            (hit, evidence)
            for hit in hits
            if (evidence := weigh(self._text, hit.start, hit.end, hit.name))
        ]
        if not weighed:
            return
        alone, part = self._lift(hits[0].name, [evidence for _, evidence in weighed], known)
        for hit, evidence in weighed:
            if evidence.score + (part if evidence.stand is _COMPOUND else alone) > 0:
                yield hit

    def _lift(self, name: Name, found: list[Evidence], known: bool) -> tuple[int, int]:
        """What the rest of the answer adds to an occurrence, alone and as part of a name."""
        parts = sum(one.stand is _COMPOUND for one in found)
        heads = [
            one.score
            for one in found
            if one.score > 0 and one.stand is not _COMPOUND and not (parts and one.after_article)
        ]
        sense = _SAME_SENSE if known or max(heads, default=0) >= SURE else 0
        if parts and not heads and not known:
            sense = -_SAME_SENSE
        elif not known and any(one.score <= 0 for one in found) and self._has_page(name):
            sense += _OWN_PAGE
        return sense, _PART_OF_NAME if heads and len(heads) >= parts else min(sense, 0)

    def _has_page(self, name: Name) -> bool:
        """Whether the answer links to a site of the brand, or one that is called so."""
        if self._hosts is None:
            self._hosts = {_host(link.url) for link in self._layout.links}
        called = f"{name.letters.lower()}."
        own = {domain.lower().removeprefix("www.") for domain in name.brand.domains}
        return any(host in own or host.startswith(called) for host in self._hosts)

    def _is_short(self, hit: Hit, known: bool) -> bool:
        """As written by the brand, or all in capitals; other spellings if no word or unit."""
        shown, declared = self._letters(hit), hit.name.letters
        unit = shown.lower() in wording.UNITS
        before = self._text[max(0, hit.start - 8) : hit.start]
        if shown.isdigit():
            return not _IN_NUMBER.search(before) and not _GOES_ON.match(self._text, hit.end)
        if unit and _QUANTITY.search(before):
            return False
        if shown in (declared, declared.upper()):
            return True
        spelled = len(shown) == SHORT and not unit and _same(shown, declared)
        return spelled and (known or not shown.islower())

    def _letters(self, hit: Hit) -> str:
        return letters_of(self._text[hit.start : hit.end].replace("&amp;", "&"))


def _same(shown: str, declared: str) -> bool:
    """In any case and width, with the same accents."""
    return unicodedata.normalize("NFKC", shown).casefold() == declared.casefold()


def _host(url: str) -> str:
    host = url.partition("://")[2] or url
    return host.partition("/")[0].partition("?")[0].lower().removeprefix("www.")
