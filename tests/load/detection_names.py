"""Brand names for the detection benchmark: those that answers label, and made-up ones."""

from __future__ import annotations

import random
from pathlib import Path

from devkit import real_answers

_SYLLABLES = (
    "ba",
    "ko",
    "mi",
    "ten",
    "lor",
    "va",
    "qu",
    "zet",
    "phi",
    "ron",
    "del",
    "sar",
    "ni",
    "gra",
)


def answers(folder: Path) -> tuple[list[str], list[str]]:
    """The texts, and the brands that they are labelled with. Raises FileNotFoundError."""
    rows = [row for _, row in real_answers.answers(folder)]
    labels = {product["brand"] for row in rows for product in row["products_mentioned"]}
    return [row["response"] for row in rows], sorted(filter(None, labels))


def names(labels: list[str], brands: int, aliases: int) -> list[tuple[str, ...]]:
    """``brands`` tuples of a name and its aliases, as many as there are of real ones."""
    made, chance = dict.fromkeys(labels), random.Random(5)
    while len(made) < brands * aliases:
        syllables = chance.choices(_SYLLABLES, k=chance.randint(2, 4))
        made.setdefault("".join(syllables).title())
    every = list(made)[: brands * aliases]
    return [tuple(every[number::brands]) for number in range(brands)]
