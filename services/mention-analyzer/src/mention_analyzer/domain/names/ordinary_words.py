"""Which names are ordinary English words, so that finding the word is not finding the brand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from importlib import resources

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_DOMAIN = re.compile(r"\w\.\w")
# Capitalised or technical words that the list does not have but that answers are full of.
_MORE = """
monday tuesday wednesday thursday friday saturday sunday january february march april june july
august september october november december max pro plus lite ultra online vs usa uk us app apps wifi
lab labs eco evo tech
"""
_ENDINGS = (
    ("ies", "y"), ("es", ""), ("s", ""), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"),
    ("ly", ""), ("ness", ""), ("er", ""), ("er", "e"), ("ers", ""), ("est", ""),
)  # fmt: skip


class Ordinary(IntEnum):
    """How common a word is outside of names."""

    NO = 0
    RARE = 1
    COMMON = 2


@lru_cache(maxsize=1)
def _lists() -> tuple[frozenset[str], frozenset[str]]:
    text = resources.files(__package__).joinpath("ordinary_words.txt").read_text("utf-8")
    common, _, rare = text.partition("[common]")[2].partition("[rare]")
    return frozenset((common + _MORE).split()), frozenset(rare.split())


@lru_cache(maxsize=1 << 16)
def commonness(word: str) -> Ordinary:
    """Of one word in lower case; inflected forms are as common as the word."""
    common, rare = _lists()
    if word in common:
        return Ordinary.COMMON
    if word in rare:
        return Ordinary.RARE
    return Ordinary.RARE if any(base in rare for base in _bases(word)) else Ordinary.NO


def ordinary(name: str) -> Ordinary:
    """Of a name: as its least common word. A domain ("notion.so") is no word."""
    if _DOMAIN.search(name):
        return Ordinary.NO
    words = _WORD.findall(name.lower())
    return min(map(commonness, words), default=Ordinary.NO)


def _bases(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if len(stem) > 2 and stem != word:
            yield stem + instead
            if stem[-1] == stem[-2]:
                yield stem[:-1]
