"""Names in text that lost its line breaks, where one line's end touches the next one's start.

"Brands: Netgear OrbiTP-Link DecoGoogle Nest" and "$899.00Acer Aspire" are how a page reads when it
is copied without its structure. Only longer names that are no common words are looked for there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mention_analyzer.domain.names.automaton import Automaton
from mention_analyzer.domain.names.folding import is_touching
from mention_analyzer.domain.names.naming import Form
from mention_analyzer.domain.names.ordinary_words import Ordinary, commonness

_LONG = 400  # characters without a line break from which a text may have lost them
_LEAST = 4  # letters of a name
_SEAMS = re.compile(r"[a-z)][.:!?]?[A-Z][a-z]")
_ENOUGH = 4  # seams; fewer are names like "iPhone" and "PowerPoint"
_CAPITALISED = re.compile(r"(?<=[a-z\d])[A-Z][a-z]+")
_PRICE = re.compile(r"\d\.\d\d\Z")


class Gluer:
    """Finds names whose neighbours were on other lines."""

    def __init__(self, forms: Sequence[Form]) -> None:
        self._forms = [form for form in forms if _is_long(form)]
        self._names = Automaton([form.written for form in self._forms])

    def find(self, text: str, folded: str) -> Iterator[tuple[int, int, Form]]:
        """Occurrences that touch a letter or digit on at least one side."""
        if len(text) < _LONG or "\n" in text:
            return
        hits = list(self._hits(text, folded))
        if hits and len(_SEAMS.findall(text)) >= _ENOUGH:
            yield from hits

    def _hits(self, text: str, folded: str) -> Iterator[tuple[int, int, Form]]:
        for index, start, end in self._names.find(folded):
            before, after = folded[start - 1 : start], folded[end : end + 1]
            if not (before.isalnum() or after.isalnum()):
                continue  # a whole word, which is found as such
            form = self._forms[index]
            fits = _opens(text, start) and _closes(text, end)
            if fits and (form.is_plain or text[start:end] in form.aliases):
                yield start, end, form


def _is_long(form: Form) -> bool:
    """Without a common word among its names, which other words end with."""
    letters = sum(map(str.isalnum, form.written))
    rare = all(name.common is not Ordinary.COMMON for name in form.names)
    return bool(form.names) and rare and letters >= _LEAST and form.written.isascii()


def _opens(text: str, start: int) -> bool:
    """Whether nothing touches from the left, or the end of a line or a price."""
    before = text[start - 1 : start]
    if not before or not is_touching(before):
        return True
    if before.isdigit():
        return bool(_PRICE.search(text, max(0, start - 8), start))
    return text[start].isupper() and before.islower()


def _closes(text: str, end: int) -> bool:
    """Whether nothing touches from the right, or another name: "FlexBasket" is one word."""
    if not is_touching(text[end : end + 1] or " "):
        return True
    found = _CAPITALISED.match(text, end)
    return found is not None and commonness(found[0].lower()) is not Ordinary.COMMON
