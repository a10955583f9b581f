"""Finding all names of all brands in one pass over an answer.

A name counts where no letter, digit or underscore touches it on either side, so "LI" is not in
"tile" and "Box" not in "toolbox"; what its spaces, hyphens and apostrophes may look like is in
``naming``, what tells names from ordinary words in ``judging``. Of names at one place the longest
counts. Two brands that share a name both have it; one that is spelled otherwise has not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from uuid import UUID

from mention_analyzer.domain.models import Brand
from mention_analyzer.domain.names.automaton import Automaton
from mention_analyzer.domain.names.folding import Folding, is_unspaced
from mention_analyzer.domain.names.gluing import Gluer
from mention_analyzer.domain.names.judging import Hit, Judge
from mention_analyzer.domain.names.naming import Form, forms
from mention_analyzer.domain.text.layout import Layout, Place

URL_WORD = "url-word"
GLUED_WORD = "glued-word"


@dataclass(frozen=True, slots=True)
class Match:
    """A name of a brand at a place; ``start`` and ``end`` count code points, end exclusive.

    ``alias`` is the name as the brand declares it, ``rule`` by what it counts.
    """

    brand_id: UUID
    alias: str
    start: int
    end: int
    rule: str
    place: Place


_URL = Place.URL
Found = tuple[int, int, Form]


class Matcher:
    """Finds the names of ``brands``. Raises UnusableBrand."""

    def __init__(self, brands: tuple[Brand, ...]) -> None:
        known = forms(brands)
        self._folding = Folding({sign for form in known for sign in form.written})
        spaced = [form for form in known if not is_unspaced(form.anchor)]
        self._words, self._of_word = _automaton(spaced, " {} ")
        unspaced = [form for form in known if is_unspaced(form.anchor)]
        self._runs, self._of_run = _automaton(unspaced, "{}")
        self._gluer = Gluer(known)
        self._excludes = any(form.excluded for form in known)

    def find(self, layout: Layout) -> tuple[Match, ...]:
        """Matches in order of their places; those of one brand do not overlap."""
        text = layout.text
        folded = self._folding.fold(text)
        found = list(self._found(folded))
        glued = list(self._gluer.find(text, folded))
        if not (found or glued):
            return ()
        return self._decided(layout, found, glued)

    def _found(self, folded: str) -> Iterator[Found]:
        """Every form at every place, whether it counts or not."""
        words = f" {self._folding.words(folded)} "
        hits = self._words.find(words)
        # A word between spaces is a whole one, unless it was an underscore that became a space.
        yield from _spans(folded, hits, self._of_word, "_" not in folded)
        if self._of_run and not folded.isascii():
            hits = self._runs.find(folded)
            yield from _spans(folded, hits, self._of_run, False)

    def _decided(
        self, layout: Layout, found: Sequence[Found], glued: Sequence[Found]
    ) -> tuple[Match, ...]:
        place_of = _Places(layout).of if layout.regions else _prose
        hits = [
            Hit(start, end, name, place_of(start), False)
            for start, end, form in found
            for name in form.names
        ]
        hits += [
            Hit(start, end, name, Place.PROSE, True)
            for start, end, form in glued
            for name in form.names
        ]
        if self._excludes:
            cover = _Excluded(found).cover
            hits = [hit for hit in hits if not cover(hit.start, hit.end, hit.name.brand_id)]
        return _matches(layout.text, Judge(layout, hits).kept())


def _prose(_: int) -> Place:
    return Place.PROSE


@lru_cache(maxsize=64)
def matcher(brands: tuple[Brand, ...]) -> Matcher:
    """The compiled matcher of a set of brands. Raises UnusableBrand."""
    return Matcher(brands)


def _spans(
    folded: str,
    hits: Iterable[tuple[int, int, int]],
    of_anchor: Sequence[Sequence[Form]],
    known: bool,
) -> Iterator[Found]:
    """``known``: what hits is whole words."""
    for index, place, _ in hits:
        for form in of_anchor[index]:
            if known and form.single:
                yield place, place + len(form.anchor), form
                continue
            if span := form.at(folded, place):
                yield *span, form


def _automaton(known: Iterable[Form], shape: str) -> tuple[Automaton, tuple[tuple[Form, ...], ...]]:
    """One pattern per anchor, and the forms that each may be part of."""
    of_anchor: dict[str, list[Form]] = {}
    for form in known:
        of_anchor.setdefault(form.anchor, []).append(form)
    patterns = [shape.format(anchor) for anchor in of_anchor]
    return Automaton(patterns), tuple(map(tuple, of_anchor.values()))


class _Places:
    """What kind of text stands where."""

    def __init__(self, layout: Layout) -> None:
        self._regions = layout.regions
        self._starts = [region.start for region in layout.regions]

    def of(self, start: int) -> Place:
        at = bisect_right(self._starts, start) - 1
        inside = at >= 0 and start < self._regions[at].end
        return self._regions[at].place if inside else Place.PROSE


class _Excluded:
    """Where phrases stand in which a name is not the brand."""

    def __init__(self, found: Iterable[Found]) -> None:
        spans: dict[UUID, list[tuple[int, int]]] = {}
        for start, end, form in found:
            for brand_id in form.excluded:
                spans.setdefault(brand_id, []).append((start, end))
        self._spans = {brand_id: sorted(places) for brand_id, places in spans.items()}
        # Up to each phrase the farthest end, as a longer one may begin before a shorter.
        self._ends = {
            brand_id: list(accumulate((end for _, end in places), max))
            for brand_id, places in self._spans.items()
        }

    def cover(self, start: int, end: int, brand_id: UUID) -> bool:
        """Whether a name of the brand stands inside a phrase."""
        spans = self._spans.get(brand_id, ())
        at = bisect_right(spans, start, key=itemgetter(0)) - 1
        return at >= 0 and self._ends[brand_id][at] >= end


def _matches(text: str, hits: list[Hit]) -> tuple[Match, ...]:
    """The longest at each place. Of several at the same span those that are spelled as it is."""
    hits.sort(key=_longest_first)
    kept, shared, free = list[Hit](), dict[int, list[Hit]](), 0
    for hit in hits:
        if hit[0] >= free:
            kept.append(hit)
            free = hit[1]
        elif hit[0] == kept[-1].start and hit[1] == free:
            shared.setdefault(len(kept) - 1, [kept[-1]]).append(hit)
    for index, same in sorted(shared.items(), reverse=True):
        kept[index : index + 1] = _spelled(text[same[0].start : same[0].end], same)
    return tuple(
        Match(
            name.brand_id,
            name.alias,
            start,
            end,
            URL_WORD if place is _URL else GLUED_WORD if glued else name.rule,
            place,
        )
        for start, end, name, place, glued in kept
    )


def _longest_first(hit: Hit) -> int:
    """By start, then by end from the last; one number sorts faster than two."""
    return (hit[0] << 40) - hit[1]


def _spelled(shown: str, hits: list[Hit]) -> Iterable[Hit]:
    """Of names of several brands, or of one that fold alike; one per brand, in their order."""
    spelled = [hit for hit in hits if hit.name.alias.casefold() == shown.casefold()]
    one_each: dict[UUID, Hit] = {}
    for hit in spelled or hits:
        one_each.setdefault(hit.name.brand_id, hit)
    return one_each.values()
