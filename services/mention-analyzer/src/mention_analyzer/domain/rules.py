"""Finding brands: whole words, without regard to case.

A name matches where no letter, digit or underscore touches it on either side, so "LI" is not in
"tile" and "Box" not in "toolbox". Letters of scripts that put no spaces between words (Chinese,
Japanese, Thai and the like, and Korean, which joins particles to names) do not count as touching:
there every name would be hidden by its neighbours. A longer name wins over a shorter one at the
same place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Analysis, Answer, Brand, Mention

ANALYZER_VERSION = "whole-word-1"
WHOLE_WORD = "whole-word"
_WORD = re.compile(r"\w")
_SPACE = re.compile(r"\s+")
# Unicode blocks: Thai to Lao, Myanmar, Khmer, CJK radicals to ideographs with kana, Hangul,
# compatibility ideographs, half-width kana, and the supplementary ideographs.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_TOUCHING = rf"[^\W{_UNSPACED}]"


def analyze(answer: Answer, brands: tuple[Brand, ...]) -> Analysis:
    """Find every brand in one answer. Raises UnusableBrand."""
    return Analysis(answer, ANALYZER_VERSION, find_mentions(answer.text, brands))


def find_mentions(text: str, brands: tuple[Brand, ...]) -> tuple[Mention, ...]:
    """All mentions in order of their place; they do not overlap. Raises UnusableBrand."""
    pattern, owners = _matcher(brands)
    return tuple(
        Mention(owners[found.lastindex - 1], found.start(), found.end(), found[0], WHOLE_WORD)
        for found in pattern.finditer(text)
        if found.lastindex is not None
    )


@lru_cache(maxsize=256)
def _matcher(brands: tuple[Brand, ...]) -> tuple[re.Pattern[str], tuple[UUID, ...]]:
    """A pattern with one group per name, and whose name each group is.

    Groups, not the matched text, tell whose it is: under IGNORECASE a text may match a name that
    no folding of the text equals (dotless i, long s).
    """
    owner_of = {_folded(name): brand.brand_id for brand in brands for name in _names(brand)}
    longest_first = sorted(owner_of, key=lambda name: (-len(name), name))
    choices = "|".join(f"({_spaced(name)})" for name in longest_first)
    pattern = re.compile(rf"(?<!{_TOUCHING})(?:{choices})(?!{_TOUCHING})", re.IGNORECASE)
    return pattern, tuple(owner_of[name] for name in longest_first)


def _names(brand: Brand) -> Iterable[str]:
    for name in (brand.name, *brand.aliases):
        if not _WORD.search(name):
            raise UnusableBrand(f"{name!r} has no letter or digit to look for")
        yield name


def _spaced(name: str) -> str:
    """Any white space stands for a space: answers break lines where they like."""
    return r"\s+".join(re.escape(word) for word in name.split())


def _folded(name: str) -> str:
    return _SPACE.sub(" ", name.strip()).lower()
